// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Testing

@testable import Coherence

@Suite struct LastingChangesTests {
    private let object = FileKey(device: 7, number: 11)

    @Test func changingForAsLong() throws {
        let rig = TableRig()
        let (mine, others) = (try rig.open(), try rig.open())
        let changes = try #require(LastingChanges(mine))
        let slot = mine.slot(of: object)
        #expect(others.lastingWriters == changes.bit)
        changes.begin(object)
        changes.begin(object)
        #expect(others.isChanging(slot))
        let before = others.contentVersion(slot)
        changes.end(object)
        #expect(others.isChanging(slot), "it is mapped twice")
        changes.end(object)
        #expect(!others.isChanging(slot) && others.contentVersion(slot) == before + 1)
    }

    @Test func itIsInTheJournal() throws {
        let rig = TableRig()
        let (mine, others) = (try rig.open(), try rig.open())
        let reader = JournalReader(others)
        let changes = try #require(LastingChanges(mine))
        for step in [changes.begin, changes.end] {
            step(object)
            guard case .record(let record, _) = reader.next() else {
                Issue.record("no record")
                return
            }
            #expect(record.kind == .content && record.object == object && record.origin == mine.origin)
        }
    }

    /// A change of a moment on top of it.
    @Test func othersChangesEndAsUsual() throws {
        let table = try TableRig().open()
        let changes = try #require(LastingChanges(table))
        let writer = try #require(TableWriter(table))
        let slot = table.slot(of: object)
        changes.begin(object)
        var touched = Touched()
        touched.add(slot, .both)
        writer.begin(touched)
        #expect(table.isChanging(slot, besides: table.lastingWriters))
        writer.end()
        #expect(!table.isChanging(slot, besides: table.lastingWriters))
        #expect(table.isChanging(slot))
    }

    @Test func itEndsWithItsOwner() throws {
        let table = try TableRig().open()
        let slot = table.slot(of: object)
        var changes = LastingChanges(table)
        changes?.begin(object)
        #expect(table.isChanging(slot))
        changes = nil
        #expect(!table.isChanging(slot) && table.lastingWriters == 0)
    }

    /// What a daemon leaves that is killed.
    @Test func theDeadAreRepaired() throws {
        let rig = TableRig()
        let table = try rig.open()
        let slots: [UInt32] = [0, 3, table.slotCount - 1]
        let (record, bit) = (TableWriter.place(5), 1 << 5 as UInt64)
        table.words.store32(record + TableLayout.Writer.origin, 77)
        table.words.store32(record + TableLayout.Writer.count, TableLayout.Writer.anySlots)
        table.words.set(TableLayout.Header.lasting, bits: bit)
        for slot in slots { table.words.set(table.offset(slot) + TableLayout.Slot.changing, bits: bit) }
        table.repairDeadWriters()
        #expect(table.lastingWriters == 0)
        for slot in slots {
            #expect(!table.isChanging(slot))
            #expect(table.attributesVersion(slot) == 1 && table.contentVersion(slot) == 1)
        }
        #expect(table.contentVersion(4) == 0)
    }

    /// The pool's own guest knows what it writes.
    @Test func elsewhere() throws {
        let rig = TableRig()
        let (mine, others) = (try WriterPool(try rig.open()), try WriterPool(try rig.open()))
        let slot = mine.table.slot(of: object)
        try mine.map(object)
        #expect(!mine.isWrittenElsewhere(slot) && others.isWrittenElsewhere(slot))
        #expect(!others.isWrittenElsewhere(slot + 1))
        mine.unmap(object)
        #expect(!others.isWrittenElsewhere(slot))
    }
}
