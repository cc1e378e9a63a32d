// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Guest
import HostOS
import Synchronization
import VfioClient

@testable import PciDevice

/// A device that is served by a thread of this process, with a daemon of its own behind it.
final class DeviceRig {
    let share: String
    private(set) var socketPath: String
    private let directory: TemporaryDirectory
    private let stop: EventFD
    private var thread: HostOS.Thread?
    /// The device, where it is a process of its own.
    private var process: DeviceProcess?
    private var daemon: DaemonProcess?
    private let configuration: DaemonConfiguration

    /// Lets one daemon's path be asked for by the device's thread.
    private final class Place: Sendable {
        let path = Mutex<String?>(nil)
    }
    private let place = Place()

    /// - Parameters:
    ///   - tag: of the device; nil: what the daemon says.
    ///   - program: nil is our own daemon.
    ///   - ownProcess: a `virtiofs device` serves it, whose descriptors and the like are nobody else's.
    ///   - daemonOptions: at least that it is one process, which can be stopped and killed.
    init(
        queues: Int = 1, tag: String? = "rig", program: String? = nil, windowMebibytes: Int? = nil,
        daemonOptions: [String] = ["--sandbox=none"], tables: TableMemory? = nil,
        mountPatience: Int32 = 200, ownProcess: Bool = false
    ) throws {
        directory = try TemporaryDirectory(prefix: "device-")
        share = directory.path + "/share"
        try Files.makeDirectories(share)
        socketPath = directory.path + "/device"
        stop = try EventFD()
        ignoreBrokenPipes()
        var configuration = DaemonConfiguration(tag: "rig", directory: share)
        configuration.program = program
        configuration.requestQueues = queues
        configuration.windowMebibytes = windowMebibytes
        configuration.options = daemonOptions
        self.configuration = configuration
        try startDaemon()
        if ownProcess {
            let own = try Files.ownProgram()
            let folder = own[..<(own.lastIndex(of: "/") ?? own.endIndex)]
            guard let share = daemon?.share else { throw Errno.ENOENT }
            let process = try DeviceProcess(program: "\(folder)/virtiofs", for: share)
            socketPath = process.share.socketPath
            self.process = process
            return
        }
        var wanted = DeviceOptions()
        wanted.tag = tag
        wanted.requestQueues = queues
        wanted.queueSize = 256
        wanted.tables = tables
        wanted.mountPatience = mountPatience
        wanted.windowByteCount = windowMebibytes.map { UInt64($0) << 20 }
        let (options, place, path, end) = (wanted, place, socketPath, stop)
        let ready = try EventFD()
        let outcome = Outcome()
        thread = try HostOS.Thread(name: "device") {
            do throws(StartupError) {
                let server = try DeviceServer(
                    options,
                    connect: { () throws(StartupError) in
                        let path = place.path.withLock { $0 } ?? "/nonexistent"
                        return try starting("connect to", path) { () throws(Errno) in
                            let socket = try makeUnixSocket()
                            try connectUnixSocket(socket.rawValue, to: path)
                            return socket
                        }
                    }, stop: end.descriptor.rawValue)
                let listener = try Listener(path: path)
                ready.signal()
                server.run(listener)
            } catch {
                outcome.failure.withLock { $0 = error }
                ready.signal()
            }
        }
        _ = waitReadable(ready.descriptor.rawValue, timeoutMilliseconds: 20_000)
        if let error = outcome.failure.withLock({ $0 }) { throw error }
    }

    private final class Outcome: Sendable {
        let failure = Mutex<StartupError?>(nil)
    }

    deinit {
        stop.signal()
        thread?.join()
    }

    /// What the device's own process holds.
    var counts: ProcessCounts {
        for name in (try? Files.names(in: "/proc")) ?? [] {
            guard pid_t(name) != nil, (try? Files.text("/proc/\(name)/comm")) != "virtiofs-guard\n",
                let line = try? Files.text("/proc/\(name)/cmdline"),
                line.contains("--vfio-user-socket=\(socketPath)\0")
            else { continue }
            return ProcessCounts(process: name)
        }
        return ProcessCounts()
    }

    // MARK: The daemon

    func startDaemon() throws {
        let started = try DaemonProcess(configuration)
        place.path.withLock { $0 = started.socketPath }
        daemon = started
    }

    /// The number of the daemon itself, not of the process that guards it, in words. It has no sandbox, so it is one.
    private var daemonNumber: String? {
        guard let path = daemon?.socketPath, let names = try? Files.names(in: "/proc") else { return nil }
        return names.first { name in
            pid_t(name) != nil && (try? Files.text("/proc/\(name)/comm")) != "virtiofs-guard\n"
                && (try? Files.text("/proc/\(name)/cmdline"))?.contains("--socket-path=\(path)\0") == true
        }
    }

    /// What the daemon has mapped, as proc_pid_maps(5) tells it.
    var daemonMaps: String {
        daemonNumber.flatMap { try? Files.text("/proc/\($0)/maps") } ?? ""
    }

    func signalDaemon(_ signal: Int32) {
        guard let name = daemonNumber, let process = pid_t(name) else { return }
        kill(process, signal)
        // A process stops when each of its threads has heard of it.
        while signal == SIGSTOP, (try? Files.text("/proc/\(name)/stat"))?.contains(") T ") == false {
            usleep(1000)
        }
    }

    func killDaemon() {
        place.path.withLock { $0 = nil }
        signalDaemon(SIGKILL)
        daemon = nil
    }

    // MARK: The guest

    func bridge(_ interrupts: VMMBridge.Interrupts = .vectors, queues: Int = 1) throws -> VMMBridge {
        try VMMBridge(device: socketPath, queues: queues, interrupts: interrupts)
    }

    static func options(queues: Int = 1) -> FrontendOptions {
        var options = FrontendOptions()
        options.requestQueues = queues
        options.replyTimeout = 20_000
        return options
    }
}

/// A guest on a device: the VMM's part and the driver's.
final class DeviceGuest {
    let bridge: VMMBridge
    let client: FuseClient

    /// A guest that has mounted the share.
    init(_ rig: DeviceRig, _ interrupts: VMMBridge.Interrupts = .vectors, queues: Int = 1) throws {
        bridge = try rig.bridge(interrupts, queues: queues)
        client = FuseClient(try bridge.connect(DeviceRig.options(queues: queues)))
        client.timeout = 20_000
        _ = try client.initialize()
    }

    /// Creates a file, writes and reads it back.
    func exchange(_ name: String, _ text: String = "hello") throws -> String {
        let created = try client.create(
            .root, Array(name.utf8), flags: UInt32(O_RDWR), mode: 0o644)
        let node = NodeID(rawValue: created.entry.nodeID)
        _ = try client.write(node, created.open.handle, Array(text.utf8))
        let back = try client.read(node, created.open.handle, size: 4096)
        try client.release(node, created.open.handle)
        return String(decoding: back, as: UTF8.self)
    }
}
