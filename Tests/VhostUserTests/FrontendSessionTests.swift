// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import MessageTools
import Testing

@testable import VhostUser

/// A front-end session whose back-end is a session over a fake device, served by a thread until the front-end goes.
final class FrontendBench {
    let device: FakeDevice
    let frontend: FrontendSession
    private let server: HostOS.Thread

    init(_ device: FakeDevice = FakeDevice()) throws {
        self.device = device
        let wire = try Wire()
        // SAFETY: the device is looked at only after the thread was joined.
        nonisolated(unsafe) let session = BackendSession(wire.connection, delegate: device)
        server = try HostOS.Thread(name: "back-end") {
            do throws(VhostUserError) { while true { try session.serveNext() } } catch {}
        }
        let number = try #require(wire.peer).descriptor.duplicate().release()
        wire.hangUp()
        frontend = try FrontendSession(adopting: OwnedDescriptor(adopting: number), replyTimeout: 30_000)
    }

    /// Ends the connection and returns what the device was told.
    func finish() -> [String] {
        _ = shutdown(frontend.connection.descriptor.rawValue, Int32(SHUT_RDWR))
        server.join()
        return device.takeCalls()
    }
}

@Suite struct FrontendSessionTests {
    private let region = RegionDescription(guestAddress: 0, size: 0x1000, userAddress: 0x7000, fileOffset: 0)

    private func drive(_ bench: FrontendBench, wanted: ProtocolFeatures) throws {
        let frontend = bench.frontend
        let probe = try LeakProbe()
        try frontend.negotiate(wanted: wanted)
        #expect(try frontend.queueCount() == 2)
        try frontend.setFeatures([.version1])
        try frontend.setMemory([region], files: [probe.number])
        let addresses = VringAddresses(
            ring: 1, descriptorTable: 0x7000, availableRing: 0x7100, usedRing: 0x7200)
        try frontend.startRing(
            size: 64, base: 5, addresses: addresses, kick: probe.number, call: probe.number,
            error: probe.number)
        try frontend.setRingEnabled(1, true)
        #expect(try frontend.readConfiguration(offset: 0, count: 5) == Array("share".utf8))
        try frontend.writeConfiguration(offset: 36, [2])
        try frontend.setRingEnabled(1, false)
        #expect(try frontend.stopRing(1) == 0x1234)
        try frontend.resetDevice()
    }

    private let ringCalls = [
        "error 1 fd", "size 1 64", "base 1 5", "addresses 1 7000,7100,7200", "kick 1 fd", "call 1 fd",
        "enable 1",
        "read 0 5", "write 36 [2]", "disable 1", "stop 1", "reset",
    ]

    @Test func wholeLifeWithAcknowledgements() throws {
        let bench = try FrontendBench()
        try drive(bench, wanted: BackendSession.implementedFeatures)
        #expect(bench.frontend.protocolFeatures == BackendSession.implementedFeatures)
        #expect(
            bench.finish() == ["protocol 40a629", "owner", "features 140000000", "add 0,1000,7000,0 fd"]
                + ringCalls)
    }

    @Test func wholeLifeWithoutAcknowledgements() throws {
        let bench = try FrontendBench()
        try drive(bench, wanted: [.multiqueue, .configuration, .resetDevice])
        #expect(
            bench.finish() == ["protocol 2201", "owner", "features 140000000", "table 0,1000,7000,0:fd"]
                + ringCalls)
    }

    @Test func regionsComeAndGo() throws {
        let bench = try FrontendBench()
        let frontend = bench.frontend
        let probe = try LeakProbe()
        try frontend.negotiate(wanted: [.replyAck, .configureMemorySlots])
        #expect(try frontend.maximumMemorySlots() == 509)
        try frontend.addMemoryRegion(region, file: probe.number)
        try frontend.removeMemoryRegion(region)
        #expect(throws: VhostUserError.descriptorCount(0)) { try frontend.setMemory([region], files: []) }
        #expect(bench.finish().suffix(2) == ["add 0,1000,7000,0 fd", "remove 0,1000,7000,0"])
        bench.device.closeKept()
        #expect(probe.isClosedEverywhere())
    }

    @Test func refusalsAreThrown() throws {
        let device = FakeDevice()
        device.failing = ["size", "reset"]
        let bench = try FrontendBench(device)
        let frontend = bench.frontend
        try frontend.negotiate(wanted: [.replyAck, .configuration, .resetDevice])
        #expect(throws: VhostUserError.negativeReply(1)) { try frontend.resetDevice() }
        #expect(throws: VhostUserError.negativeReply(1)) {
            try frontend.command(.setVringSize, VringState(ring: 0, number: 64).encoded)
        }
        // An empty answer is how the back-end refuses a window.
        #expect(throws: VhostUserError.payloadSize(0)) {
            try frontend.readConfiguration(offset: 99, count: 4)
        }
        try frontend.setRingEnabled(0, true)
        #expect(bench.finish().last == "enable 0")
    }

    @Test func backendChannelIsConnected() throws {
        let wire = try Wire()
        let peer = try #require(wire.peer)
        let number = try wire.connection.descriptor.duplicate().release()
        let frontend = try FrontendSession(adopting: OwnedDescriptor(adopting: number))
        let channel = try frontend.openBackendChannel()
        var message = try peer.receive(timeout: 1000)
        #expect(message.header == MessageHeader(request: 21, flags: .request, payloadByteCount: 0))
        guard let socket = message.descriptors.takeFirst() else { throw Errno.EBADF }
        let backend = try Connection(adopting: socket)
        try backend.send(request: BackendRequest.configurationChanged.rawValue, flags: .request)
        #expect(try channel.receive(timeout: 1000).header.request == 2)
    }

    /// Answers that a broken back-end might give.
    @Test(arguments: [
        (header(1, 1, 8) + le64(0), VhostUserError.unexpectedMessage(request: 1, flags: 1)),  // a request
        (header(1, 0xd, 8) + le64(0), .unexpectedMessage(request: 1, flags: 0xd)),
        (header(2, 5, 8) + le64(0), .unexpectedMessage(request: 2, flags: 5)),
        (header(1, 5, 4) + le32(0), .payloadSize(4)),
        (header(1, 5, 0), .payloadSize(0)),
        (header(1, 6, 8) + le64(0), .wrongVersion(flags: 6)),
    ])
    func brokenAnswers(answer: [UInt8], error: VhostUserError) throws {
        let wire = try Wire()
        let number = try wire.connection.descriptor.duplicate().release()
        let frontend = try FrontendSession(adopting: OwnedDescriptor(adopting: number), replyTimeout: 1000)
        try wire.send(answer)
        #expect(throws: error) { try frontend.negotiate(wanted: []) }
    }

    @Test func backendThatNeverAnswers() throws {
        let wire = try Wire()
        let number = try wire.connection.descriptor.duplicate().release()
        let frontend = try FrontendSession(adopting: OwnedDescriptor(adopting: number), replyTimeout: 10)
        #expect(throws: VhostUserError.timedOut) { try frontend.queueCount() }
    }

    /// Regions can be asked for only where they were negotiated; an answer with a descriptor is none.
    @Test func sharedMemorySizes() throws {
        let (frontend, peer) = try pair()
        #expect(throws: VhostUserError.notOffered(request: 44)) { try frontend.sharedMemorySizes() }
        // GET_FEATURES: VHOST_USER_F_PROTOCOL_FEATURES; GET_PROTOCOL_FEATURES: SHMEM.
        try peer.send(request: 1, flags: .answer, payload: le64(1 << 30))
        try peer.send(request: 15, flags: .answer, payload: le64(1 << 22))
        try frontend.negotiate(wanted: [.sharedMemory])
        for request: UInt32 in [1, 15, 16, 3] {
            #expect(try peer.receive(timeout: 5000).header.request == request)
        }
        let sizes = SharedMemorySizes(sizes: [1 << 21, 0, 4096])
        try peer.send(request: 44, flags: .answer, payload: sizes.encoded)
        #expect(try frontend.sharedMemorySizes() == sizes)
        #expect(
            try peer.receive(timeout: 5000).header
                == MessageHeader(request: 44, flags: .request, payloadByteCount: 0))
        let probe = try LeakProbe()
        try peer.send(request: 44, flags: .answer, payload: sizes.encoded, descriptors: [probe.number])
        #expect(throws: VhostUserError.descriptorCount(1)) { try frontend.sharedMemorySizes() }
        #expect(probe.isClosedEverywhere())
    }

    private func pair() throws -> (FrontendSession, Connection) {
        try SocketPair().split { (ours, theirs) throws(Errno) in
            (try FrontendSession(adopting: ours, replyTimeout: 5000), try Connection(adopting: theirs))
        }
    }
}
