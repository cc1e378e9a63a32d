// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Synchronization

/// Objects that change at any moment without anybody saying so, because a guest has them mapped for writing: their slots are
/// marked as changing for as long (docs/version-table.md, "What a guest writes as memory"). For any thread.
package final class LastingChanges: Sendable {
    private let table: VersionTable
    private let record: Int
    private let number: Int
    /// In `changing` words, and in the header's `lasting`.
    package let bit: UInt64
    /// How many objects of a slot.
    private let slots = Mutex<[UInt32: Int]>([:])

    /// nil when 64 threads of daemons write already.
    package init?(_ table: VersionTable) {
        guard
            let number = table.claim(
                TableLayout.Header.writers, repair: { TableWriter.repair(table, $0) })
        else { return nil }
        self.table = table
        self.number = number
        record = TableWriter.place(number)
        bit = 1 << UInt64(number)
        table.words.store32(record + TableLayout.Writer.count, TableLayout.Writer.anySlots)
        TableWriter.enter(record, table)
        table.words.set(TableLayout.Header.lasting, bits: bit)
    }

    deinit {
        TableWriter.repair(table, number)
        table.giveBack(TableLayout.Header.writers, number)
    }

    /// From now until `end` nobody uses what is cached of `object`. Waits until the kernels of others have given it up.
    package func begin(_ object: FileKey) {
        let slot = table.slot(of: object)
        let isFirst = slots.withLock { slots in
            slots[slot, default: 0] += 1
            guard slots[slot] == 1 else { return false }
            table.words.set(table.offset(slot) + TableLayout.Slot.changing, bits: bit)
            return true
        }
        if isFirst { Follower.revoke(CollectionOfOne(slot), sparing: 0, in: table) }
        tell(object, slot)
    }

    package func end(_ object: FileKey) {
        let slot = table.slot(of: object)
        slots.withLock { slots in
            let count = (slots[slot] ?? 1) - 1
            slots[slot] = count == 0 ? nil : count
            if count == 0 { TableWriter.clear(slot, bit, in: table) }
        }
        tell(object, slot)
    }

    private func tell(_ object: FileKey, _ slot: UInt32) {
        var record = JournalRecord(.content)
        (record.origin, record.object, record.slot) = (table.origin, object, slot)
        table.journal.append(record)
    }
}
