// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Synchronization

/// The front-end's side of one connection: the part of a VMM that asks a back-end for a device.
///
/// Every call sends its request and, where the protocol lets it, waits for the answer. One thread negotiates; then any may
/// make a request, and waits for that of another to be answered.
package final class FrontendSession {
    package let connection: Connection
    /// What the back-end offers and, after `negotiate`, what both ends use.
    package private(set) var offeredFeatures: VirtioFeatures = []
    package private(set) var offeredProtocolFeatures: ProtocolFeatures = []
    package private(set) var protocolFeatures: ProtocolFeatures = []
    /// How long to wait for an answer, in milliseconds. Stopping a ring waits for what is in flight.
    private let replyTimeout: Int32
    /// Held from a request until its answer.
    private let exchange = Mutex<Void>(())

    /// Takes over a connected socket.
    package init(adopting descriptor: consuming OwnedDescriptor, replyTimeout: Int32 = 30_000) throws(Errno) {
        connection = try Connection(adopting: descriptor)
        self.replyTimeout = replyTimeout
    }

    /// Connects to the back-end that listens at `path`.
    package convenience init(connectingTo path: String, replyTimeout: Int32 = 30_000) throws(Errno) {
        let socket = try makeUnixSocket()
        try connectUnixSocket(socket.rawValue, to: path)
        try self.init(adopting: socket, replyTimeout: replyTimeout)
    }

    // MARK: Negotiation

    /// The handshake up to SET_OWNER; takes of `wanted` what the back-end offers.
    package func negotiate(wanted: ProtocolFeatures) throws(VhostUserError) {
        offeredFeatures = VirtioFeatures(rawValue: try askNumber(.getFeatures))
        if offeredFeatures.contains(.protocolFeatures) {
            offeredProtocolFeatures = ProtocolFeatures(rawValue: try askNumber(.getProtocolFeatures))
            let common = wanted.intersection(offeredProtocolFeatures)
            try command(.setProtocolFeatures, common.rawValue.encodedPayload)
            protocolFeatures = common
        }
        try command(.setOwner)
    }

    /// Accepts `features` of those offered, and the protocol features where there are any.
    package func setFeatures(_ features: VirtioFeatures) throws(VhostUserError) {
        let all = features.union(offeredFeatures.intersection(.protocolFeatures))
        try command(.setFeatures, all.rawValue.encodedPayload)
    }

    package func queueCount() throws(VhostUserError) -> UInt64 { try askNumber(.getQueueCount) }
    package func maximumMemorySlots() throws(VhostUserError) -> UInt64 {
        try askNumber(.getMaximumMemorySlots)
    }

    /// The sizes of the back-end's shared memory regions, by id.
    ///
    /// - Throws: `notOffered` when SHMEM was not negotiated.
    package func sharedMemorySizes() throws(VhostUserError) -> SharedMemorySizes {
        guard protocolFeatures.contains(.sharedMemory) else {
            throw .notOffered(request: FrontendRequest.getSharedMemorySizes.rawValue)
        }
        return try SharedMemorySizes(decoding: try ask(.getSharedMemorySizes))
    }

    /// Gives the back-end a channel for requests of its own; what it sends comes out of the connection returned.
    package func openBackendChannel() throws(VhostUserError) -> Connection {
        let pair: SocketPair
        do throws(Errno) { pair = try SocketPair() } catch { throw .system(error) }
        return try pair.split { (ours, theirs) throws(VhostUserError) in
            let channel: Connection
            do throws(Errno) { channel = try Connection(adopting: ours) } catch { throw .system(error) }
            try command(.setBackendChannel, descriptors: [theirs.rawValue])
            return channel
        }
    }

    // MARK: Memory

    /// Tells the back-end of all guest memory; `files` are the regions' descriptors in the same order.
    package func setMemory(_ regions: [RegionDescription], files: [Int32]) throws(VhostUserError) {
        guard regions.count == files.count else { throw .descriptorCount(files.count) }
        if protocolFeatures.contains(.configureMemorySlots) {
            for (region, file) in zip(regions, files) { try addMemoryRegion(region, file: file) }
        } else {
            try command(.setMemoryTable, MemoryTable(regions: regions).encoded, descriptors: files)
        }
    }

    package func addMemoryRegion(_ region: RegionDescription, file: Int32) throws(VhostUserError) {
        try command(.addMemoryRegion, region.encodedSingle, descriptors: [file])
    }

    package func removeMemoryRegion(_ region: RegionDescription) throws(VhostUserError) {
        try command(.removeMemoryRegion, region.encodedSingle)
    }

    // MARK: Rings

    /// Sets a ring up and starts it, in QEMU's order; it runs once it is enabled.
    package func startRing(
        size: UInt16, base: UInt16, addresses: VringAddresses, kick: Int32, call: Int32, error: Int32? = nil
    ) throws(VhostUserError) {
        let ring = addresses.ring
        guard let number = UInt8(exactly: ring) else { throw .ringOutOfRange(ring) }
        let notifier = VringNotifier(ring: number, hasDescriptor: true).encoded
        if let error { try command(.setVringError, notifier, descriptors: [error]) }
        try command(.setVringSize, VringState(ring: ring, number: UInt32(size)).encoded)
        try command(.setVringBase, VringState(ring: ring, number: UInt32(base)).encoded)
        try command(.setVringAddresses, addresses.encoded)
        try command(.setVringKick, notifier, descriptors: [kick])
        try command(.setVringCall, notifier, descriptors: [call])
    }

    package func setRingEnabled(_ ring: UInt32, _ enabled: Bool) throws(VhostUserError) {
        try command(.setVringEnable, VringState(ring: ring, number: enabled ? 1 : 0).encoded)
    }

    /// Stops a ring and returns its next available index, when nothing of it is in flight any more.
    package func stopRing(_ ring: UInt32) throws(VhostUserError) -> UInt16 {
        let answer = try ask(.getVringBase, VringState(ring: ring, number: 0).encoded)
        let state = try VringState(decoding: answer)
        guard state.ring == ring, let base = UInt16(exactly: state.number) else { throw .invalidValue }
        return base
    }

    // MARK: Device

    package func readConfiguration(offset: UInt32, count: Int) throws(VhostUserError) -> [UInt8] {
        let question = ConfigurationWindow(offset: offset, bytes: [UInt8](repeating: 0, count: count))
        let window = try ConfigurationWindow(decoding: try ask(.getConfiguration, question.encoded))
        guard window.offset == offset, window.bytes.count == count else { throw .invalidValue }
        return window.bytes
    }

    package func writeConfiguration(offset: UInt32, _ bytes: [UInt8]) throws(VhostUserError) {
        try command(.setConfiguration, ConfigurationWindow(offset: offset, bytes: bytes).encoded)
    }

    package func resetDevice() throws(VhostUserError) { try command(.resetDevice) }

    // MARK: Messages

    /// Sends a request without a reply of its own; with REPLY_ACK, waits until the back-end has carried it out.
    package func command(
        _ request: FrontendRequest, _ payload: [UInt8] = [], descriptors: [Int32] = []
    ) throws(VhostUserError) {
        let acknowledged = protocolFeatures.contains(.replyAck)
        try exchange.withLock { _ throws(VhostUserError) in
            try send(
                request: request.rawValue, payload: payload, descriptors: descriptors,
                flags: acknowledged ? [.request, .needReply] : .request)
            guard acknowledged else { return }
            let code = try UInt64(decodingPayload: try receiveReply(to: request.rawValue))
            if code != 0 { throw .negativeReply(code) }
        }
    }

    /// Sends a request with a reply of its own and returns the reply's payload.
    package func ask(_ request: FrontendRequest, _ payload: [UInt8] = []) throws(VhostUserError) -> [UInt8] {
        try exchange.withLock { _ throws(VhostUserError) in
            try send(request: request.rawValue, payload: payload)
            return try receiveReply(to: request.rawValue)
        }
    }

    /// Looks, without waiting for more than the answer to another thread's request, whether the back-end has left, or says what it was
    /// not asked.
    ///
    /// - Throws: `disconnected`, `unexpectedMessage`, or how else the stream has ended.
    package func checkConnection() throws(VhostUserError) {
        try exchange.withLock { _ throws(VhostUserError) in
            guard waitReadable(connection.descriptor.rawValue, timeoutMilliseconds: 0) != 0 else { return }
            let header = try connection.receive(timeout: 0).header
            throw .unexpectedMessage(request: header.request, flags: header.flags.rawValue)
        }
    }

    private func askNumber(_ request: FrontendRequest) throws(VhostUserError) -> UInt64 {
        try UInt64(decodingPayload: try ask(request))
    }

    /// Sends any request number with any payload, flags and descriptors.
    package func send(
        request: UInt32, payload: [UInt8] = [], descriptors: [Int32] = [], flags: MessageFlags = .request
    ) throws(VhostUserError) {
        try connection.send(request: request, flags: flags, payload: payload, descriptors: descriptors)
    }

    /// Waits for the reply to `request` and returns its payload.
    package func receiveReply(to request: UInt32) throws(VhostUserError) -> [UInt8] {
        let message = try connection.receive(timeout: replyTimeout)
        guard message.header.request == request, message.header.flags == .answer else {
            throw .unexpectedMessage(request: message.header.request, flags: message.header.flags.rawValue)
        }
        // None of the requests that we make is answered with one.
        guard message.descriptors.count == 0 else { throw .descriptorCount(message.descriptors.count) }
        return message.payload
    }
}
