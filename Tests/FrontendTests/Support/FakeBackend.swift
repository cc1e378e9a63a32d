// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Synchronization
import VhostUser

@testable import Frontend

/// A back-end in this process that says yes to everything, but for one request that it answers as it is told.
/// It never touches a ring: tests do that themselves, as the device.
final class FakeBackend {
    struct Plan: Sendable {
        var features: VirtioFeatures = [.version1, .protocolFeatures, .eventIndex, .indirectDescriptors]
        var protocolFeatures: ProtocolFeatures = [
            .multiqueue, .replyAck, .configureMemorySlots, .resetDevice, .configuration, .backendChannel,
            .backendSendsDescriptors, .sharedMemory,
        ]
        var queues: UInt64 = 3
        var sizes: [UInt64] = [1 << 21, 1 << 16]
        /// Takes the place of our answer to this request; the message's header is what was asked.
        var odd: FrontendRequest?
        var answer: @Sendable (Connection, MessageHeader) throws -> Void = { _, _ in }
    }

    private let thread: HostOS.Thread
    private let connection: Connection
    /// What the front-end connects with.
    private let front: Connection
    private let state = State()
    private final class State: Sendable {
        let connection = Mutex<Connection?>(nil)
        let requests = Mutex<[FrontendRequest]>([])
        let regions = Mutex<[RegionDescription]>([])
    }

    init(_ plan: Plan = Plan()) throws {
        let (connection, front) = try SocketPair().split { (ours, theirs) throws(Errno) in
            (try Connection(adopting: ours), try Connection(adopting: theirs))
        }
        (self.connection, self.front) = (connection, front)
        let state = state
        thread = try HostOS.Thread(name: "fake") {
            do { while true { try Self.serve(connection, plan, state) } } catch {}
            hangUp(connection)
        }
    }

    deinit {
        die()
        thread.join()
    }

    /// A device that has gone through the handshake with us.
    func connect(_ options: FrontendOptions = FrontendOptions()) throws -> DeviceFrontend {
        var options = options
        options.depth = min(options.depth, 4)
        options.requestByteCount = 16384
        options.replyByteCount = 16384
        return try DeviceFrontend(adopting: try front.descriptor.duplicate(), options: options)
    }

    /// Ends the connection and the channel, as a daemon does that ends.
    func die() {
        hangUp(connection)
        closeChannel()
    }

    /// Our end of the channel that the front-end gave us.
    var channel: Connection? { state.connection.withLock { $0 } }
    /// At once, which close(2) does not do while a process that another test is just starting has it open too.
    func closeChannel() {
        state.connection.withLock { connection in
            if let connection { hangUp(connection) }
            connection = nil
        }
    }

    /// What was asked since this was last looked at.
    func takeRequests() -> [FrontendRequest] {
        state.requests.withLock { requests in
            defer { requests = [] }
            return requests
        }
    }

    /// The guest memory that it has been told of.
    var regions: [RegionDescription] { state.regions.withLock { $0 } }

    /// Says something that nobody asked.
    func send(_ bytes: [UInt8], descriptors: [Int32] = []) throws {
        try connection.send(bytes, descriptors: descriptors)
    }

    private static func serve(_ connection: Connection, _ plan: Plan, _ state: State) throws {
        var message = try connection.receive()
        let header = message.header
        if let request = FrontendRequest(rawValue: header.request) {
            state.requests.withLock { $0.append(request) }
        }
        if let region = try? RegionDescription(decodingSingle: message.payload) {
            state.regions.withLock { regions in
                if header.request == FrontendRequest.addMemoryRegion.rawValue { regions.append(region) }
                if header.request == FrontendRequest.removeMemoryRegion.rawValue {
                    regions.removeAll { $0 == region }
                }
            }
        }
        if header.request == plan.odd?.rawValue { return try plan.answer(connection, header) }
        func reply(_ payload: [UInt8]) throws {
            try connection.send(request: header.request, flags: .answer, payload: payload)
        }
        switch FrontendRequest(rawValue: header.request) {
        case .getFeatures: try reply(plan.features.rawValue.encodedPayload)
        case .getProtocolFeatures: try reply(plan.protocolFeatures.rawValue.encodedPayload)
        case .getQueueCount: try reply(plan.queues.encodedPayload)
        case .getSharedMemorySizes: try reply(SharedMemorySizes(sizes: plan.sizes).encoded)
        case .getVringBase: try reply(message.payload)
        default:
            if header.request == FrontendRequest.setBackendChannel.rawValue,
                let socket = message.descriptors.takeFirst()
            {
                let channel = try Connection(adopting: socket)
                state.connection.withLock { $0 = channel }
            }
            if header.flags.contains(.needReply) { try reply(UInt64(0).encodedPayload) }
        }
    }
}

/// Ends both directions at once, whoever else has a descriptor of the socket.
private func hangUp(_ connection: Connection) {
    _ = shutdown(connection.descriptor.rawValue, Int32(SHUT_RDWR))
}
