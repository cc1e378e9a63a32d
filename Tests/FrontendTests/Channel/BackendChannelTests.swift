// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import GuestMemory
import HostOS
import Testing
import VhostUser

@testable import Frontend

@Suite struct BackendChannelTests {
    /// The channel and the back-end's end of it.
    final class Bench {
        let ram: GuestRAM
        let windows: SharedMemoryWindows
        let channel: BackendChannel
        private(set) var peer: Connection?

        init(standard: Bool = true) throws {
            let ram = try GuestRAM(byteCount: 1 << 17, regionByteCount: 1 << 16, guestBase: 1 << 32)
            let windows = try SharedMemoryWindows(sizes: standard ? [1 << 16, 4096] : [1 << 16])
            self.ram = ram
            self.windows = windows
            (channel, peer) = try SocketPair().split { (ours, theirs) throws(Errno) in
                (
                    BackendChannel(
                        try Connection(adopting: ours, messageTimeout: 200), windows: windows,
                        memory: ram.memory, isStandard: standard),
                    try Connection(adopting: theirs)
                )
            }
        }

        func hangUp() { peer = nil }

        func send(
            _ request: UInt32, _ payload: [UInt8] = [], _ files: [Int32] = [],
            flags: MessageFlags = [.request, .needReply]
        ) throws {
            try peer?.send(request: request, flags: flags, payload: payload, descriptors: files)
        }

        /// Sends a request, has it served, and returns the reply's number.
        func ask(_ request: UInt32, _ payload: [UInt8] = [], _ files: [Int32] = []) throws -> Int64 {
            try send(request, payload, files)
            let outcome = try channel.serveOne()
            guard let peer else { throw Errno.EPIPE }
            let reply = try peer.receive(timeout: 5000)
            #expect(reply.header.request == request && reply.header.flags == .answer)
            let number = Int64(bitPattern: try UInt64(decodingPayload: reply.payload))
            if case .refused = outcome { #expect(number != 0) }
            return number
        }
    }

    private func mapping(
        _ id: UInt8 = 0, file: UInt64 = 0, at offset: UInt64 = 0, _ length: UInt64 = 4096,
        writable: Bool = true
    ) -> [UInt8] {
        SharedMemoryMapping(
            regionID: id, fileOffset: file, regionOffset: offset, length: length, flags: writable ? 1 : 0
        ).encoded
    }

    @Test func mapAndUnmap() throws {
        let (bench, file) = (try Bench(), try ScratchFile(pages: 4))
        #expect(try bench.ask(9, mapping(file: 4096, at: 8192, 8192), [file.number]) == 0)
        #expect(try bench.windows[0]?.readBytes(8192, count: 1) == [1])
        #expect(try bench.ask(9, mapping(1), [file.number]) == 0)
        #expect(try bench.windows[1]?.readBytes(0, count: 1) == [0])
        #expect(try bench.ask(10, mapping(at: 8192, 8192)) == 0)
        #expect(try #require(bench.windows[0]).pieces.isEmpty)
        #expect(try #require(bench.windows[1]).pieces.count == 1)
        #expect(try bench.ask(2) == 0, "a change of the configuration")
    }

    /// Without NEED_REPLY nothing comes back, whatever became of it.
    @Test func nobodyAsked() throws {
        let (bench, file) = (try Bench(), try ScratchFile(pages: 1))
        try bench.send(9, mapping(), [file.number], flags: .request)
        #expect(try bench.channel.serveOne() == .served(request: 9))
        try bench.send(9, mapping(), [file.number], flags: .request)
        #expect(try bench.channel.serveOne() == .refused(request: 9, .EEXIST))
        try bench.send(6, [UInt8](repeating: 0, count: 16), flags: .request)
        #expect(try bench.channel.serveOne() == .refused(request: 6, .EOPNOTSUPP))
        #expect(waitReadable(try #require(bench.peer).descriptor.rawValue, timeoutMilliseconds: 0) == 0)
    }

    @Test func refusals() throws {
        let (bench, file) = (try Bench(), try ScratchFile(pages: 4))
        let event = try EventFD()
        let readOnly = try file.readOnly()
        #expect(try bench.ask(9, mapping(2), [file.number]) == 1, "no such region")
        #expect(try bench.ask(9, mapping(at: 1 << 16), [file.number]) == 1, "outside")
        #expect(try bench.ask(9, mapping(at: .max - 4095), [file.number]) == 1, "wraps around")
        #expect(try bench.ask(9, mapping(1, 8192), [file.number]) == 1, "longer than the region")
        #expect(try bench.ask(9, mapping(.max), [file.number]) == 1)
        #expect(try bench.ask(9, mapping(at: 0, 0), [file.number]) == 1, "nothing")
        #expect(try bench.ask(9, mapping(file: 1), [file.number]) == 1, "misaligned")
        #expect(try bench.ask(9, mapping(), [event.descriptor.rawValue]) == 1, "no file")
        #expect(try bench.ask(9, mapping(), [readOnly.rawValue]) == 1, "not open for writing")
        #expect(try bench.ask(10, mapping()) == 1, "nothing is there")
        #expect(try bench.ask(10, mapping(9)) == 1)
        for request: UInt32 in [0, 1, 3, 4, 5, 11, 999, 1000, 1006, .max] {
            #expect(try bench.ask(request, [1, 2, 3]) == 1)
        }
        #expect(try bench.ask(6, mapping(), [file.number]) == 1, "legacy, although SHMEM was negotiated")
        #expect(bench.windows.all.allSatisfy { $0.pieces.isEmpty })
    }

    /// What is no message ends the channel, and every descriptor that came is closed.
    @Test func garbage() throws {
        let file = try ScratchFile(pages: 1)
        let number = file.number
        func expect(_ error: VhostUserError, _ send: (Bench) throws -> Void) throws {
            let bench = try Bench()
            try send(bench)
            #expect(throws: error) { try bench.channel.serveOne() }
        }
        try expect(.payloadSize(39)) { try $0.send(9, Array(mapping().dropLast()), [number]) }
        try expect(.payloadSize(41)) { try $0.send(10, mapping() + [0]) }
        try expect(.payloadSize(1)) { try $0.send(2, [0]) }
        try expect(.descriptorCount(0)) { try $0.send(9, mapping()) }
        try expect(.descriptorCount(2)) { try $0.send(9, mapping(), [number, number]) }
        try expect(.descriptorCount(1)) { try $0.send(10, mapping(), [number]) }
        try expect(.tooManyDescriptors) {
            try $0.send(9, mapping(), [Int32](repeating: number, count: 9))
        }
        try expect(.unexpectedMessage(request: 9, flags: 5)) { try $0.send(9, mapping(), flags: .answer) }
        try expect(.unexpectedMessage(request: 2, flags: 0x11)) {
            try $0.send(2, flags: MessageFlags(rawValue: 0x11))
        }
        try expect(.wrongVersion(flags: 2)) { try $0.send(2, flags: MessageFlags(rawValue: 2)) }
        try expect(.payloadTooLarge(.max)) {
            try $0.peer?.send([2, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255])
        }
        try expect(.truncatedMessage) {
            try $0.peer?.send([2, 0, 0])
            $0.hangUp()
        }
        try expect(.timedOut) { try $0.peer?.send([2, 0, 0]) }
        try expect(.disconnected) { $0.hangUp() }
    }

    @Test func aFloodIsServedOneByOne() throws {
        let bench = try Bench()
        for _ in 0..<100 { try bench.send(2, flags: .request) }
        for _ in 0..<100 { #expect(try bench.channel.serveOne() == .served(request: 2)) }
        #expect(waitReadable(bench.channel.descriptor, timeoutMilliseconds: 0) == 0)
    }
}
