// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Synchronization

@testable import Coherence

/// A table file of its own, in a directory that is removed again.
struct TableRig: Sendable {
    static let unit = TableLayout.unit
    let folder = try! TemporaryDirectory(prefix: "table-")
    var path: String { folder.path + "/table" }

    /// One more opening of it, as another process would.
    func open(table: Int = unit, journal: Int = unit) throws(StartupError) -> VersionTable {
        try VersionTable(path: path, tableByteCount: table, journalByteCount: journal)
    }
}

func key(_ number: UInt64) -> FileKey { FileKey(device: 8 << 32 | 1, number: number) }

/// A "file" of one word that two threads change by the table's rules, and two cache.
final class StaleRace: Sendable {
    let table: VersionTable
    private let slot: UInt32 = 7
    private let file = Atomic<UInt64>(0)
    /// The newest state of a change that is done.
    private let completed = Atomic<UInt64>(0)
    private let writing = Atomic<Int>(2)
    let stale = Atomic<Int>(0)
    let used = Atomic<Int>(0)

    init(_ table: VersionTable) { self.table = table }

    func write() {
        defer { writing.subtract(1, ordering: .sequentiallyConsistent) }
        guard let writer = TableWriter(table) else { return }
        var touched = Touched()
        touched.add(slot, .content)
        for _ in 0..<2000 {
            writer.begin(touched)
            let (_, new) = file.add(1, ordering: .sequentiallyConsistent)
            writer.end()
            completed.max(new, ordering: .sequentiallyConsistent)
            for _ in 0..<3 { sched_yield() }
        }
    }

    func read() {
        var cached: (value: UInt64, version: UInt64)?
        while writing.load(ordering: .relaxed) > 0 {
            let done = completed.load(ordering: .sequentiallyConsistent)
            if let cached, !table.isChanging(slot), table.contentVersion(slot) == cached.version {
                used.add(1, ordering: .relaxed)
                if cached.value < done { stale.add(1, ordering: .relaxed) }
                continue
            }
            cached = nil
            guard !table.isChanging(slot) else { continue }
            let version = table.contentVersion(slot)
            cached = (file.load(ordering: .sequentiallyConsistent), version)
        }
    }
}
