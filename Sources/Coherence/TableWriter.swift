// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// The objects that one change touches, at most four.
package struct Touched {
    private var slots: InlineArray<4, UInt32> = .init(repeating: 0)
    private var aspects: InlineArray<4, Aspects> = .init(repeating: [])
    package private(set) var count = 0

    package init() {}

    package mutating func add(_ slot: UInt32, _ what: Aspects) {
        invariant(count < TableLayout.Writer.maximumSlots, "a change touches at most four objects")
        slots[count] = slot
        aspects[count] = what
        count += 1
    }

    package subscript(index: Int) -> (slot: UInt32, aspects: Aspects) { (slots[index], aspects[index]) }
}

/// Says in the table what one thread changes: before it does, and when it is done.
///
/// One change at a time. Should the process die in between, the others repair the table.
package final class TableWriter: @unchecked Sendable {
    // Unchecked: one thread at a time has it, from a pool or for itself.
    package let table: VersionTable
    private let words: SharedWords
    private let record: Int
    private let number: Int
    /// In `changing` words.
    package let bit: UInt64
    private var touched = Touched()

    /// nil when 64 threads write already.
    package init?(_ table: VersionTable) {
        guard
            let number = table.claim(
                TableLayout.Header.writers, repair: { Self.repair(table, $0) })
        else { return nil }
        self.table = table
        words = table.words
        self.number = number
        record = Self.place(number)
        bit = 1 << UInt64(number)
        Self.enter(record, table)
    }

    /// Says whose the record is.
    static func enter(_ record: Int, _ table: VersionTable) {
        let (words, process) = (table.words, table.writerProcess)
        words.store32(record + TableLayout.Writer.process, process.number)
        words.store32(record + TableLayout.Writer.namespace, process.namespace)
        words.store32(record + TableLayout.Writer.origin, table.origin)
    }

    deinit {
        if touched.count > 0 { end() }
        words.store32(record + TableLayout.Writer.origin, 0)
        table.giveBack(TableLayout.Header.writers, number)
    }

    static func place(_ number: Int) -> Int {
        TableLayout.Header.writers + number * TableLayout.participantByteCount
    }

    /// From now until `end` nobody uses what is cached of these objects. Waits until the kernels of others have given it up.
    ///
    /// - Parameter spared: bits of followers that hear of the change by its own reply.
    package func begin(_ objects: Touched, sparing spared: UInt64 = 0) {
        invariant(touched.count == 0, "a writer makes one change at a time")
        touched = objects
        for index in 0..<objects.count {
            words.store32(record + TableLayout.Writer.slots + 4 * index, objects[index].slot)
        }
        words.store32(record + TableLayout.Writer.count, UInt32(objects.count))
        for index in 0..<objects.count {
            words.set(table.offset(objects[index].slot) + TableLayout.Slot.changing, bits: bit)
        }
        Follower.revoke((0..<objects.count).lazy.map { objects[$0].slot }, sparing: spared, in: table)
    }

    /// The change is done, or was none.
    package func end() {
        for index in 0..<touched.count {
            table.bump(touched[index].slot, touched[index].aspects)
        }
        for index in 0..<touched.count {
            words.keep(table.offset(touched[index].slot) + TableLayout.Slot.changing, bits: ~bit)
        }
        touched = Touched()
        words.store32(record + TableLayout.Writer.count, 0)
    }

    static func clear(_ slot: UInt32, _ bit: UInt64, in table: VersionTable) {
        table.bump(slot, .both)
        table.words.keep(table.offset(slot) + TableLayout.Slot.changing, bits: ~bit)
    }

    /// Ends what a writer that has died was changing. For whoever holds the record's lock.
    static func repair(_ table: VersionTable, _ number: Int) {
        let (words, record, bit) = (table.words, place(number), 1 << UInt64(number) as UInt64)
        let count = words.load32(record + TableLayout.Writer.count)
        if count == TableLayout.Writer.anySlots {
            for slot in 0..<table.slotCount where table.isChanging(slot, besides: ~bit) {
                clear(slot, bit, in: table)
            }
            words.keep(TableLayout.Header.lasting, bits: ~bit)
        } else {
            for index in 0..<min(Int(count), TableLayout.Writer.maximumSlots) {
                clear(words.load32(record + TableLayout.Writer.slots + 4 * index), bit, in: table)
            }
        }
        words.store32(record + TableLayout.Writer.count, 0)
        words.store32(record + TableLayout.Writer.origin, 0)
    }
}
