// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import GuestMemory
import HostOS
import StateArena
import VhostUser
import Virtqueue

/// The virtio-fs device: queues, their workers, guest memory and configuration space, as a front-end sets them up.
///
/// One control thread calls it; see ARCHITECTURE.md, "Threads".
package final class Device: BackendDelegate {
    private let configuration: DeviceConfiguration
    private let share: any FileSystemShare
    private let session: FuseSession
    private let arena: StateArena
    let memory: MemoryPublication
    private let pool: WaitingPool
    private let throttle: Throttle?
    private let ports: [QueuePort]
    /// One for each request queue; the first has the hiprio queue too.
    let workers: [QueueWorker]
    private var rings: [RingState]
    private var running: [Bool]
    private var features: VirtioFeatures = []
    /// The DAX window.
    let mappings: MappingChannel?
    /// The front-end's end for requests of ours; without a window there are none, but a front-end may watch it.
    private var backendChannel: OwnedDescriptor?
    /// The guest may have state in the file system: something ran since the last `forgetGuest`.
    private var guestMayHaveState = false

    /// How often the guest has reached a limit of `configuration.limits`. Any thread.
    package var throttleCounts: ThrottleCounts { throttle?.counts ?? ThrottleCounts() }

    /// Starts one worker a request queue; they sleep until a front-end sets their rings up.
    ///
    /// - Parameters:
    ///   - arena: keeps the session's and the queues' records; has room for all queues.
    ///   - polling: how the workers watch their rings.
    ///   - mayUseIOUring: for reads that wait, where the host lets us.
    ///   - mappings: the DAX window that `share` fills; nil: the device has none.
    package init(
        configuration: DeviceConfiguration, share: any FileSystemShare, arena: StateArena,
        polling: PollingOptions = PollingOptions(cpus: usableCPUs()), mayUseIOUring: Bool = true,
        mappings: MappingChannel? = nil
    ) throws(Errno) {
        self.configuration = configuration
        self.mappings = mappings
        self.share = share
        // SAFETY: the record is FuseSession's alone, and the device keeps the arena.
        let session = unsafe FuseSession(record: UnsafeMutableRawPointer(arena.session))
        self.session = session
        self.arena = arena
        memory = MemoryPublication(try GuestMemory())
        pool = try WaitingPool(session: session, share: share, limit: configuration.waitingThreadCount)
        throttle = Throttle(configuration.limits)
        let ports = (0...configuration.requestQueueCount).map { QueuePort(index: $0) }
        self.ports = ports
        let context = WorkerContext(
            memory: memory, session: session, share: share, arena: arena, pool: pool,
            readRings: ReadRingPermission(mayUseIOUring), polling: polling,
            watchers: Watchers(cpus: usableCPUs()), throttle: throttle, acknowledged: try EventFD(),
            confineThread: configuration.confineThread)
        var workers: [QueueWorker] = []
        for index in 1..<ports.count {
            workers.append(
                try QueueWorker(requests: ports[index], hiprio: index == 1 ? ports[0] : nil, context))
        }
        self.workers = workers
        rings = Array(repeating: RingState(), count: ports.count)
        running = Array(repeating: false, count: ports.count)
    }

    /// Ends every thread. The device is of no use afterwards.
    package func shutDown() {
        disconnect()
        for worker in workers { worker.exit() }
        pool.shutDown()
    }

    private func worker(of ring: Int) -> QueueWorker { workers[max(0, ring - 1)] }

    /// The front-end is gone: nothing of it, or of its guest, remains.
    package func disconnect() {
        mappings?.detach()
        stopAllRings()
        for port in ports { port.disconnect() }
        rings = Array(repeating: RingState(), count: ports.count)
        features = []
        backendChannel = nil
        if let empty = try? GuestMemory() { memory.replace(empty) }
        wakeWorkers()
        forgetGuest()
    }

    // MARK: What is offered

    package var offeredFeatures: VirtioFeatures {
        [.version1, .protocolFeatures, .indirectDescriptors, .eventIndex]
    }

    package var offeredProtocolFeatures: ProtocolFeatures {
        // UML takes the interrupt of all its rings from the back-end channel, so it needs one to be there.
        var features: ProtocolFeatures = [
            .multiqueue, .replyAck, .backendChannel, .configureMemorySlots, .resetDevice,
        ]
        // Without a tag there is no configuration space to read: QEMU's own device has the tag on its command line.
        if configuration.tag != nil { features.insert(.configuration) }
        if let mappings {
            features.insert(.backendSendsDescriptors)
            if mappings.dialect == .shmem { features.insert(.sharedMemory) }
        }
        return features
    }

    package var queueCount: Int { ports.count }
    package var memorySlotCount: Int { GuestMemory.maximumRegions }
    /// Region 0 is the DAX window. QEMU 11.1 aborts unless the sum is a power of two, as the window's size is.
    package var sharedMemorySizes: [UInt64] { mappings.map { [UInt64($0.byteCount)] } ?? [] }

    // MARK: Session

    package func setOwner() {}

    package func resetOwner() {
        mappings?.close()
        disableAllRings()
    }

    package func setFeatures(_ features: VirtioFeatures) throws(VhostUserError) {
        self.features = features
    }

    package func setProtocolFeatures(_ features: ProtocolFeatures) { mappings?.negotiate(features) }

    package func setBackendChannel(_ socket: consuming OwnedDescriptor) throws(VhostUserError) {
        guard let mappings else {
            backendChannel = consume socket
            return
        }
        do throws(Errno) { try mappings.attach(socket) } catch { throw .refused(error) }
    }

    package func refused(request: UInt32, _ error: VhostUserError) {
        Log.warning("vhost-user request \(request) refused: \(error)")
    }

    // MARK: Rings

    package func setRingSize(_ ring: Int, _ size: UInt16) throws(VhostUserError) {
        guard size > 0, size & (size - 1) == 0, size <= DeviceConfiguration.maximumRingSize else {
            throw .invalidValue
        }
        stop(ring)
        rings[ring].size = size
        try update(ring)
    }

    package func setRingBase(_ ring: Int, _ base: UInt16) throws(VhostUserError) {
        stop(ring)
        rings[ring].base = base
        try update(ring)
    }

    package func setRingAddresses(_ ring: Int, _ addresses: VringAddresses) throws(VhostUserError) {
        stop(ring)
        rings[ring].addresses = addresses
        try update(ring)
    }

    package func setRingKick(_ ring: Int, _ event: consuming OwnedDescriptor?) throws(VhostUserError) {
        stop(ring)
        let isPolled = event == nil
        try exchange(ports[ring].kick, event)
        rings[ring].polled = isPolled
        rings[ring].started = true
        try update(ring)
    }

    package func setRingCall(_ ring: Int, _ event: consuming OwnedDescriptor?) throws(VhostUserError) {
        try exchange(ports[ring].call, event)
    }

    package func setRingError(_ ring: Int, _ event: consuming OwnedDescriptor?) throws(VhostUserError) {
        try exchange(ports[ring].error, event)
    }

    package func setRingEnabled(_ ring: Int, _ enabled: Bool) throws(VhostUserError) {
        if !enabled {
            mappings?.close()
            stop(ring)
        }
        rings[ring].enabled = enabled
        try update(ring)
    }

    package func stopRing(_ ring: Int) -> UInt16 {
        mappings?.close()
        stop(ring)
        rings[ring].started = false
        return rings[ring].base
    }

    package func resetDevice() {
        mappings?.close()
        disableAllRings()
        forgetGuest()
    }

    private func exchange(
        _ place: StableDescriptor, _ event: consuming OwnedDescriptor?
    ) throws(VhostUserError) {
        do throws(Errno) {
            if let event = event.take() { try place.replace(with: event) } else { try place.disconnect() }
        } catch {
            throw .refused(error)
        }
    }

    /// Starts the ring if everything it needs has come and it does not run yet.
    private func update(_ ring: Int) throws(VhostUserError) {
        let state = rings[ring]
        guard !running[ring], state.isRunnable, let addresses = state.addresses else { return }
        let setup = RingSetup(
            size: Int(state.size), addresses: addresses, base: state.base,
            features: RingFeatures(negotiated: features.rawValue), polled: state.polled)
        do throws(Errno) {
            _ = try setup.layout(in: memory.latest)
        } catch {
            throw .refused(error)
        }
        running[ring] = true
        guestMayHaveState = true
        worker(of: ring).start(ring, setup)
        mappings?.open()
    }

    private func stop(_ ring: Int) {
        guard running[ring] else { return }
        running[ring] = false
        rings[ring].base = worker(of: ring).stop(ring)
    }

    private func stopAllRings() {
        for ring in rings.indices { stop(ring) }
    }

    private func disableAllRings() {
        for ring in rings.indices {
            stop(ring)
            rings[ring].enabled = false
            rings[ring].started = false
        }
    }

    private func forgetGuest() {
        guard guestMayHaveState else { return }
        guestMayHaveState = false
        if let summary = session.takeRequestSummary() { Log.debug("the guest has sent \(summary)") }
        session.stop()
        share.disconnect()
    }

    // MARK: Configuration space

    package func readConfiguration(offset: UInt32, count: Int) throws(VhostUserError) -> [UInt8] {
        let space = configuration.space
        guard configuration.tag != nil, let start = Int(exactly: offset), count >= 0, start <= space.count,
            count <= space.count - start
        else { throw .invalidValue }
        return Array(space[start..<(start + count)])
    }

    package func writeConfiguration(offset: UInt32, _ bytes: [UInt8]) throws(VhostUserError) {
        // virtio 1.3 §5.11.4: the driver must not write.
        throw .refused(.EPERM)
    }
}
