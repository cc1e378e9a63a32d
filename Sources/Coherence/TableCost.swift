// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// What a table costs those who use it, in nanoseconds of one thread: medians of some rounds, each on slots all over the table.
package struct TableCost: Sendable {
    /// Whether something cached is still good: epoch, `changing` and a version.
    package let check: Double
    /// One bump, as of what the host's programs have changed.
    package let bump: Double
    /// What surrounds a daemon's change of one object, without its record in the journal.
    package let change: Double
    /// A record in the journal, with a name of eight bytes.
    package let record: Double

    /// - Throws: EUSERS when 64 threads of daemons write already.
    package static func measure(_ table: VersionTable, operations: Int = 200_000) throws(Errno) -> TableCost {
        guard let writer = TableWriter(table) else { throw .EUSERS }
        var record = JournalRecord(.created)
        record.object = FileKey(device: 1, number: 2)
        record.name = Array("a-file.c".utf8)
        var sum: UInt64 = 0
        func median(_ work: (UInt32) -> Void) -> Double {
            var rounds: [Int64] = []
            for _ in 0..<9 {
                var random: UInt64 = 1
                let start = monotonicNanoseconds()
                for _ in 0..<operations {
                    random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    work(UInt32((random >> 32) &* UInt64(table.slotCount) >> 32))
                }
                rounds.append(monotonicNanoseconds() - start)
            }
            return Double(rounds.sorted()[rounds.count / 2]) / Double(operations)
        }
        let result = TableCost(
            check: median { slot in
                if !table.isChanging(slot) { sum &+= table.epoch &+ table.attributesVersion(slot) }
            },
            bump: median { table.bump($0, .both) },
            change: median { slot in
                var touched = Touched()
                touched.add(slot, .both)
                writer.begin(touched)
                writer.end()
            },
            record: median { _ in table.journal.append(record) })
        // What nobody looks at is not computed.
        invariant(sum != .max, "versions begin at 0")
        return result
    }
}
