// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import HostOS
import Testing

/// FORGETs wake nobody more than they must, and always come back.
@Suite struct ForgetTests {
    private func forget(_ guest: FuseClient) throws -> FuseClient.Pending {
        var argument = ForgetIn()
        argument.count = 1
        var request = FuseRequest(.forget, NodeID(rawValue: 2), argument)
        request.replyBodyByteCount = nil
        return try guest.submit(request, queue: 0)
    }

    private func rig(eventIndex: Bool) throws -> (Rig, FuseClient) {
        let rig = try Rig(share: NullShare())
        var options = FrontendOptions()
        options.queueSize = 128
        options.depth = 128
        options.features = [.version1, .indirectDescriptors]
        if eventIndex { options.features.insert(.eventIndex) }
        return (rig, try rig.guest(options))
    }

    /// Nothing else is asked of the device: they are not left lying.
    @Test(arguments: [true, false]) func theyComeBackWithoutARequestBehindThem(eventIndex: Bool) throws {
        let (rig, guest) = try rig(eventIndex: eventIndex)
        for count in [1, 2, 15, 16, 17, 40] {
            let pending = try (0..<count).map { _ in try forget(guest) }
            // This sleeps until the device interrupts.
            for one in pending { _ = try guest.receive(one) }
        }
        rig.end()
    }

    /// One interrupt for many, while requests keep the worker busy.
    @Test func theyInterruptSeldom() throws {
        let (rig, guest) = try rig(eventIndex: true)
        let queue = guest.frontend.queues[0]
        var interrupts = 0
        var sent: [FuseClient.Pending] = []
        _ = queue.chains.armInterrupts()
        for _ in 0..<96 {
            sent.append(try forget(guest))
            _ = try guest.getattr(NodeID(rawValue: 2))
            if waitReadable(queue.call.descriptor.rawValue, timeoutMilliseconds: 0) != 0 {
                queue.call.clear()
                interrupts += 1
                try queue.collect()
                _ = queue.chains.armInterrupts()
            }
        }
        for one in sent { _ = try guest.receive(one) }
        #expect(interrupts < 48, "\(interrupts) interrupts for 96 FORGETs")
        rig.end()
    }

    /// The ring is full of FORGETs again and again.
    @Test func aFullRingIsEmptied() throws {
        let (rig, guest) = try rig(eventIndex: true)
        var pending: [FuseClient.Pending] = []
        for _ in 0..<1000 {
            if pending.count == 128 {
                for one in pending { _ = try guest.receive(one) }
                pending.removeAll()
            }
            pending.append(try forget(guest))
        }
        for one in pending { _ = try guest.receive(one) }
        rig.end()
    }
}
