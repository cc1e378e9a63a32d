// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import GuestMemory
import HostOS
import Synchronization
import VhostUser

/// One connection to a daemon, as a front-end: features, memory, rings, and its own requests for the DAX window.
final class DaemonLink {
    let session: FrontendSession
    /// The DAX window, in which the daemon makes pieces of files appear; none unless it was wanted.
    let windows: SharedMemoryWindows
    private let channel: ChannelThread?
    private let announcer: PieceAnnouncer?
    /// What the daemon knows of guest memory, and which file it was.
    private var known: [RegionDescription: SharedDescriptor] = [:]
    /// A message may wait for what the daemon is about; giving up earlier would leave it at work in memory that is not ours any more.
    private static let replyTimeout: Int32 = 60_000

    /// Negotiates on a connected socket.
    ///
    /// - Parameters:
    ///   - wantsWindow: asks for the DAX window.
    ///   - windowAddress: where the guest sees it.
    init(
        adopting socket: consuming OwnedDescriptor, wantsWindow: Bool, _ windowAddress: WindowAddress
    ) throws(VhostUserError) {
        do throws(Errno) {
            session = try FrontendSession(adopting: socket, replyTimeout: Self.replyTimeout)
        } catch {
            throw .system(error)
        }
        var wanted: ProtocolFeatures = [
            .multiqueue, .replyAck, .configureMemorySlots, .resetDevice, .configuration,
        ]
        if wantsWindow { wanted.formUnion(FrontendOptions.channelFeatures) }
        try session.negotiate(wanted: wanted)
        guard session.offeredFeatures.contains(.version1) else { throw .legacyDevice }
        guard wantsWindow, session.protocolFeatures.contains(.sharedMemory) else {
            (windows, channel, announcer) = (SharedMemoryWindows(), nil, nil)
            return
        }
        var sizes = try session.sharedMemorySizes().sizes
        sizes.removeSubrange(min(sizes.count, Int(RegionID.window) + 1)...)
        let windows = try SharedMemoryWindows(sizes: sizes)
        let noMemory: GuestMemory
        do throws(Errno) { noMemory = try GuestMemory() } catch { throw .system(error) }
        let announcer = PieceAnnouncer(session) { id in
            guard id == RegionID.window, let address = windowAddress.current else { return nil }
            return (guest: address, user: address)
        }
        let channel = BackendChannel(
            try session.openBackendChannel(), windows: windows, memory: noMemory, isStandard: true,
            announcer: announcer)
        self.windows = windows
        self.announcer = announcer
        do throws(Errno) { self.channel = try ChannelThread(channel) } catch { throw .system(error) }
    }

    var window: SharedMemoryWindow? { windows[RegionID.window] }

    /// Readable when the daemon has gone, or says what it was not asked.
    var descriptor: Int32 { session.connection.descriptor.rawValue }
    /// The same for the channel of its own requests; −1 without one.
    var channelEnded: Int32 { channel?.ended.descriptor.rawValue ?? -1 }

    /// How many queues it has; one where it cannot say.
    func queueCount() throws(VhostUserError) -> UInt64 {
        session.protocolFeatures.contains(.multiqueue) ? try session.queueCount() : 2
    }

    /// The tag and the number of request queues, where the daemon has a configuration space.
    func configuration() throws(VhostUserError) -> [UInt8]? {
        guard session.protocolFeatures.contains(.configuration) else { return nil }
        return try session.readConfiguration(offset: 0, count: 40)
    }

    // MARK: Memory

    /// Makes what the daemon knows of guest memory what it is.
    func publish(
        _ regions: [(region: RegionDescription, file: SharedDescriptor)]
    ) throws(VhostUserError) {
        let wanted = Dictionary(regions.map { ($0.region, $0.file) }) { first, _ in first }
        guard session.protocolFeatures.contains(.configureMemorySlots) else {
            guard !known.elementsEqual(wanted, by: { $0.key == $1.key && $0.value === $1.value }) else {
                return
            }
            guard regions.count <= MemoryTable.maximumCount else { throw .refused(.ENOSPC) }
            try session.setMemory(regions.map(\.region), files: regions.map(\.file.rawValue))
            known = wanted
            return
        }
        for (region, file) in known where wanted[region] !== file {
            try session.removeMemoryRegion(region)
            known[region] = nil
        }
        for (region, file) in regions where known[region] == nil {
            try session.addMemoryRegion(region, file: file.rawValue)
            known[region] = file
        }
    }

    // MARK: Queues

    /// Where a ring lies and who is told of what.
    struct Ring {
        var index: Int
        var size: UInt16
        /// Guest addresses.
        var descriptors: UInt64
        var available: UInt64
        var used: UInt64
        var kick: SharedDescriptor
        var call: SharedDescriptor
        var error: SharedDescriptor
    }

    /// Starts a ring at available index `base`.
    func start(_ ring: Ring, base: UInt16) throws(VhostUserError) {
        let number = UInt32(ring.index)
        try session.startRing(
            size: ring.size, base: base,
            addresses: VringAddresses(
                ring: number, descriptorTable: ring.descriptors, availableRing: ring.available,
                usedRing: ring.used),
            kick: ring.kick.rawValue, call: ring.call.rawValue, error: ring.error.rawValue)
        if session.offeredFeatures.contains(.protocolFeatures) {
            try session.setRingEnabled(number, true)
        }
        // What was made available before is not kicked for again.
        signalEvent(ring.kick.rawValue)
    }

    /// Interrupts of a ring go to another eventfd. It is signalled once, for whatever the old one may have got meanwhile.
    func setCall(_ index: Int, _ call: SharedDescriptor) throws(VhostUserError) {
        try session.command(
            .setVringCall, VringNotifier(ring: UInt8(clamping: index), hasDescriptor: true).encoded,
            descriptors: [call.rawValue])
        signalEvent(call.rawValue)
    }

    /// Stops rings, when nothing of them is in flight any more, and forgets what the window shows.
    func stop(_ indices: [Int]) throws(VhostUserError) {
        if session.offeredFeatures.contains(.protocolFeatures) {
            for index in indices { try session.setRingEnabled(UInt32(index), false) }
        }
        for index in indices { _ = try session.stopRing(UInt32(index)) }
        do throws(Errno) { try windows.unmapAll() } catch { throw .system(error) }
        announcer?.noteReset()
        try announcer?.announce()
        if session.protocolFeatures.contains(.resetDevice) { try session.resetDevice() }
    }
}
