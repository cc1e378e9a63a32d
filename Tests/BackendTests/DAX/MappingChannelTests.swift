// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import Glibc
import HostOS
import Synchronization
import Testing
import VhostUser

@testable import Backend

/// The front-end's end of a channel: reads requests and answers them on a thread of the test.
private final class VMM {
    let connection: Connection
    let channel: MappingChannel
    let file: OwnedDescriptor

    init(
        _ dialect: MappingDialect = .shmem,
        features: ProtocolFeatures = [.backendChannel, .replyAck, .sharedMemory], opens: Bool = true
    ) throws {
        channel = try MappingChannel(byteCount: 4 << 20, dialect: dialect)
        let (near, far) = try SocketPair().split { ($0.release(), $1.release()) }
        connection = try Connection(adopting: OwnedDescriptor(adopting: near))
        channel.negotiate(features)
        try channel.attach(OwnedDescriptor(adopting: far))
        if opens { channel.open() }
        file = try makeMemoryFile(name: "test", byteCount: 4 << 20)
    }

    /// Takes one request and answers it; what it was, and with how many descriptors.
    func serve(_ answer: UInt64 = 0) throws -> (request: UInt32, payload: [UInt8], descriptors: Int) {
        let message = try connection.receive(timeout: 5000)
        #expect(message.header.flags == [.request, .needReply])
        try connection.send(
            request: message.header.request, flags: .answer, payload: answer.encodedPayload)
        return (message.header.request, message.payload, message.descriptors.count)
    }

    /// Whether nothing has been sent.
    var isQuiet: Bool { waitReadable(connection.descriptor.rawValue, timeoutMilliseconds: 50) == 0 }

    /// Runs a call of the channel on a thread of its own, as a guest's request does.
    func start(_ body: @escaping @Sendable (MappingChannel, Int32) throws(Errno) -> Void) throws -> Result {
        let (channel, number) = (channel, file.rawValue)
        let result = Result()
        result.thread = try HostOS.Thread(name: "asks") {
            do throws(Errno) {
                try body(channel, number)
                result.outcome.withLock { $0 = .some(nil) }
            } catch {
                result.outcome.withLock { $0 = .some(error) }
            }
        }
        return result
    }

    final class Result: @unchecked Sendable {
        let outcome = Mutex<Errno??>(nil)
        var thread: HostOS.Thread?

        /// nil: it went well.
        func wait() -> Errno? {
            thread?.join()
            return outcome.withLock { $0 ?? .EPROTO }
        }
    }
}

private let piece = WindowPiece(offset: 2 << 20, byteCount: 2 << 20, fileOffset: 0)

@Suite struct MappingChannelTests {
    @Test func mapsAndUnmaps() throws {
        let vmm = try VMM()
        let mapping = try vmm.start { (channel, file) throws(Errno) in
            try channel.map(file, piece, writable: true)
        }
        let (request, payload, descriptors) = try vmm.serve()
        #expect(request == 9 && descriptors == 1)
        // VhostUserMMap: shmid and padding, fd_offset, shm_offset, len, flags.
        #expect(payload == zeros(8) + le64(0) + le64(2 << 20) + le64(2 << 20) + le64(1))
        #expect(mapping.wait() == nil)
        #expect(vmm.channel.shows(vmm.file.rawValue))

        let removal = try vmm.start { (channel, _) throws(Errno) in try channel.unmap(piece) }
        let answer = try vmm.serve()
        #expect(answer.request == 10 && answer.descriptors == 0 && answer.payload.count == 40)
        #expect(removal.wait() == nil)
        #expect(!vmm.channel.shows(vmm.file.rawValue))
    }

    @Test(arguments: [MappingDialect.fsMap, .fsMapList]) func olderMessages(_ dialect: MappingDialect) throws
    {
        let vmm = try VMM(dialect, features: [.backendChannel, .replyAck])
        for (request, isMap) in [(6, true), (7, false)] as [(UInt32, Bool)] {
            let asked = try vmm.start { (channel, file) throws(Errno) in
                if isMap { try channel.map(file, piece, writable: true) } else { try channel.unmap(piece) }
            }
            let answer = try vmm.serve()
            #expect(answer.request == request && answer.descriptors == (isMap ? 1 : 0))
            #expect(answer.payload.count == (dialect == .fsMap ? 256 : 8 + 32))
            let kind = try #require(
                LegacyMapKind(request: request, payloadByteCount: answer.payload.count))
            let message = try LegacyMapMessage(decoding: answer.payload, as: kind.layout)
            #expect(message.entries.count == 1)
            #expect(message.entries.first?.windowOffset == 2 << 20)
            #expect(message.entries.first?.length == 2 << 20)
            #expect(asked.wait() == nil)
        }
    }

    /// QEMU answers 1 to what it refuses.
    @Test func aRefusalIsAnErrorAndNothingMore() throws {
        let vmm = try VMM()
        let mapping = try vmm.start { (channel, file) throws(Errno) in
            try channel.map(file, piece, writable: true)
        }
        _ = try vmm.serve(1)
        #expect(mapping.wait() == .EIO)
        #expect(!vmm.channel.shows(vmm.file.rawValue))
        let again = try vmm.start { (channel, file) throws(Errno) in
            try channel.map(file, piece, writable: true)
        }
        _ = try vmm.serve()
        #expect(again.wait() == nil)
    }

    /// What it does not take away may still be told of as guest memory.
    @Test func aPieceIsThereUntilItIsTakenAway() throws {
        let vmm = try VMM()
        let mapping = try vmm.start { (channel, file) throws(Errno) in
            try channel.map(file, piece, writable: true)
        }
        _ = try vmm.serve()
        #expect(mapping.wait() == nil)
        for (answer, error) in [(1, Errno.EIO), (0, nil)] as [(UInt64, Errno?)] {
            let removal = try vmm.start { (channel, _) throws(Errno) in try channel.unmap(piece) }
            _ = try vmm.serve(answer)
            #expect(removal.wait() == error)
            #expect(vmm.channel.shows(vmm.file.rawValue) == (answer == 1))
        }
    }

    /// QEMU 11.1 dies of a request before the device is started, or after it has been stopped.
    @Test func nothingIsSentUnlessTheDeviceRuns() throws {
        let vmm = try VMM(opens: false)
        func isRefused() throws -> Bool {
            try vmm.start { (channel, file) throws(Errno) in
                try channel.map(file, piece, writable: true)
            }.wait() == .EIO
        }
        #expect(try isRefused())
        vmm.channel.open()
        vmm.channel.close()
        #expect(try isRefused())
        #expect(vmm.isQuiet)
    }

    @Test(
        arguments: [[], [.backendChannel, .replyAck], [.backendChannel, .sharedMemory]] as [ProtocolFeatures])
    func nothingIsSentToWhoDoesNotKnowIt(_ features: ProtocolFeatures) throws {
        let vmm = try VMM(features: features)
        #expect(!vmm.channel.isUsable)
        let asked = try vmm.start { (channel, file) throws(Errno) in
            try channel.map(file, piece, writable: true)
        }
        #expect(asked.wait() == .EIO)
        #expect(vmm.isQuiet)
    }

    /// The thread of the front-end's own requests must get on: the front-end waits for it and answers nobody.
    @Test func stoppingEndsAWait() throws {
        let vmm = try VMM()
        let mapping = try vmm.start { (channel, file) throws(Errno) in
            try channel.map(file, piece, writable: true)
        }
        let late = try vmm.connection.receive(timeout: 5000)
        vmm.channel.close()
        #expect(mapping.wait() == .EIO)

        // What was given up has appeared after all, and goes again before anything else is asked.
        try vmm.connection.send(
            request: late.header.request, flags: .answer, payload: UInt64(0).encodedPayload)
        vmm.channel.open()
        let other = WindowPiece(offset: 0, byteCount: 2 << 20, fileOffset: 0)
        let next = try vmm.start { (channel, file) throws(Errno) in
            try channel.map(file, other, writable: true)
        }
        let undo = try vmm.serve()
        #expect(undo.request == 10)
        #expect(undo.payload[16..<24].elementsEqual(le64(2 << 20)))
        let map = try vmm.serve()
        #expect(map.request == 9)
        #expect(next.wait() == nil)
    }

    @Test func oneAtATime() throws {
        let vmm = try VMM()
        let asked = try (0..<4).map { index in
            try vmm.start { (channel, file) throws(Errno) in
                try channel.map(
                    file, WindowPiece(offset: UInt64(index) << 20, byteCount: 1 << 20, fileOffset: 0),
                    writable: true)
            }
        }
        for _ in asked {
            let message = try vmm.connection.receive(timeout: 5000)
            #expect(vmm.isQuiet)
            try vmm.connection.send(
                request: message.header.request, flags: .answer, payload: UInt64(0).encodedPayload)
        }
        for one in asked { #expect(one.wait() == nil) }
    }

    @Test func nonsenseEndsTheChannel() throws {
        let vmm = try VMM()
        let mapping = try vmm.start { (channel, file) throws(Errno) in
            try channel.map(file, piece, writable: true)
        }
        _ = try vmm.connection.receive(timeout: 5000)
        try vmm.connection.send(request: 10, flags: .answer, payload: UInt64(0).encodedPayload)
        #expect(mapping.wait() == .EIO)
        let next = try vmm.start { (channel, file) throws(Errno) in
            try channel.map(file, piece, writable: true)
        }
        #expect(next.wait() == .EIO)
    }

    /// A front-end that tells of pieces as guest memory does so after its answer; the next request may need it.
    @Test func theAnnouncementIsWaitedFor() throws {
        let vmm = try VMM()
        let first = try vmm.start { (channel, file) throws(Errno) in
            try channel.map(file, piece, writable: true)
        }
        _ = try vmm.serve()
        vmm.channel.noteAnnouncement()
        #expect(first.wait() == nil)
        let second = try vmm.start { (channel, file) throws(Errno) in
            try channel.map(
                file, WindowPiece(offset: 0, byteCount: 1 << 20, fileOffset: 0), writable: true)
        }
        _ = try vmm.serve()
        vmm.channel.noteAnnouncement()
        #expect(second.wait() == nil)
    }
}

private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
private func le64(_ value: UInt64) -> [UInt8] { value.encodedPayload }
