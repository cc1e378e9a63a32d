// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Frontend
import Glibc
import Guest
import HostOS

/// One run of `virtiofs mount`: daemon, mount, end.
struct MountSession {
    private let options: MountCommand

    init(_ options: MountCommand) { self.options = options }

    /// The exit status for our caller.
    func run() -> Int32 {
        // Before any thread is made, so that every thread has them blocked and only the signalfd sees them.
        guard let signals = try? SignalDescriptor(collecting: [SIGINT, SIGTERM, SIGHUP, SIGQUIT]) else {
            return 1
        }
        ignoreBrokenPipes()
        Log.install(level: .warning) { _, message in Self.say(message) }
        do throws(StartupError) {
            let daemon = try startDaemon()
            let mount = try mount(daemon)
            if let descriptor = options.readyDescriptor {
                do throws(Errno) {
                    try MountBackground.announce(descriptor)
                    SystemLog.open()
                    Log.install(level: .warning) { level, message in SystemLog.write(level, message) }
                } catch {
                    _ = mount.unmount()
                    return 1
                }
            }
            return serve(mount, daemon, stop: signals.descriptor.rawValue)
        } catch {
            Self.say("\(error)")
            return 1
        }
    }

    // MARK: Start

    private func startDaemon() throws(StartupError) -> DaemonProcess? {
        let wanted = try options.daemon.configuration(
            tag: "mount", requestQueues: queues, window: options.dax)
        guard var daemon = wanted else { return nil }
        daemon.verbose = options.verbose && options.readyDescriptor == nil
        if let path = options.versionTable { daemon.options += ["--version-table", path] }
        // QEMU's daemon knows no read-only mode; the mount does.
        let isOurs = try DaemonProcess.kind(of: daemon.program ?? "") == .swift
        daemon.readOnly = options.readOnly && isOurs
        return try DaemonProcess(daemon)
    }

    /// Several are of use only for several files at a time.
    private var queues: Int { options.queues ?? 1 }

    private func mount(_ daemon: DaemonProcess?) throws(StartupError) -> Mount {
        let source = options.daemon.source
        var mount = MountOptions(mountPoint: options.mountPoint, source: source)
        mount.readOnly = options.readOnly
        mount.queues = queues
        mount.threads = options.threads
        // The daemon has made it by now.
        mount.table = try options.versionTable.map { path throws(StartupError) in
            try VersionTable(existing: path)
        }
        mount.windowByteCount = options.dax.map { $0.mebibytes << 20 }
        return try Mount(try DaemonArguments.connect(to: daemon?.socketPath ?? source), mount)
    }

    // MARK: End

    private func serve(_ mount: Mount, _ daemon: DaemonProcess?, stop: Int32) -> Int32 {
        let end = mount.wait(stop: stop) ?? .asked
        var status: Int32 = 0
        if end != .asked { mount.close() }  // first of all, so that nobody waits any longer
        switch end {
        case .unmounted: break
        case .asked:
            switch mount.unmount() {
            case .idle: break
            case .busy:
                Log.error("\(mount.path) is in use; it is hidden now, and programs that use it get errors")
            case .aborted:
                Log.error("the daemon does not answer; programs that use \(mount.path) get errors")
                status = 1
            }
        case .daemonFailed(let failure): status = lament(mount, "\(failure)" + epitaph(of: daemon))
        case .failed(let error): status = lament(mount, "/dev/fuse failed: \(describe(error))")
        }
        mount.close()
        if options.readyDescriptor == nil, let counts = mount.windowCounts { Self.say(Self.summary(counts)) }
        if end == .unmounted, isDead(mount.path) {
            Log.error("the connection of \(mount.path) was aborted; unmount it with: umount \(mount.path)")
            status = 1
        }
        return status
    }

    private func lament(_ mount: Mount, _ what: String) -> Int32 {
        Log.error(
            "\(options.daemon.source): \(what); programs that use \(mount.path) now get errors; unmount it with: "
                + "umount \(mount.path)")
        return 1
    }

    /// What became of a daemon that we have started.
    private func epitaph(of daemon: DaemonProcess?) -> String {
        guard let daemon, let end = daemon.process.wait(milliseconds: 500) else { return "" }
        switch end {
        case .exited(let status):
            let said = daemon.messageText.split(separator: "\n").last.map { ": \($0)" } ?? ""
            return " (it ended with status \(status)\(said))"
        case .killed(let signal): return " (it was killed by signal \(signal))"
        }
    }

    /// A mount whose connection has ended.
    private func isDead(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) != 0 && errno == ENOTCONN
    }

    /// One line about the window.
    static func summary(_ counts: WindowCounts) -> String {
        "the window answered \(counts.hits) of \(counts.hits + counts.misses) reads; \(counts.mappings) pieces of files were "
            + "mapped, \(counts.reclaims) taken back for others, \(counts.mapped) of \(counts.ranges) are in use"
    }

    static func say(_ text: String) {
        _ = try? Files.writeAll(STDERR_FILENO, Array("virtiofs mount: \(text)\n".utf8))
    }
}
