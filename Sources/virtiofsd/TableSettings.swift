// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors
import HostFS
import HostOS
import HostWatch
import Sandbox

/// `--version-table`.
struct TableSettings: Sendable, Equatable {
    var path: String
    /// Bytes, multiples of 2 MiB; nil: as the table has them that is there, or the defaults.
    var tableByteCount: Int?
    var journalByteCount: Int?

    func open() throws(StartupError) -> VersionTable {
        try VersionTable(path: path, tableByteCount: tableByteCount, journalByteCount: journalByteCount)
    }
}

/// The version table that the daemon tells its changes in, and what tells the host's there.
final class TableUse: Sendable {
    let table: VersionTable
    /// nil: nobody in this process's name.
    private let watch: HostWatch?
    /// Where the watcher is, which sees the numbers that processes have there.
    private let namespace: UInt32

    /// Starts the watcher, too, if it can be. Before the sandbox divides: its path means nothing behind the walls.
    init(_ settings: TableSettings, _ options: DaemonOptions) throws(StartupError) {
        // Its number and its opening must not be one.
        watch = Self.startWatch(settings, options)
        table = try settings.open()
        namespace = ProcessIdentity.current().namespace
    }

    private static func startWatch(_ settings: TableSettings, _ options: DaemonOptions) -> HostWatch? {
        do {
            let root = try openSharedRoot(options.share)
            return try HostWatch.start(root: root.rawValue, filter: options.seccomp) {
                () throws(StartupError) in try settings.open()
            }
        } catch {
            Log.warning("what the host's programs change is not told: \(error)")
            return nil
        }
    }

    /// This is the process that serves. Where /proc is still the host's.
    func serveHere() {
        guard let number = ProcessIdentity.inProc() else { return }
        table.identify(as: ProcessIdentity(number: number, namespace: namespace))
    }
}

extension DaemonOptions {
    mutating func setTable(_ arguments: TableArguments) throws(StartupError) {
        guard let value = arguments.versionTable else {
            for (option, value) in [
                ("--version-table-size", arguments.versionTableSize),
                ("--journal-size", arguments.journalSize),
            ] where value != nil {
                throw StartupError(
                    operation: "use", subject: option, reason: "there is no version table",
                    hint: "say where it is to be: --version-table PATH")
            }
            return
        }
        var settings = TableSettings(
            path: try parsePath(value, spelled: spelling("--version-table", value)))
        if let value = arguments.versionTableSize {
            settings.tableByteCount = try parseRegion(value, option: "--version-table-size")
        }
        if let value = arguments.journalSize {
            settings.journalByteCount = try parseRegion(value, option: "--journal-size")
        }
        table = settings
    }
}

/// The size of a region that a guest can map.
private func parseRegion(_ value: String, option: String) throws(StartupError) -> Int {
    let size = try parseQuantity(value, option: option)
    guard size > 0, size % UInt64(TableLayout.unit) == 0, size <= 1 << 30 else {
        throw StartupError(
            operation: "use", subject: spelling(option, value),
            reason: "it is no multiple of 2M up to 1G, which is what a guest can map",
            hint: "such as \(option) 4M")
    }
    return Int(size)
}
