// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import GuestMemory
import HostOS
import Testing
import VhostUser

@testable import Frontend

@Suite struct LegacyChannelTests {
    private typealias Bench = BackendChannelTests.Bench
    private static let read = LegacyMapEntry.readFlag
    private static let write = LegacyMapEntry.writeFlag
    private let guest: UInt64 = 1 << 32

    /// The numbers of map, unmap, synchronize and transfer, and how their payload is laid out.
    struct Dialect: Sendable, CustomTestStringConvertible {
        let map, unmap, transfer: UInt32
        let synchronize: UInt32?
        let isList: Bool
        var testDescription: String { "map \(map), \(isList ? "a list" : "arrays")" }

        func encode(_ entries: [LegacyMapEntry]) -> [UInt8] {
            let message = LegacyMapMessage(entries)
            return isList ? message.encodedList : message.encodedArrays
        }
    }
    static let dialects = [
        Dialect(map: 6, unmap: 7, transfer: 9, synchronize: 8, isList: false),
        Dialect(map: 1002, unmap: 1003, transfer: 1005, synchronize: 1004, isList: false),
        Dialect(map: 6, unmap: 7, transfer: 8, synchronize: nil, isList: true),
    ]

    private func entry(
        _ file: UInt64 = 0, _ offset: UInt64, _ length: UInt64, _ flags: UInt64 = LegacyMapEntry.readFlag
    ) -> LegacyMapEntry {
        LegacyMapEntry(fileOffset: file, windowOffset: offset, length: length, flags: flags)
    }

    @Test(arguments: dialects) func mapAndUnmap(dialect: Dialect) throws {
        let (bench, file) = (try Bench(standard: false), try ScratchFile(pages: 8))
        let window = try #require(bench.windows[0])
        let two = [entry(4096, 0, 8192), entry(0, 16384, 4096, Self.read | Self.write)]
        #expect(try bench.ask(dialect.map, dialect.encode(two), [file.number]) == 0)
        #expect(window.pieces == [0..<8192, 16384..<20480])
        #expect(try window.readBytes(4096, count: 1) == [2])
        try [UInt8]([9]).withUnsafeBytes { try window.write($0, at: 16384) }
        #expect(file.byte(at: 0) == 9)
        // Over what is there already.
        #expect(
            try bench.ask(dialect.map, dialect.encode([entry(28672, 4096, 4096)]), [file.number]) == 0)
        #expect(try window.readBytes(4096, count: 1) == [7])
        if let synchronize = dialect.synchronize {
            #expect(try bench.ask(synchronize, dialect.encode([entry(0, 0, 8192)])) == 0)
            #expect(try bench.ask(synchronize, dialect.encode([entry(0, 1 << 16, 4096)])) == -22)
        }
        #expect(try bench.ask(dialect.unmap, dialect.encode([entry(0, 4096, 4096, 0)])) == 0)
        #expect(window.pieces == [0..<4096, 16384..<20480])
        #expect(try bench.ask(dialect.unmap, dialect.encode([entry(0, 0, .max, 0)])) == 0)
        #expect(window.pieces.isEmpty)
        #expect(try bench.ask(2) == 0, "a change of the configuration")
    }

    /// A message that fails in the middle takes back what it has done.
    @Test(arguments: dialects) func allOrNothing(dialect: Dialect) throws {
        let (bench, file) = (try Bench(standard: false), try ScratchFile(pages: 8))
        let window = try #require(bench.windows[0])
        #expect(try bench.ask(dialect.map, dialect.encode([entry(0, 32768, 4096)]), [file.number]) == 0)
        for bad in [
            entry(0, 1 << 16, 4096), entry(0, 61440, 8192), entry(1, 0, 4096), entry(0, 1, 4096),
            entry(0, 0, 4096, 0), entry(0, 0, .max), entry(.max, 0, 4096), entry(0, .max, .max),
        ] {
            let steps = [entry(0, 0, 4096), entry(0, 8192, 4096), bad]
            #expect(try bench.ask(dialect.map, dialect.encode(steps), [file.number]) == -22)
            #expect(window.pieces == [32768..<36864])
        }
        let readOnly = try file.readOnly()
        let steps = [entry(0, 0, 4096), entry(0, 8192, 4096, Self.write)]
        #expect(try bench.ask(dialect.map, dialect.encode(steps), [readOnly.rawValue]) == -13)
        #expect(window.pieces == [32768..<36864])
        #expect(try bench.ask(dialect.unmap, dialect.encode([entry(0, 1 << 16, 4096)])) == -22)
        #expect(try bench.ask(dialect.unmap, dialect.encode([entry(0, 4096, .max - 4095)])) == -22)
    }

    /// Bytes go between the file and guest memory, across the border of two regions.
    @Test(arguments: dialects) func transfers(dialect: Dialect) throws {
        let (bench, file) = (try Bench(standard: false), try ScratchFile(pages: 4))
        let border = guest + 65536
        func ask(_ entries: [LegacyMapEntry]) throws -> Int64 {
            try bench.ask(dialect.transfer, dialect.encode(entries), [file.number])
        }
        #expect(try ask([entry(4094, border - 2, 4)]) == 4)
        #expect(try bench.ram.read(4, at: GuestAddress(border - 2)) == [0, 0, 1, 1])
        try bench.ram.write([5, 6, 7, 8].span, at: GuestAddress(border - 2))
        #expect(try ask([entry(100, border - 2, 4, Self.write), entry(104, border, 1, Self.write)]) == 5)
        #expect((100..<105).map { file.byte(at: $0) } == [5, 6, 7, 8, 7])
        #expect(try ask([entry(16380, guest, 100)]) == 4, "the file ends there")
        #expect(try ask([entry(16384, guest, 100), entry(0, guest, 100)]) == 0)
        for bad in [
            entry(0, guest - 1, 1), entry(0, guest + 131072, 1), entry(0, border, 65537),
            entry(0, guest, .max),
            entry(0, .max, 1), entry(0, .max, .max),
        ] {
            let answer = try ask([bad])
            #expect(answer == -14 || answer == -22)
        }
        #expect(try ask([entry(0, guest, 1, Self.read | Self.write)]) == -22)
        #expect(try ask([entry(0, guest, 1, 0)]) == -22)
        #expect(try ask([entry(.max, guest, 1)]) == -22)
        #expect(try ask([entry(UInt64(Int.max), guest, 1)]) == -22)
        let pipe = try EventFD()
        #expect(
            try bench.ask(
                dialect.transfer, dialect.encode([entry(0, guest, 8)]), [pipe.descriptor.rawValue]) == -22,
            "reading it could wait for ever")
    }

    /// DROP_FSETID: the write takes the set-user-id bit away although root wrote; without it the bit stays.
    @Test(.enabled(if: geteuid() == 0, "needs root")) func setIDBits() throws {
        let bench = try Bench(standard: false)
        let directory = try TemporaryDirectory(prefix: "front-")
        let path = directory.path + "/program"
        let file = OwnedDescriptor(
            adopting: try systemCall { () -> Int32 in open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o755) })
        for loses in [false, true] {
            #expect(fchmod(file.rawValue, 0o4755) == 0)
            let message = LegacyMapMessage([entry(0, guest, 1, Self.write)], losesSetIDBits: loses)
            #expect(try bench.ask(8, message.encodedList, [file.rawValue]) == 1)
            var status = stat()
            #expect(fstat(file.rawValue, &status) == 0)
            #expect(status.st_mode & 0o7777 == (loses ? 0o755 : 0o4755))
        }
    }

    @Test func garbage() throws {
        let file = try ScratchFile(pages: 1)
        let arrays = LegacyMapMessage([entry(0, 0, 4096)]).encodedArrays
        let list = LegacyMapMessage([entry(0, 0, 4096)]).encodedList
        func expect(_ error: VhostUserError, _ request: UInt32, _ payload: [UInt8], _ files: [Int32]) throws {
            let bench = try Bench(standard: false)
            try bench.send(request, payload, files)
            #expect(throws: error) { try bench.channel.serveOne() }
        }
        try expect(.descriptorCount(0), 6, arrays, [])
        try expect(.descriptorCount(0), 6, list, [])
        try expect(.descriptorCount(2), 9, arrays, [file.number, file.number])
        try expect(.descriptorCount(1), 7, arrays, [file.number])
        try expect(.descriptorCount(1), 1004, arrays, [file.number])
        // A count of two with one entry; a flag that nobody knows; 33 entries.
        try expect(.payloadSize(40), 6, list[..<4] + [2, 0] + list[6...], [file.number])
        try expect(.invalidValue, 6, [2] + list[1...], [file.number])
        try expect(
            .payloadSize(8 + 33 * 32), 6, [UInt8](repeating: 0, count: 8 + 33 * 32), [file.number])
        // What is neither shape is an upstream request that nobody negotiated.
        let bench = try Bench(standard: false)
        #expect(try bench.ask(6, [UInt8](repeating: 0, count: 16)) == 1)
        #expect(try bench.ask(9, [UInt8](repeating: 0, count: 40), [file.number]) == 1)
        #expect(try bench.ask(10, [UInt8](repeating: 0, count: 40)) == 1)
    }

    /// A back-end with a channel, for which nobody gave a window.
    @Test func withoutAWindow() throws {
        let (ram, file) = (try GuestRAM(byteCount: 1 << 16), try ScratchFile(pages: 1))
        let (ours, peer) = try SocketPair().split { (ours, theirs) throws(Errno) in
            (try Connection(adopting: ours), try Connection(adopting: theirs))
        }
        let channel = BackendChannel(
            ours, windows: SharedMemoryWindows(), memory: ram.memory, isStandard: false)
        try peer.send(
            request: 6, flags: .request, payload: LegacyMapMessage([entry(0, 0, 4096)]).encodedList,
            descriptors: [file.number])
        #expect(try channel.serveOne() == .refused(request: 6, .EINVAL))
    }
}
