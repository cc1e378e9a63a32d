// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseServer
import FuseWire
import HostOS
import Testing
import VhostUser

@testable import Backend

/// One front-end after the other, and everybody else who knocks.
@Suite struct DaemonTests {
    private func knock(_ rig: Rig) throws -> OwnedDescriptor {
        let socket = try makeUnixSocket()
        try connectUnixSocket(socket.rawValue, to: rig.socketPath)
        return socket
    }

    @Test func aProbeThatLeavesHarmsNothing() throws {
        let rig = try Rig(share: NullShare())
        for _ in 0..<50 { _ = try knock(rig) }
        let client = try rig.guest()
        _ = try knock(rig)
        #expect(try client.lookup(.root, "null".utf8).nodeID == 2)
    }

    @Test func silentStrangersDoNotHoldTheDevice() throws {
        let rig = try Rig(share: NullShare())
        var strangers: [Int32] = []
        for _ in 0..<40 { strangers.append(try knock(rig).release()) }
        let client = try rig.guest()
        #expect(try client.lookup(.root, "null".utf8).nodeID == 2)
        for number in strangers { _ = OwnedDescriptor(adopting: number) }
        #expect(try client.lookup(.root, "null".utf8).nodeID == 2)
    }

    @Test func aSecondFrontendWaitsForTheFirst() throws {
        let share = NullShare()
        let rig = try Rig(share: share)
        var first: FuseClient? = try rig.guest()
        let second = try FrontendSession(connectingTo: rig.socketPath)
        try second.send(request: FrontendRequest.getFeatures.rawValue)
        #expect(try first!.lookup(.root, "null".utf8).nodeID == 2)
        first = nil
        _ = try second.receiveReply(to: FrontendRequest.getFeatures.rawValue)
        #expect(share.disconnects.load(ordering: .relaxed) == 1)
    }

    @Test func theNextFrontendFindsACleanDevice() throws {
        let share = NullShare()
        let rig = try Rig(share: share)
        for round in 1...20 {
            let client = FuseClient(try rig.connect())
            // Nothing is left of the last one's session.
            #expect(throws: Errno.EIO) { try client.getattr(.root) }
            _ = try client.initialize()
            _ = try client.getattr(.root)
            #expect(share.disconnects.load(ordering: .relaxed) == round - 1)
        }
    }

    /// Requests are on their way when the front-end vanishes.
    @Test func aFrontendMayVanishInTheMiddle() throws {
        let rig = try Rig(share: NullShare())
        for _ in 0..<10 {
            let client = try rig.guest()
            var request = FuseRequest(.getattr, .root, GetAttrIn())
            request.replyBodyByteCount = MemoryLayout<AttrOut>.size
            for _ in 0..<10 { _ = try client.submit(request) }
        }
        _ = try rig.guest().getattr(.root)
    }

    /// A message that breaks the protocol ends its connection only.
    @Test(
        arguments: [
            [0x01, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0],  // version 2
            [0x01, 0, 0, 0, 0x05, 0, 0, 0, 0, 0, 0, 0],  // a reply where a request should be
            [0x01, 0, 0, 0, 0x01, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],  // 4 GiB of payload
            [0x02, 0, 0, 0, 0x01, 0, 0, 0, 0, 0, 0, 0],  // SET_FEATURES without its number
            [0x0b, 0, 0, 0, 0x01, 0, 0, 0, 8, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0],  // GET_VRING_BASE of ring 99
            [0x01, 0, 0, 0, 0x01, 0],  // cut off
        ] as [[UInt8]]) func aBrokenMessageEndsItsConnectionOnly(bytes: [UInt8]) throws
    {
        let rig = try Rig(share: NullShare())
        do {
            let connection = try Connection(adopting: try knock(rig))
            try connection.send(bytes)
            #expect(throws: VhostUserError.disconnected) { _ = try connection.receive(timeout: 10_000) }
        }
        _ = try rig.guest().getattr(.root)
    }

    @Test func onceEndsAfterTheFirstThatUsedTheDevice() throws {
        let rig = try Rig(share: NullShare(), once: true)
        for _ in 0..<3 { _ = try knock(rig) }
        do { _ = try rig.guest().getattr(.root) }
        rig.join()
        #expect(throws: Errno.ENOENT) { _ = try knock(rig) }
    }

    @Test func stoppingAnswersWhatIsInFlightAndRemovesTheSocket() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        rig.end()
        #expect(throws: Errno.ENOENT) { _ = try knock(rig) }
        #expect(throws: VhostUserError.disconnected) { _ = try client.frontend.session.queueCount() }
    }
}
