// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors

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
