// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Glibc
import Guest
import HostOS
import PciDevice

/// One run of `virtiofs device`: daemon, device, VMMs, end.
final class DeviceSession {
    private let command: DeviceCommand
    /// The daemon that we have started.
    private var daemon: DaemonProcess?

    init(_ command: DeviceCommand) { self.command = command }

    /// The exit status for our caller.
    func run() -> Int32 {
        // Before any thread is made, so that every thread has them blocked and only the signalfd sees them.
        guard let signals = try? SignalDescriptor(collecting: [SIGINT, SIGTERM, SIGHUP, SIGQUIT]) else {
            return 1
        }
        ignoreBrokenPipes()
        Log.install(level: command.verbose ? .info : .warning) { _, message in Self.say(message) }
        do throws(StartupError) {
            let options = try options()
            let place = try SocketPlace(path: command.vfioUserSocket)
            let server = try DeviceServer(
                options, connect: { [self] () throws(StartupError) in try connect() },
                stop: signals.descriptor.rawValue)
            server.run(try Listener(at: place))
            return 0
        } catch {
            Self.say("\(error)")
            return 1
        }
    }

    private func options() throws(StartupError) -> DeviceOptions {
        var options = DeviceOptions()
        if let tag = command.tag { try ShareTag.check(tag) }
        options.tag = command.tag
        options.requestQueues = command.requestQueues
        options.queueSize = command.queueSize
        options.windowByteCount = command.daxWindow.map { UInt64($0.mebibytes) << 20 }
        let journal = command.journal.map { UInt64($0.mebibytes) << 20 } ?? 0
        switch command.versionTable {
        case .path(let path):
            // What a daemon has made says how large its journal is; ours finds it made.
            let made =
                try command.daemon.sharedDir == nil
                ? try? VersionTable(existing: path)
                : VersionTable(path: path, journalByteCount: command.journal == nil ? nil : Int(journal))
            options.tables = try starting("use as version table", path) { () throws(Errno) in
                try TableMemory(
                    path: path, journalByteCount: made.map { UInt64($0.journalByteCount) } ?? journal)
            }
        case .size(let size):
            options.tables = try memory(UInt64(size.mebibytes) << 20, journal)
        case nil:
            if journal > 0 { options.tables = try memory(0, journal) }
        }
        return options
    }

    private func memory(_ table: UInt64, _ journal: UInt64) throws(StartupError) -> TableMemory {
        try starting("make", "memory for the version table and the journal") { () throws(Errno) in
            try TableMemory(tableByteCount: table, journalByteCount: journal)
        }
    }

    // MARK: The daemon

    private func connect() throws(StartupError) -> OwnedDescriptor {
        try DaemonArguments.connect(to: try startedDaemon()?.socketPath ?? command.daemon.source)
    }

    /// Our own daemon, started anew when it has ended; nil where it is not ours.
    private func startedDaemon() throws(StartupError) -> DaemonProcess? {
        if let daemon, daemon.process.end == nil { return daemon }
        if let end = daemon?.process.end { Log.warning("the daemon has ended (\(end)); starting another") }
        daemon = nil
        let wanted = try command.daemon.configuration(
            tag: command.tag ?? "", requestQueues: command.requestQueues, window: command.daxWindow)
        guard var configuration = wanted else { return nil }
        configuration.verbose = command.verbose
        if case .path(let path) = command.versionTable { configuration.options += ["--version-table", path] }
        let started = try DaemonProcess(configuration)
        daemon = started
        return started
    }

    private static func say(_ text: String) {
        _ = try? Files.writeAll(STDERR_FILENO, Array("virtiofs device: \(text)\n".utf8))
    }
}
