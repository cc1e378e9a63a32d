// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Glibc
import HostOS
import Synchronization
import VhostUser

/// How a device is mounted on this host.
package struct MountOptions: Sendable {
    /// An existing directory.
    package var mountPoint: String
    /// What mount(8) shows as the mount's device.
    package var source: String
    package var readOnly = false
    /// Request queues to use; nil for as many as there are processors, if the daemon has them.
    package var queues: Int?
    /// Threads that carry requests; nil for one to each queue.
    package var threads: Int?
    /// Answers READs of files that the daemon wants mapped from its DAX window, of which so many bytes are used at most; nil:
    /// all go to the daemon.
    package var windowByteCount: Int?
    /// The version table of the daemon: the kernel keeps what nobody changes; nil: for as long as the daemon says.
    package var table: VersionTable?
    /// How long the daemon may take to answer while the mount is made and when it ends.
    package var timeoutMilliseconds: Int32 = 30_000

    package init(mountPoint: String, source: String) {
        self.mountPoint = mountPoint
        self.source = source
    }
}

/// Why a mount has ended.
package enum MountEnd: Equatable, Sendable {
    /// Somebody has unmounted it.
    case unmounted
    /// The stop descriptor that was given to `wait` is readable.
    case asked
    /// The daemon has gone, or does what the protocol forbids.
    case daemonFailed(DaemonFailure)
    /// The kernel gives no more requests.
    case failed(Errno)
}

/// A vhost-user-fs device mounted on a directory of this host: a FUSE file system whose requests go to the device's daemon
/// as they are. One thread uses this; threads of its own do the work.
///
/// ```
/// let mount = try Mount(connected socket, options)
/// let end = mount.wait(stop: signals)
/// if end == .asked { _ = mount.unmount() }
/// mount.close()
/// ```
package final class Mount {
    /// Absolute and without links.
    package let path: String
    private let frontend: DeviceFrontend
    private let watch: FrontendWatch
    private let bridge: FuseBridge
    private let mount: FuseMount
    let reads: MappedReads?
    /// Serves the daemon's own requests where its window is used.
    private let channel: ChannelThread?
    private let cacheThread: CacheThread?
    private let options: MountOptions
    private var isHealthy = true
    private var isOpen = true

    /// How far the kernel reads ahead: several requests, so that the daemon and we work at the same time.
    private static let readAheadKibibytes = 4 * BridgeMemory.dataByteCount / 1024
    private static let farewellMilliseconds: Int32 = 2000

    /// Negotiates with the daemon at the other end of `socket` and mounts its device.
    package init(_ socket: consuming OwnedDescriptor, _ options: MountOptions) throws(StartupError) {
        self.options = options
        let session: FrontendSession
        let memory: BridgeMemory
        let frontend: DeviceFrontend
        do throws(VhostUserError) {
            session = try Self.session(socket, options)
            memory = try Self.plan(session, options)
            frontend = try DeviceFrontend(
                negotiated: session, options: Self.frontendOptions(memory, options))
        } catch {
            throw StartupError(
                operation: "use the daemon of", subject: options.source, reason: "\(error)")
        }
        self.frontend = frontend
        watch = FrontendWatch(frontend, servesChannel: false)
        reads = try Self.mappedReads(frontend, options)
        channel = try Self.serveChannel(of: frontend, options)
        let buffers = frontend.buffers
        let pool = memory.pool(buffers)
        let lanes = (0..<memory.lanes).map {
            Lane(
                queue: frontend.queues[1 + $0].chains, arena: memory.slots(ofLane: $0, buffers), pool: pool)
        }
        var mountOptions = FuseMount.Options(source: options.source)
        mountOptions.readOnly = options.readOnly
        mountOptions.maximumRead = BridgeMemory.dataByteCount
        let mounted = try FuseMount.mount(on: options.mountPoint, mountOptions)
        let mount = mounted.mount
        self.mount = mount
        path = mount.path
        do throws(Errno) {
            let device = mounted.takeDevice()
            let cache = try Self.kernelCache(options)
            let handshake = MountHandshake(
                lane: lanes[0], connection: session.connection.descriptor.rawValue, withWindow: reads != nil,
                follower: cache?.follower.number)
            let deadline = Deadline(milliseconds: options.timeoutMilliseconds)
            try handshake.initialize(device.rawValue, until: deadline)
            if let cache {
                cache.start(
                    device: device.rawValue, root: try handshake.rootAttributes(until: deadline))
            }
            cacheThread = try cache.map { cache throws(Errno) in try CacheThread(cache) }
            bridge = try FuseBridge(
                device: device, lanes: lanes, pool: pool, forgets: frontend.queues[0].chains,
                buffers: buffers, memory: memory, reads: reads, cache: cache)
        } catch {
            // The device is closed by now, so nothing can wait for us.
            try? mount.unmount(lazily: true)
            throw StartupError(
                operation: "use the daemon of", subject: options.source,
                reason: "it does not start a session: \(describe(error))")
        }
        // Only root may; without it the kernel reads ahead as far as it does everywhere.
        try? ReadAhead.set(kibibytes: Self.readAheadKibibytes, forMountAt: path)
    }

    deinit { close() }

    private static func session(
        _ socket: consuming OwnedDescriptor, _ options: MountOptions
    ) throws(VhostUserError) -> FrontendSession {
        let session: FrontendSession
        do throws(Errno) {
            session = try FrontendSession(adopting: socket, replyTimeout: options.timeoutMilliseconds)
        } catch {
            throw .system(error)
        }
        try session.negotiate(wanted: protocolFeatures(options))
        return session
    }

    /// As many lanes as wanted, but no more than the daemon has queues or there are threads for.
    private static func plan(
        _ session: FrontendSession, _ options: MountOptions
    ) throws(VhostUserError) -> BridgeMemory {
        let processors = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        let all = session.protocolFeatures.contains(.multiqueue) ? try session.queueCount() : 2
        guard let offered = Int(exactly: all), offered >= 2 else {
            throw .tooFewQueues(wanted: 1, offered: 0)
        }
        var lanes = min(options.queues ?? processors, offered - 1, maximumLanes)
        let threads = max(1, options.threads ?? lanes)
        lanes = max(1, min(lanes, threads))
        return BridgeMemory(lanes: lanes, threads: min(threads, maximumThreads))
    }

    private static let maximumLanes = 64
    private static let maximumThreads = 256

    private static func frontendOptions(_ memory: BridgeMemory, _ options: MountOptions) -> FrontendOptions {
        var result = FrontendOptions()
        result.requestQueues = memory.lanes
        result.queueSize = BridgeMemory.queueSize
        result.depth = 0
        result.bufferCount = memory.bufferCount
        result.bufferByteCount = BridgeMemory.dataByteCount
        result.replyTimeout = options.timeoutMilliseconds
        return result
    }

    // MARK: Life

    /// Waits until the mount ends or `stop` can be read; −1 for none. nil when `timeoutMilliseconds` are over.
    package func wait(stop: Int32 = -1, timeoutMilliseconds: Int32 = -1) -> MountEnd? {
        let deadline = Deadline(milliseconds: timeoutMilliseconds)
        while true {
            let ready = waitReadable(
                any: [stop, bridge.ended.descriptor.rawValue, channel?.ended.descriptor.rawValue ?? -1]
                    + watch.descriptors,
                timeoutMilliseconds: deadline.remainingMilliseconds)
            // First: a signal to all of us ends the daemon too.
            if ready[0] { return .asked }
            if ready[1], let end = bridge.firstEnd { return judge(end) }
            if ready[2...].contains(true), let failure = daemonFailure() { return .daemonFailed(failure) }
            if deadline.hasPassed { return nil }
        }
    }

    private func judge(_ end: WorkerEnd) -> MountEnd {
        switch end {
        case .unmounted, .stopped: return .unmounted
        case .ringBroken: return daemonFailure().map { .daemonFailed($0) } ?? .failed(.EPROTO)
        case .failed(let error): return .failed(error)
        }
    }

    /// What is wrong with the daemon, if anything is.
    private func daemonFailure() -> DaemonFailure? {
        do throws(DaemonFailure) {
            try watch.check()
            if let error = channel?.failure { throw .channel(error) }
            return nil
        } catch {
            isHealthy = false
            return error
        }
    }

    /// How `unmount` went.
    package enum Unmounted: Equatable, Sendable {
        /// Nothing used the mount any more.
        case idle
        /// Programs use it still: it is out of sight, and they get errors once `close` is called.
        case busy
        /// The file system did not answer, so that programs have got errors already.
        case aborted
    }

    /// Takes the mount away. What is written but not yet sent to the daemon is sent before, unless that takes longer than
    /// `milliseconds`.
    package func unmount(milliseconds: Int32 = 10_000) -> Unmounted {
        let mount = mount
        guard let done = try? EventFD() else { return abort() }
        let outcome = Outcome(result: .aborted, done: done)
        // Unmounting waits for the file system where something is to be written back, so it must not be us who waits.
        guard
            let thread = try? Thread(
                name: "unmount",
                {
                    outcome.set(unmountOrHide(mount))
                })
        else { return abort() }
        let isDone = waitReadable(done.descriptor.rawValue, until: Deadline(milliseconds: milliseconds))
        if !isDone { _ = abort() }
        thread.join()
        return isDone ? outcome.value : .aborted
    }

    /// Every caller gets an error now.
    private func abort() -> Unmounted {
        isHealthy = false
        bridge.stopThreads()
        cacheThread?.stop()
        bridge.closeChannels()
        try? mount.unmount(lazily: true)
        return .aborted
    }

    /// Ends the threads and the connection; a mount that is still there is dead from now on. Calling it again changes
    /// nothing.
    package func close() {
        guard isOpen else { return }
        isOpen = false
        bridge.stopThreads()
        cacheThread?.stop()
        if isHealthy {
            let handshake = MountHandshake(
                lane: bridge.lanes[0], connection: frontend.session.connection.descriptor.rawValue)
            try? handshake.destroy(until: Deadline(milliseconds: Self.farewellMilliseconds))
        }
        bridge.closeChannels()
    }
}

/// What a thread has found out.
private final class Outcome: Sendable {
    private let result: Mutex<Mount.Unmounted>
    private let done: EventFD

    init(result: Mount.Unmounted, done: EventFD) {
        self.result = Mutex(result)
        self.done = done
    }

    var value: Mount.Unmounted { result.withLock { $0 } }

    func set(_ value: Mount.Unmounted) {
        result.withLock { $0 = value }
        done.signal()
    }
}

private func unmountOrHide(_ mount: FuseMount) -> Mount.Unmounted {
    do throws(Errno) {
        try mount.unmount(lazily: false)
        return .idle
    } catch .EBUSY {
        if let root = try? systemCall({ () -> Int32 in
            unsafe open(mount.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }) {
            _ = syncfs(root)
            _ = Glibc.close(root)
        }
        try? mount.unmount(lazily: true)
        return .busy
    } catch {
        return .idle  // EINVAL: it is no mount any more
    }
}
