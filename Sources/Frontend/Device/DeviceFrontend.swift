// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import HostOS
import VhostUser
import Virtqueue

/// The VMM's role for one vhost-user-fs device: guest memory, the queues and the vhost-user session.
package final class DeviceFrontend {
    package let session: FrontendSession
    package let options: FrontendOptions
    package let ram: GuestRAM
    /// The hiprio queue, then the request queues.
    package let queues: [RequestQueue]
    /// The device's shared memory regions; none without `FrontendOptions.channelFeatures`.
    package private(set) var windows = SharedMemoryWindows()
    /// The back-end's own requests, to be served by the caller; nil when none were negotiated.
    package private(set) var channel: BackendChannel?
    private var announcer: PieceAnnouncer?
    /// What `FrontendOptions.bufferCount` asked for.
    package let buffers: [RAMBuffer]

    private static let page = 4096
    /// Guest memory has a multiple of this.
    private static let chunk = 65536

    /// Makes memory and queues for a session that has negotiated `features`; sends nothing.
    package init(
        session: FrontendSession, features: VirtioFeatures, options: FrontendOptions
    ) throws(VhostUserError) {
        self.session = session
        self.options = options
        var allocator = GuestAllocator(base: options.guestBase, regionByteCount: options.regionByteCount)
        let capacity = SlotCapacity(request: options.requestByteCount, reply: options.replyByteCount)
        var plans: [QueuePlan] = []
        for index in 0...options.requestQueues {
            plans.append(
                QueuePlan(
                    index: index, size: options.queueSize, depth: options.depth, capacity: capacity,
                    from: &allocator))
        }
        let bufferByteCount = (options.bufferByteCount + Self.page - 1) / Self.page * Self.page
        let bufferAddresses = (0..<options.bufferCount).map { _ in
            allocator.take(bufferByteCount, alignment: UInt64(Self.page), contiguous: true)
        }
        do throws(Errno) {
            let byteCount = (allocator.byteCount + Self.chunk - 1) / Self.chunk * Self.chunk
            let ram = try GuestRAM(
                byteCount: byteCount, regionByteCount: options.regionByteCount, guestBase: options.guestBase,
                userBase: options.userBase)
            self.ram = ram
            let ringFeatures = RingFeatures(negotiated: features.rawValue)
            var queues: [RequestQueue] = []
            for plan in plans {
                queues.append(
                    try RequestQueue(
                        plan: plan, ram: ram, features: ringFeatures, connection: session.connection))
            }
            self.queues = queues
            var buffers: [RAMBuffer] = []
            for address in bufferAddresses {
                buffers.append(
                    try RAMBuffer(at: address, byteCount: bufferByteCount, memory: ram.memory))
            }
            self.buffers = buffers
        } catch {
            throw .system(error)
        }
    }

    /// Negotiates on a connected socket and starts every queue.
    package convenience init(
        adopting socket: consuming OwnedDescriptor, options: FrontendOptions = FrontendOptions()
    ) throws(VhostUserError) {
        let session: FrontendSession
        do throws(Errno) {
            session = try FrontendSession(adopting: socket, replyTimeout: options.replyTimeout)
        } catch {
            throw .system(error)
        }
        try self.init(starting: session, options: options)
    }

    /// Connects to the back-end that listens at `path`, negotiates and starts every queue.
    package convenience init(
        connectingTo path: String, options: FrontendOptions = FrontendOptions()
    ) throws(VhostUserError) {
        let session: FrontendSession
        do throws(Errno) {
            session = try FrontendSession(connectingTo: path, replyTimeout: options.replyTimeout)
        } catch {
            throw .system(error)
        }
        try self.init(starting: session, options: options)
    }

    private convenience init(
        starting session: FrontendSession, options: FrontendOptions
    ) throws(VhostUserError) {
        try session.negotiate(wanted: options.protocolFeatures)
        try self.init(negotiated: session, options: options)
    }

    /// Starts every queue on a session whose `negotiate` has been done.
    package convenience init(
        negotiated session: FrontendSession, options: FrontendOptions
    ) throws(VhostUserError) {
        guard session.offeredFeatures.contains(.version1) else { throw .legacyDevice }
        try Self.checkQueueCount(session, options)
        let features = session.offeredFeatures.intersection(options.features)
        try session.setFeatures(features)
        try self.init(session: session, features: features, options: options)
        try openChannel()
        try session.setMemory(ram.regions, files: ram.regions.map { _ in ram.file })
        for queue in queues { try start(queue) }
    }

    /// The hiprio queue is not a request queue.
    private static func checkQueueCount(
        _ session: FrontendSession, _ options: FrontendOptions
    ) throws(VhostUserError) {
        var offered: UInt64 = 1
        if session.protocolFeatures.contains(.multiqueue) {
            let count = try session.queueCount()
            offered = count > 0 ? count - 1 : 0
        }
        guard options.requestQueues <= offered else {
            throw .tooFewQueues(wanted: options.requestQueues, offered: offered)
        }
    }

    private func openChannel() throws(VhostUserError) {
        guard session.protocolFeatures.contains(.backendChannel) else { return }
        let isStandard = session.protocolFeatures.contains(.sharedMemory)
        let sizes = isStandard ? try session.sharedMemorySizes().sizes : [options.legacyWindowByteCount]
        windows = try SharedMemoryWindows(sizes: sizes)
        if options.announcesPieces {
            let places = windows.all.map { window in
                let guest = windowAddress(window.id).rawValue
                return (window.id, (guest: guest, user: ram.userAddress(of: GuestAddress(guest))))
            }
            let byID = Dictionary(uniqueKeysWithValues: places)
            announcer = PieceAnnouncer(session) { byID[$0] }
        }
        channel = BackendChannel(
            try session.openBackendChannel(), windows: windows, memory: ram.memory, isStandard: isStandard,
            announcer: announcer)
    }

    /// Where the guest sees a window: behind its memory, each at a multiple of 1 GiB.
    package func windowAddress(_ id: UInt8) -> GuestAddress {
        let unit: UInt64 = 1 << 30
        func units(_ count: UInt64) -> UInt64 { (count + unit - 1) / unit }
        let end = ram.regions.map { $0.guestAddress + $0.size }.max() ?? 0
        let before = windows.all.prefix { $0.id != id }.reduce(0) { $0 + units(UInt64($1.byteCount)) }
        return GuestAddress((units(end) + before) * unit)
    }

    // MARK: Queues

    /// Tells the back-end of a queue whose next available index is `base`, and enables it.
    package func start(_ queue: RequestQueue, base: UInt16 = 0) throws(VhostUserError) {
        try session.startRing(
            size: UInt16(clamping: queue.size), base: base, addresses: queue.addresses,
            kick: queue.kick.descriptor.rawValue, call: queue.call.descriptor.rawValue,
            error: queue.error.descriptor.rawValue)
        try enable(queue, true)
    }

    /// Without the protocol's extensions there is no such message, and a ring that was started is enabled.
    private func enable(_ queue: RequestQueue, _ enabled: Bool) throws(VhostUserError) {
        guard session.offeredFeatures.contains(.protocolFeatures) else { return }
        try session.setRingEnabled(UInt32(queue.index), enabled)
    }

    /// Stops a queue when nothing of it is in flight any more; returns its next available index.
    package func stop(_ queue: RequestQueue) throws(VhostUserError) -> UInt16 {
        try session.stopRing(UInt32(queue.index))
    }

    /// Resets the device as a guest's driver does when it is loaded anew, and starts every queue empty; the windows are
    /// empty, too. If there is a channel, another thread must be serving it.
    package func reset() throws(VhostUserError) {
        for queue in queues {
            try enable(queue, false)
            _ = try stop(queue)
            queue.restart()
        }
        do throws(Errno) { try windows.unmapAll() } catch { throw .system(error) }
        announcer?.noteReset()
        try announcer?.announce()
        if session.protocolFeatures.contains(.resetDevice) { try session.resetDevice() }
        for queue in queues { try start(queue) }
    }
}
