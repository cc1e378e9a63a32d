// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseServer
import FuseWire
import GuestMemory
import HostOS
import Testing
import VhostUser
import Virtqueue

@testable import Backend

/// Rings that are stopped, started, disabled and rewired while requests are made.
@Suite struct RingLifeTests {
    private let null = NodeID(rawValue: 2)

    private func getattr(_ client: FuseClient) throws -> FuseClient.Pending {
        var request = FuseRequest(.getattr, null, GetAttrIn())
        request.replyBodyByteCount = MemoryLayout<AttrOut>.size
        return try client.submit(request)
    }

    @Test func aDisabledRingIsLeftAlone() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        let queue = client.frontend.queues[1]
        try client.frontend.session.setRingEnabled(1, false)
        let pending = try getattr(client)
        // The answer to this comes from the control thread, after the worker has stopped.
        _ = try client.frontend.session.queueCount()
        try queue.collect()
        #expect(queue.outstanding == 1)
        try client.frontend.session.setRingEnabled(1, true)
        #expect(try client.receive(pending).header.error == 0)
    }

    @Test func aStoppedRingGoesOnWhereItWas() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        let frontend = client.frontend
        let queue = frontend.queues[1]
        for count in 1..<5 {
            #expect(try frontend.stop(queue) == UInt16(count))
            let pending = try getattr(client)
            try frontend.start(queue, base: UInt16(count))
            #expect(try client.receive(pending).header.error == 0)
        }
    }

    @Test func stoppingTwiceIsHarmless() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        #expect(try client.frontend.stop(client.frontend.queues[1]) == 1)
        #expect(try client.frontend.stop(client.frontend.queues[1]) == 1)
    }

    /// The indices are 16 bits wide and go on beyond their wrap.
    @Test(arguments: [true, false]) func indicesWrap(eventIndex: Bool) throws {
        let rig = try Rig(share: NullShare())
        var options = FrontendOptions()
        options.queueSize = 4
        options.depth = 4
        options.features =
            eventIndex ? [.version1, .eventIndex, .indirectDescriptors] : [.version1, .indirectDescriptors]
        let client = try rig.guest(options)
        for _ in 0..<(1 << 14) {
            let batch = try (0..<4).map { _ in try getattr(client) }
            for pending in batch {
                let reply = try client.receive(pending)
                guard reply.header.error == 0 else { throw Errno(rawValue: -reply.header.error) }
            }
        }
        #expect(try client.frontend.stop(client.frontend.queues[1]) == 1)  // INIT and 2^16 more
    }

    @Test func resetForgetsTheSession() throws {
        let share = NullShare()
        let rig = try Rig(share: share)
        let client = try rig.guest()
        _ = try client.getattr(null)
        try client.frontend.reset()
        #expect(share.disconnects.load(ordering: .relaxed) == 1)
        #expect(throws: Errno.EIO) { try client.getattr(null) }
        _ = try client.initialize()
        _ = try client.getattr(null)
    }

    /// QEMU exchanges the call descriptor whenever the guest masks an interrupt.
    @Test func theCallDescriptorChangesDuringRequests() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        let frontend = client.frontend
        let queue = frontend.queues[1]
        for _ in 0..<200 {
            let pending = try getattr(client)
            try queue.replaceCall()
            try frontend.session.command(
                .setVringCall, VringNotifier(ring: 1, hasDescriptor: true).encoded,
                descriptors: [queue.call.descriptor.rawValue])
            // Whichever of the two the interrupt of the first went to: the second must come on the new one.
            _ = try eventually {
                try queue.collect()
                return queue.outstanding == 0
            }
            #expect(try client.receive(pending).header.error == 0)
            _ = try client.getattr(null)
        }
    }

    @Test func aRingWithoutAKickDescriptorIsPolled() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        let frontend = client.frontend
        #expect(try frontend.stop(frontend.queues[1]) == 1)
        try frontend.session.command(.setVringKick, VringNotifier(ring: 1, hasDescriptor: false).encoded)
        for _ in 0..<3 { _ = try client.getattr(null) }
    }

    @Test func aRingWithoutACallDescriptorStaysSilent() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        let queue = client.frontend.queues[1]
        queue.call.clear()
        try client.frontend.session.command(
            .setVringCall, VringNotifier(ring: 1, hasDescriptor: false).encoded)
        let pending = try getattr(client)
        #expect(
            try eventually {
                try queue.collect()
                return queue.outstanding == 0
            })
        #expect(try client.frontend.stop(queue) == 2)
        #expect(waitReadable(queue.call.descriptor.rawValue, timeoutMilliseconds: 0) == 0)
        #expect(try client.receive(pending).header.error == 0)
    }

    /// A kick descriptor whose other end is gone is readable for ever.
    @Test func aHungUpKickPipeDoesNotStopTheRing() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        var pipe: Pipe? = try Pipe()
        try client.frontend.session.command(
            .setVringKick, VringNotifier(ring: 1, hasDescriptor: true).encoded,
            descriptors: [pipe!.readEnd.rawValue])
        pipe = nil
        for _ in 0..<3 { _ = try client.getattr(null) }
    }

    @Test func manyRequestsAreOutstandingOnEveryQueue() throws {
        let rig = try Rig(queues: 4, share: NullShare())
        var options = FrontendOptions()
        options.requestQueues = 4
        let client = try rig.guest(options)
        for _ in 0..<50 {
            var pending: [FuseClient.Pending] = []
            for queue in 1...4 {
                client.queue = queue
                for _ in 0..<options.depth { pending.append(try getattr(client)) }
            }
            for one in pending.shuffled() { #expect(try client.receive(one).header.error == 0) }
        }
    }

    // MARK: Memory

    /// A region that comes while requests are made can be used at once; one that went breaks the ring that uses it.
    @Test func memoryComesAndGoesDuringRequests() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        let frontend = client.frontend
        let queue = frontend.queues[1]
        let plugged = try GuestRAM(byteCount: 1 << 20, guestBase: 1 << 40, userBase: 0x7f00_0000_0000)
        var request = FuseRequest(.getattr, null, GetAttrIn())
        request.header.unique = 77
        request.setLengths()
        let bytes = request.message.bytes
        let base = GuestAddress(1 << 40)
        try plugged.write(bytes.span, at: base)
        let readable = [GuestBuffer(base, byteCount: UInt32(bytes.count))]
        let writable = [GuestBuffer(GuestAddress(1 << 40 + 4096), byteCount: 120)]

        var pending = try (0..<8).map { _ in try getattr(client) }
        try frontend.session.addMemoryRegion(plugged.regions[0], file: plugged.file)
        let ticket = try queue.enqueue(readable: readable, writable: writable)
        queue.notify()
        #expect(try queue.wait(for: ticket, until: Deadline(milliseconds: 10_000)).written == 120)
        #expect(
            wireValue(OutHeader.self, from: try plugged.read(16, at: GuestAddress(1 << 40 + 4096)))?.unique
                == 77)

        pending += try (0..<4).map { _ in try getattr(client) }
        try frontend.session.removeMemoryRegion(plugged.regions[0])
        for one in pending { #expect(try client.receive(one).header.error == 0) }
        let lost = try queue.enqueue(readable: readable, writable: writable)
        queue.notify()
        #expect(throws: Errno.ECONNRESET) { try queue.wait(for: lost, until: Deadline(milliseconds: 10_000)) }
    }

    @Test func anUnknownRegionCannotBeRemovedNorAKnownOneAddedTwice() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        let session = client.frontend.session
        var region = client.frontend.ram.regions[0]
        #expect(throws: VhostUserError.negativeReply(1)) {
            try session.addMemoryRegion(region, file: client.frontend.ram.file)
        }
        region.size += 4096
        #expect(throws: VhostUserError.negativeReply(1)) { try session.removeMemoryRegion(region) }
        _ = try client.getattr(null)
    }

    @Test func aRegionWithARingInItMayNotVanishUnderIt() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        let frontend = client.frontend
        try frontend.session.removeMemoryRegion(frontend.ram.regions[0])
        // Every ring is broken, which its error descriptor says; the daemon and the connection live.
        for queue in frontend.queues {
            #expect(waitReadable(queue.error.descriptor.rawValue, until: Deadline(milliseconds: 10_000)))
        }
        try frontend.session.addMemoryRegion(frontend.ram.regions[0], file: frontend.ram.file)
        try frontend.reset()
        _ = try client.initialize()
    }

    @Test func ringsMustLieInMemory() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        let frontend = client.frontend
        _ = try frontend.stop(frontend.queues[1])
        for (descriptors, available, used): (UInt64, UInt64, UInt64) in [
            (0x1000, 0, 0), (8, 0, 0), (0, 1, 0), (0, 0, 2),
        ] {
            var addresses = frontend.queues[1].addresses
            if descriptors == 0x1000 {
                addresses.descriptorTable = 0x1000
            } else {
                addresses.descriptorTable += descriptors
            }
            addresses.availableRing += available
            addresses.usedRing += used
            #expect(throws: VhostUserError.negativeReply(1)) {
                try frontend.session.startRing(
                    size: 256, base: 1, addresses: addresses,
                    kick: frontend.queues[1].kick.descriptor.rawValue,
                    call: frontend.queues[1].call.descriptor.rawValue)
            }
            _ = try? frontend.stop(frontend.queues[1])
        }
        try frontend.start(frontend.queues[1], base: 1)
        _ = try client.getattr(null)
    }
}
