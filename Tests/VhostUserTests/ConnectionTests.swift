// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import MessageTools
import Testing

@testable import VhostUser

/// A connection under test and the raw socket of its peer, which can be closed.
final class Wire {
    let connection: Connection
    private(set) var peer: Connection?

    init(messageTimeout: Int32 = 1000) throws {
        let pair = try SocketPair()
        (connection, peer) = try pair.split { (ours, theirs) throws(Errno) in
            (try Connection(adopting: ours, messageTimeout: messageTimeout), try Connection(adopting: theirs))
        }
    }

    func send(_ bytes: [UInt8], descriptors: [Int32] = []) throws {
        try peer?.send(bytes, descriptors: descriptors)
    }
    func hangUp() { peer = nil }
}

@Suite struct ConnectionTests {
    @Test func roundTripWithDescriptors() throws {
        let wire = try Wire()
        let probes = [try LeakProbe(), try LeakProbe()]
        try wire.connection.send(
            request: 5, flags: [.request, .needReply], payload: [1, 2, 3], descriptors: probes.map(\.number))
        let peer = try #require(wire.peer)
        do {
            var message = try peer.receive(timeout: 1000)
            #expect(
                message.header
                    == MessageHeader(request: 5, flags: [.request, .needReply], payloadByteCount: 3))
            #expect(message.payload == [1, 2, 3])
            #expect(message.descriptors.count == 2)
            guard let first = message.descriptors.takeFirst() else { throw Errno.EBADF }
            let flags = fcntl(first.rawValue, F_GETFD)
            #expect(flags & FD_CLOEXEC != 0)
            #expect(probes[0].isHeldElsewhere())
        }
        #expect(probes[0].isClosedEverywhere())
        #expect(probes[1].isClosedEverywhere())
    }

    @Test func sentBytes() throws {
        let wire = try Wire()
        try wire.connection.send(request: 15, flags: .answer, payload: le64(0x8429))
        let peer = try #require(wire.peer)
        var bytes = zeros(64)
        let count = read(peer.descriptor.rawValue, &bytes, 64)
        #expect(
            Array(bytes.prefix(max(count, 0))) == [
                15, 0, 0, 0,  // request
                5, 0, 0, 0,  // version 1, reply
                8, 0, 0, 0,  // size
                0x29, 0x84, 0, 0, 0, 0, 0, 0,
            ])
    }

    @Test func severalMessagesInOnePacket() throws {
        let wire = try Wire()
        try wire.send(header(1, 1, 0) + header(2, 1, 8) + le64(7) + header(3, 1, 0))
        #expect(try wire.connection.receive().header.request == 1)
        #expect(try wire.connection.receive().payload == le64(7))
        #expect(try wire.connection.receive().header.request == 3)
    }

    @Test func descriptorsBelongToTheMessageTheyCameWith() throws {
        let wire = try Wire()
        let probe = try LeakProbe()
        try wire.send(header(1, 1, 0))
        try wire.send(header(21, 1, 0), descriptors: [probe.number])
        #expect(try wire.connection.receive().descriptors.count == 0)
        #expect(try wire.connection.receive().descriptors.count == 1)
        #expect(probe.isClosedEverywhere())
    }

    @Test func messageInPieces() throws {
        let wire = try Wire(messageTimeout: 30_000)
        let bytes = header(2, 1, 8) + le64(0x1_0000_0000)
        let peer = try #require(wire.peer)
        let sender = try Thread(name: "pieces") {
            for byte in bytes { try? peer.send([byte]) }
        }
        #expect(try wire.connection.receive(timeout: 30_000).payload == le64(0x1_0000_0000))
        sender.join()
    }

    /// Disconnected after each number of bytes, with a descriptor on the first of them.
    @Test func disconnectAtEachByte() throws {
        let bytes = header(12, 9, 8) + le64(0)
        for count in 0..<bytes.count {
            let wire = try Wire()
            let probe = try LeakProbe()
            try wire.send(Array(bytes.prefix(count)), descriptors: [probe.number])
            wire.hangUp()
            let expected: VhostUserError = count == 0 ? .disconnected : .truncatedMessage
            #expect(throws: expected) { _ = try wire.connection.receive() }
            #expect(probe.isClosedEverywhere())
        }
    }

    @Test(arguments: [1, 11, 12, 15]) func halfMessageTimesOut(count: Int) throws {
        let wire = try Wire(messageTimeout: 20)
        let probe = try LeakProbe()
        try wire.send(Array((header(2, 1, 8) + le64(0)).prefix(count)), descriptors: [probe.number])
        #expect(throws: VhostUserError.timedOut) { _ = try wire.connection.receive() }
        #expect(probe.isClosedEverywhere())
    }

    @Test func noMessageTimesOut() throws {
        let wire = try Wire()
        #expect(throws: VhostUserError.timedOut) { _ = try wire.connection.receive(timeout: 10) }
    }

    @Test(arguments: [0, 2, 3, 0xffff_fffe] as [UInt32]) func wrongVersion(flags: UInt32) throws {
        let wire = try Wire()
        let probe = try LeakProbe()
        try wire.send(header(1, flags, 0), descriptors: [probe.number])
        #expect(throws: VhostUserError.wrongVersion(flags: flags)) { _ = try wire.connection.receive() }
        #expect(probe.isClosedEverywhere())
    }

    @Test(arguments: [4097, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] as [UInt32]) func oversized(size: UInt32)
        throws
    {
        let wire = try Wire()
        let probe = try LeakProbe()
        try wire.send(le32(1) + le32(1) + le32(size), descriptors: [probe.number])
        #expect(throws: VhostUserError.payloadTooLarge(size)) { _ = try wire.connection.receive() }
        #expect(probe.isClosedEverywhere())
    }

    @Test func largestPayload() throws {
        let wire = try Wire()
        try wire.send(header(1, 1, 4096) + zeros(4096))
        #expect(try wire.connection.receive().payload.count == 4096)
    }

    @Test(arguments: [8, 9, 10, 200]) func manyDescriptors(count: Int) throws {
        let wire = try Wire()
        let probe = try LeakProbe()
        try wire.send(header(5, 1, 0), descriptors: [Int32](repeating: probe.number, count: count))
        if count <= 8 {
            #expect(try wire.connection.receive().descriptors.count == count)
        } else {
            #expect(throws: VhostUserError.tooManyDescriptors) { _ = try wire.connection.receive() }
        }
        #expect(probe.isClosedEverywhere())
    }

    /// Descriptors on each piece of one message add up.
    @Test func descriptorsOnEveryPiece() throws {
        let wire = try Wire()
        let probe = try LeakProbe()
        let bytes = header(5, 1, 0)
        for byte in bytes.dropLast(3) { try wire.send([byte], descriptors: [probe.number]) }
        #expect(throws: VhostUserError.tooManyDescriptors) { _ = try wire.connection.receive() }
        #expect(probe.isClosedEverywhere())
    }

    @Test func peerThatDoesNotRead() throws {
        let wire = try Wire(messageTimeout: 20)
        #expect(throws: VhostUserError.timedOut) {
            for _ in 0..<10_000 { try wire.connection.send(request: 1, flags: .answer, payload: zeros(4096)) }
        }
    }

    @Test func peerThatHasGone() throws {
        let wire = try Wire()
        wire.hangUp()
        #expect(throws: VhostUserError.disconnected) { try wire.connection.send(request: 1, flags: .answer) }
        #expect(throws: VhostUserError.disconnected) { _ = try wire.connection.receive() }
    }

    /// A peer that left without reading our answer resets the socket: no less ordinary an end.
    @Test func peerThatLeftUnreadBytes() throws {
        let wire = try Wire()
        try wire.connection.send(request: 1, flags: .answer, payload: le64(0))
        wire.hangUp()
        #expect(throws: VhostUserError.disconnected) { _ = try wire.connection.receive() }
    }
}
