// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseServer
import FuseWire
import HostOS
import Testing
import VhostUser

@testable import Backend

/// The messages of each VMM in its own order (reference: protocol.md §1.7, §7), then requests on every queue, then its way
/// of stopping.
@Suite struct HandshakeTests {
    /// What a Linux guest takes of what is offered.
    private static let guestFeatures: VirtioFeatures = [.version1, .indirectDescriptors, .eventIndex]

    private func frontend(
        _ script: Script, _ offered: UInt64, _ configure: (inout FrontendOptions) -> Void = { _ in }
    ) throws -> DeviceFrontend {
        var options = FrontendOptions()
        options.requestQueues = 2
        configure(&options)
        return try DeviceFrontend(
            session: script.session,
            features: Self.guestFeatures.intersection(VirtioFeatures(rawValue: offered)), options: options)
    }

    private func accepted(_ offered: UInt64) -> UInt64 {
        VirtioFeatures(rawValue: offered).intersection(Self.guestFeatures.union(.protocolFeatures)).rawValue
    }

    /// INIT, then LOOKUP on each request queue and FORGET on hiprio.
    private func useAllQueues(_ frontend: DeviceFrontend) throws {
        let client = FuseClient(frontend)
        _ = try client.initialize()
        for queue in frontend.queues.dropFirst() {
            client.queue = queue.index
            #expect(try client.lookup(.root, "null".utf8).nodeID == 2)
        }
        try client.forget(NodeID(rawValue: 2), count: 2)
    }

    @Test func qemu7() throws {
        let rig = try Rig(queues: 2, share: NullShare())
        let script = try Script(rig)
        let offered = try script.askNumber(.getFeatures)
        let protocolFeatures = try script.askNumber(.getProtocolFeatures)
        // CONFIG is dropped by its fs device, everything else that it knows is taken.
        try script.tell(.setProtocolFeatures, protocolFeatures & 0x1fdff)
        #expect(try script.askNumber(.getQueueCount) == 3)
        #expect(try script.askNumber(.getMaximumMemorySlots) == 509)
        try script.tell(.setOwner)
        #expect(try script.askNumber(.getFeatures) == offered)
        let frontend = try frontend(script, offered) { $0.regionByteCount = 32 << 20 }
        for queue in frontend.queues { try script.call(queue) }

        try script.tell(.setFeatures, accepted(offered))
        try script.memorySlots(frontend.ram, ack: true)
        for queue in frontend.queues {
            try script.ring(.setVringSize, queue, queue.size)
            try script.ring(.setVringBase, queue, 0)
            try script.addresses(queue)
            try script.kick(queue)
            try script.call(queue)
        }
        for queue in frontend.queues { try script.ring(.setVringEnable, queue, 1) }
        try useAllQueues(frontend)

        for queue in frontend.queues { try script.ring(.setVringEnable, queue, 0) }
        #expect(try frontend.queues.map { try script.stop($0) } == [1, 2, 1])
    }

    @Test func qemu11() throws {
        let rig = try Rig(queues: 2, share: NullShare())
        let script = try Script(rig)
        let offered = try script.askNumber(.getFeatures)
        let protocolFeatures = try script.askNumber(.getProtocolFeatures)
        try script.tell(.setProtocolFeatures, protocolFeatures)
        #expect(try script.askNumber(.getQueueCount) == 3)
        #expect(try script.askNumber(.getMaximumMemorySlots) == 509)
        try script.tell(.setOwner)
        _ = try script.askNumber(.getFeatures)
        let frontend = try frontend(script, offered)
        for queue in frontend.queues {
            try script.call(queue, ack: true)
            try script.error(queue, ack: true)
        }
        // vhost-user-test-device reads its configuration byte by byte.
        for (offset, byte) in "rig".utf8.enumerated() {
            #expect(try script.session.readConfiguration(offset: UInt32(offset), count: 1) == [byte])
        }
        for round in 1...2 {
            try script.tell(.setFeatures, accepted(offered))
            if round == 1 { try script.memorySlots(frontend.ram, ack: true) }
            for queue in frontend.queues {
                try script.ring(.setVringSize, queue, queue.size)
                try script.ring(.setVringBase, queue, 0)
                try script.addresses(queue)
                try script.kick(queue, ack: true)
                try script.call(queue, ack: true)
            }
            for queue in frontend.queues { try script.ring(.setVringEnable, queue, 1, ack: true) }
            for queue in frontend.queues { try script.call(queue, ack: true) }
            try useAllQueues(frontend)

            for queue in frontend.queues { try script.ring(.setVringEnable, queue, 0, ack: true) }
            #expect(try frontend.queues.map { try script.stop($0) } == [1, 2, 1])
            for queue in frontend.queues { try script.call(queue, ack: true) }
            // The guest reset its device: a message without any answer. The next round is its driver again.
            try script.tell(.resetDevice)
            for queue in frontend.queues { queue.restart() }
        }
    }

    @Test func cloudHypervisor() throws {
        let rig = try Rig(queues: 2, share: NullShare(), tag: nil)
        let script = try Script(rig)
        try script.tell(.setOwner)
        let offered = try script.askNumber(.getFeatures)
        let wanted: ProtocolFeatures = [
            .multiqueue, .configureMemorySlots, .replyAck, .inflightMemory, .logSharedMemory, .deviceState,
        ]
        let protocolFeatures = ProtocolFeatures(rawValue: try script.askNumber(.getProtocolFeatures))
        #expect(!protocolFeatures.contains(.configuration), "the tag is the VMM's")
        try script.tell(.setProtocolFeatures, protocolFeatures.intersection(wanted).rawValue)
        #expect(try script.askNumber(.getQueueCount) >= 3)
        script.acknowledged = true
        try script.tell(.setFeatures, accepted(offered))
        let frontend = try frontend(script, offered)
        try script.memorySlots(frontend.ram)
        for queue in frontend.queues { try script.ring(.setVringSize, queue, queue.size) }
        for queue in frontend.queues {
            try script.addresses(queue)
            try script.ring(.setVringBase, queue, 0)
            try script.call(queue)
            try script.kick(queue)
        }
        for queue in frontend.queues { try script.ring(.setVringEnable, queue, 1) }
        try useAllQueues(frontend)
        for queue in frontend.queues { try script.ring(.setVringEnable, queue, 0) }
        #expect(try frontend.queues.map { try script.stop($0) } == [1, 2, 1])
    }

    @Test func crosvm() throws {
        let rig = try Rig(queues: 2, share: NullShare())
        let script = try Script(rig)
        try script.tell(.setOwner)
        let offered = try script.askNumber(.getFeatures)
        let protocolFeatures = ProtocolFeatures(rawValue: try script.askNumber(.getProtocolFeatures))
        let wanted: ProtocolFeatures = [.multiqueue, .replyAck, .configuration, .backendChannel]
        try script.tell(.setProtocolFeatures, protocolFeatures.intersection(wanted).rawValue)
        #expect(try script.askNumber(.getQueueCount) == 3)
        #expect(try script.session.readConfiguration(offset: 36, count: 4) == [2, 0, 0, 0])
        try script.tell(.setFeatures, accepted(offered))
        let frontend = try frontend(script, offered)
        try script.memoryTable(frontend.ram)
        for queue in frontend.queues {
            try script.ring(.setVringSize, queue, queue.size)
            try script.addresses(queue)
            try script.ring(.setVringBase, queue, 0)
            try script.call(queue)
            try script.kick(queue)
            try script.ring(.setVringEnable, queue, 1)
        }
        try useAllQueues(frontend)
        #expect(try frontend.queues.map { try script.stop($0) } == [1, 2, 1])
    }

    /// Everything is acknowledged from SET_PROTOCOL_FEATURES on, the call is a pipe, and ENABLE 0 is all it says at the end.
    @Test func userModeLinux() throws {
        let rig = try Rig(queues: 2, share: NullShare())
        let script = try Script(rig)
        try script.tell(.setOwner)
        let offered = try script.askNumber(.getFeatures)
        let protocolFeatures = ProtocolFeatures(rawValue: try script.askNumber(.getProtocolFeatures))
        #expect(!protocolFeatures.contains(.inbandNotifications))
        let wanted: ProtocolFeatures = [.multiqueue, .replyAck, .backendChannel, .configuration]
        script.acknowledged = true
        try script.tell(.setProtocolFeatures, protocolFeatures.intersection(wanted).rawValue)
        #expect(try script.askNumber(.getQueueCount) == 3)
        // It reads from offset 0 always, up to the byte it wants.
        for count in [1, 36, 40] {
            let bytes = try script.session.readConfiguration(offset: 0, count: count)
            #expect(bytes.count == count && bytes.first == UInt8(ascii: "r"))
        }
        let frontend = try frontend(script, offered) {
            $0.userBase = 0x6000_0000  // physical memory begins there, in both kinds of address
            $0.guestBase = 0x6000_0000
        }
        for _ in 1...2 {
            try script.tell(.setFeatures, accepted(offered))
            try script.memoryTable(frontend.ram, padding: 32)
            let pipes = try frontend.queues.map { _ in try Pipe() }
            for (queue, pipe) in zip(frontend.queues, pipes) {
                try script.notifier(.setVringCall, queue, pipe.writeEnd.rawValue)
                try script.ring(.setVringSize, queue, queue.size)
                try script.ring(.setVringBase, queue, 0)
                try script.addresses(queue)
            }
            for queue in frontend.queues {
                try script.kick(queue)
                try script.ring(.setVringEnable, queue, 1)
            }
            let queue = frontend.queues[1]
            var initialize = FuseRequest(.initialize, NodeID(rawValue: 0))
            var argument = InitIn()
            (argument.major, argument.minor) = (7, 38)
            initialize.append(argument)
            initialize.replyBodyByteCount = MemoryLayout<InitOut>.size
            initialize.header.unique = 2
            initialize.setLengths()
            let ticket = try queue.submit(initialize.message)
            #expect(waitReadable(pipes[1].readEnd.rawValue, until: Deadline(milliseconds: 10_000)))
            try queue.collect()
            #expect(queue.isCompleted(ticket))

            for queue in frontend.queues.reversed() { try script.ring(.setVringEnable, queue, 0) }
            #expect(try script.askNumber(.getFeatures) == offered)  // its barrier
            for queue in frontend.queues { queue.restart() }
        }
    }

    @Test func whatWasNotOfferedIsRefused() throws {
        let rig = try Rig(share: NullShare(), tag: nil)
        let script = try Script(rig)
        for feature in [ProtocolFeatures.inbandNotifications, .sharedMemory, .guestAddresses, .configuration]
        {
            #expect(throws: VhostUserError.negativeReply(1)) {
                try script.session.send(
                    request: FrontendRequest.setProtocolFeatures.rawValue,
                    payload: feature.rawValue.encodedPayload,
                    flags: [.request, .needReply])
                let code = try UInt64(
                    decodingPayload: try script.session.receiveReply(
                        to: FrontendRequest.setProtocolFeatures.rawValue))
                if code != 0 { throw VhostUserError.negativeReply(code) }
            }
        }
        #expect(try script.askNumber(.getQueueCount) == 2)
    }
}
