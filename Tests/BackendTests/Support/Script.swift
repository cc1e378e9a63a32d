// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import HostOS
import Testing
import VhostUser

@testable import Backend

/// A VMM's part, message by message, on one connection.
final class Script {
    let session: FrontendSession
    /// Whether messages without a reply of their own ask for an acknowledgement, where not said otherwise.
    var acknowledged = false

    init(_ rig: Rig) throws {
        session = try FrontendSession(connectingTo: rig.socketPath)
    }

    /// A message without a reply of its own. With `ack`, the daemon must acknowledge it with 0; without, the next answer
    /// read must belong to the next question, which proves that none came.
    func tell(_ request: FrontendRequest, _ payload: [UInt8] = [], _ files: [Int32] = [], ack: Bool? = nil)
        throws
    {
        let wantsAnswer = ack ?? acknowledged
        try session.send(
            request: request.rawValue, payload: payload, descriptors: files,
            flags: wantsAnswer ? [.request, .needReply] : .request)
        if wantsAnswer {
            let code = try UInt64(decodingPayload: try session.receiveReply(to: request.rawValue))
            #expect(code == 0, "\(request)")
        }
    }

    func tell(_ request: FrontendRequest, _ number: UInt64, ack: Bool? = nil) throws {
        try tell(request, number.encodedPayload, ack: ack)
    }

    func ask(_ request: FrontendRequest, _ payload: [UInt8] = []) throws -> [UInt8] {
        try session.ask(request, payload)
    }

    func askNumber(_ request: FrontendRequest) throws -> UInt64 {
        try UInt64(decodingPayload: try ask(request))
    }

    func ring(_ request: FrontendRequest, _ queue: RequestQueue, _ number: Int, ack: Bool? = nil) throws {
        try tell(request, VringState(ring: UInt32(queue.index), number: UInt32(number)).encoded, ack: ack)
    }

    func notifier(_ request: FrontendRequest, _ queue: RequestQueue, _ file: Int32, ack: Bool? = nil) throws {
        let payload = VringNotifier(ring: UInt8(queue.index), hasDescriptor: true).encoded
        try tell(request, payload, [file], ack: ack)
    }

    func call(_ queue: RequestQueue, ack: Bool? = nil) throws {
        try notifier(.setVringCall, queue, queue.call.descriptor.rawValue, ack: ack)
    }

    func kick(_ queue: RequestQueue, ack: Bool? = nil) throws {
        try notifier(.setVringKick, queue, queue.kick.descriptor.rawValue, ack: ack)
    }

    func error(_ queue: RequestQueue, ack: Bool? = nil) throws {
        try notifier(.setVringError, queue, queue.error.descriptor.rawValue, ack: ack)
    }

    func addresses(_ queue: RequestQueue, ack: Bool? = nil) throws {
        try tell(.setVringAddresses, queue.addresses.encoded, ack: ack)
    }

    /// Every region with its descriptor in one message.
    func memoryTable(_ ram: GuestRAM, padding: Int = 0, ack: Bool? = nil) throws {
        let payload = MemoryTable(regions: ram.regions).encoded + [UInt8](repeating: 0, count: padding)
        try tell(.setMemoryTable, payload, ram.regions.map { _ in ram.file }, ack: ack)
    }

    func memorySlots(_ ram: GuestRAM, ack: Bool? = nil) throws {
        for region in ram.regions { try tell(.addMemoryRegion, region.encodedSingle, [ram.file], ack: ack) }
    }

    func stop(_ queue: RequestQueue) throws -> UInt32 {
        let state = VringState(ring: UInt32(queue.index), number: 0)
        return try VringState(decoding: try ask(.getVringBase, state.encoded)).number
    }
}
