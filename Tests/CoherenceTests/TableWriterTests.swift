// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Testing

@testable import Coherence

@Suite struct TableWriterTests {
    private func touched(_ slots: [(UInt32, Aspects)]) -> Touched {
        var result = Touched()
        for (slot, aspects) in slots { result.add(slot, aspects) }
        return result
    }

    @Test func aChangeIsSeenWhileItLastsAndAfterwards() throws {
        let rig = TableRig()
        let (mine, others) = (try rig.open(), try rig.open())
        let writer = try #require(TableWriter(mine))
        writer.begin(touched([(3, .attributes), (9, .both)]))
        #expect(others.isChanging(3) && others.isChanging(9) && !others.isChanging(4))
        #expect(others.attributesVersion(3) == 0)
        writer.end()
        #expect(!others.isChanging(3) && !others.isChanging(9))
        #expect((others.attributesVersion(3), others.contentVersion(3)) == (1, 0))
        #expect((others.attributesVersion(9), others.contentVersion(9)) == (1, 1))
    }

    @Test func twoMayChangeOneSlotAtATime() throws {
        let table = try TableRig().open()
        let (one, two) = (try #require(TableWriter(table)), try #require(TableWriter(table)))
        one.begin(touched([(3, .both)]))
        two.begin(touched([(3, .both)]))
        one.end()
        #expect(table.isChanging(3))
        two.end()
        #expect(!table.isChanging(3))
        #expect(table.contentVersion(3) == 2)
    }

    @Test func sixtyFourThreadsWriteAndNoMore() throws {
        let rig = TableRig()
        let (mine, others) = (try rig.open(), try rig.open())
        var writers =
            (0..<40).compactMap { _ in TableWriter(mine) } + (0..<24).compactMap { _ in TableWriter(others) }
        #expect(writers.count == 64)
        #expect(TableWriter(mine) == nil)
        #expect(TableWriter(others) == nil)
        writers.removeLast()
        #expect(TableWriter(mine) != nil)
    }

    /// A copy of what a daemon leaves that is killed in the midst of a change.
    @Test func aDeadWriterIsRepaired() throws {
        let rig = TableRig()
        let table = try rig.open()
        var dead: VersionTable? = try rig.open()
        // Its record without its lock: what the kernel leaves of a process that has died.
        var writer = TableWriter(dead!)
        let change = touched([(3, .attributes), (9, .content)])
        writer!.begin(change)
        let left = (0..<16).map { table.words.load32(TableWriter.place(0) + 4 * $0) }
        let changing = [3, 9].map { table.words.load(table.offset($0) + TableLayout.Slot.changing) }
        writer = nil
        dead = nil
        for (index, word) in left.enumerated() { table.words.store32(TableWriter.place(0) + 4 * index, word) }
        for (slot, bits) in zip([3, 9] as [UInt32], changing) {
            table.words.set(table.offset(slot) + TableLayout.Slot.changing, bits: bits)
        }
        let before = [3, 9].map { table.attributesVersion($0) &+ table.contentVersion($0) }
        #expect(table.isChanging(3))

        table.repairDeadWriters()
        #expect(!table.isChanging(3) && !table.isChanging(9))
        for (slot, version) in zip([3, 9] as [UInt32], before) {
            #expect(table.attributesVersion(slot) &+ table.contentVersion(slot) == version + 2)
        }
        #expect(table.words.load32(TableWriter.place(0) + TableLayout.Writer.origin) == 0)
    }

    @Test func whoIsAliveIsNotRepaired() throws {
        let rig = TableRig()
        let (mine, others) = (try rig.open(), try rig.open())
        let writer = try #require(TableWriter(others))
        writer.begin(touched([(3, .both)]))
        mine.repairDeadWriters()
        others.repairDeadWriters()
        #expect(mine.isChanging(3))
        writer.end()
    }

    @Test func aRecordThatLiesIsHarmless() throws {
        let table = try TableRig().open()
        let record = TableWriter.place(63)
        table.words.store32(record + TableLayout.Writer.origin, 77)
        table.words.store32(record + TableLayout.Writer.count, 1000)
        table.words.store32(record + TableLayout.Writer.slots, .max)
        table.repairDeadWriters()
        #expect(table.words.load32(record + TableLayout.Writer.count) == 0)
    }

    /// Readers with the rule of the specification never keep the old state: a "file" of two words that writers change.
    @Test func noReaderKeepsWhatIsStale() throws {
        let rig = TableRig()
        let state = StaleRace(try rig.open())
        let threads = try (0..<4).map { index throws(Errno) in
            try Thread(name: "race") { if index < 2 { state.write() } else { state.read() } }
        }
        for thread in threads { thread.join() }
        #expect(state.stale.load(ordering: .relaxed) == 0)
        #expect(state.used.load(ordering: .relaxed) > 0)
    }
}
