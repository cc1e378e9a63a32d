// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Testing

@testable import Coherence

@Suite struct JournalTests {
    private var sample: JournalRecord {
        var record = JournalRecord(.movedHere)
        record.origin = 3
        record.object = key(1 << 40)
        record.parent = key(2)
        record.slot = 17
        record.parentSlot = 65151
        record.followers = 1 << 63 | 5
        record.pair = 0
        record.name = Array("a name \u{fc}".utf8) + [0xff]
        return record
    }

    private func place(_ table: VersionTable, _ sequence: Int) -> Int {
        table.tableByteCount + JournalLayout.headerByteCount + sequence % 5450 * JournalLayout.recordByteCount
    }

    @Test func recordIsThatOfTheSpecification() throws {
        let rig = TableRig()
        let table = try rig.open()
        #expect(table.journal.append(sample) == 0)
        let bytes = try Files.read(rig.path)[(2 << 20) + 4096..<(2 << 20) + 4480]
        func field(_ offset: Int, _ size: Int) -> UInt64 {
            (0..<size).reduce(0) { $0 | UInt64(bytes[bytes.startIndex + offset + $1]) << (8 * $1) }
        }
        #expect(field(0, 8) == 2)  // mark: sequence 0, complete
        #expect(field(8, 4) == 4)
        #expect(field(12, 4) == 3)
        #expect((field(16, 8), field(24, 8)) == (8 << 32 | 1, 1 << 40))
        #expect((field(32, 8), field(40, 8)) == (8 << 32 | 1, 2))
        #expect((field(48, 4), field(52, 4)) == (17, 65151))
        #expect(field(56, 8) == UInt64(1) << 63 | 5)
        #expect(field(64, 8) == 1)  // the pair is sequence 0
        #expect(field(72, 2) == 10)
        #expect(Array(bytes[(bytes.startIndex + 74)..<(bytes.startIndex + 84)]) == sample.name)
    }

    @Test func readersFollowWritersOfOtherOpenings() throws {
        let rig = TableRig()
        let (one, two) = (try rig.open(), try rig.open())
        one.journal.append(JournalRecord(.created))  // before anybody follows
        let reader = JournalReader(two)
        #expect(reader.next() == nil)
        one.journal.append(sample)
        two.journal.append(JournalRecord(.everything))
        #expect(reader.next() == .record(sample, sequence: 1))
        #expect(reader.next() == .record(JournalRecord(.everything), sequence: 2))
        #expect(reader.next() == nil)
    }

    @Test(arguments: [0, 1, 5, 6, 13, 14, 254, 255, 300]) func namesOfAllLengths(length: Int) throws {
        let table = try TableRig().open()
        let reader = JournalReader(table)
        var record = sample
        record.name = (0..<length).map { UInt8(truncatingIfNeeded: $0 % 255 + 1) }
        table.journal.append(record)
        record.name = Array(record.name.prefix(255))
        #expect(reader.next() == .record(record, sequence: 0))
    }

    @Test func whoFallsBehindIsTold() throws {
        let table = try TableRig().open()
        let reader = JournalReader(table)
        for _ in 0..<5450 { table.journal.append(JournalRecord(.created)) }
        #expect(reader.next() == .record(JournalRecord(.created), sequence: 0))
        for _ in 0..<2 { table.journal.append(JournalRecord(.removed)) }
        #expect(reader.next() == .missed)
        #expect(reader.position == 5452)
        table.journal.append(sample)
        #expect(reader.next() == .record(sample, sequence: 5452))
        #expect(table.epoch == 1)  // nothing is lost for those who keep up
    }

    @Test func aWriterThatDiesInTheMidstIsPassedOver() throws {
        let table = try TableRig().open()
        let reader = JournalReader(table)
        // Took a number, began to write, died.
        table.words.add(table.tableByteCount + JournalLayout.Header.head, 1)
        table.words.store(place(table, 0), 3)
        table.journal.append(sample)
        #expect(reader.next(now: 1_000) == nil)
        #expect(reader.next(now: 19_000_000) == nil)
        #expect(reader.next(now: 21_000_000) == .missed)
        #expect(reader.next(now: 21_000_000) == .record(sample, sequence: 1))
        // A lap later its record is written over, and everything counts as changed, for it may wake and spoil that.
        for _ in 2..<5450 { table.journal.append(JournalRecord(.created)) }
        #expect(table.epoch == 1)
        table.journal.append(sample)
        #expect(table.epoch == 2)
    }

    @Test func aWriterThatSleepsForALapLosesItsRecordAndSaysSo() throws {
        let table = try TableRig().open()
        for _ in 0..<5451 { table.journal.append(JournalRecord(.created)) }
        // It has got number 0 and wakes now.
        table.words.store(table.tableByteCount + JournalLayout.Header.head, 0)
        table.journal.append(sample)
        #expect(table.epoch == 2)
        #expect(table.words.load(place(table, 0)) == 2 * 5451)
    }

    @Test func nonsenseInTheMemoryIsNoTrap() throws {
        let table = try TableRig().open()
        let reader = JournalReader(table)
        table.words.store(table.tableByteCount + JournalLayout.Header.head, .max)
        #expect(reader.next() == .missed)
        table.words.store(table.tableByteCount + JournalLayout.Header.head, 5)
        #expect(reader.next() == .missed)
        // A kind of a later version.
        table.journal.append(JournalRecord(.created))
        table.words.store(place(table, 5) + 8, 99)
        #expect(reader.next() == .missed)
        // A name that is longer than can be.
        table.journal.append(JournalRecord(.created))
        table.words.store(place(table, 6) + 72, 0xffff)
        guard case .record(let record, _) = reader.next() else { throw Errno.EIO }
        #expect(record.name.count == 255)
    }

    @Test func manyWritersLoseNothing() throws {
        let rig = TableRig()
        let tables = try (0..<3).map { _ in try rig.open() }
        let reader = JournalReader(tables[0])
        let threads = try tables.map { table in
            try Thread(name: "writer") {
                for number in 0..<1500 {
                    var record = JournalRecord(.created)
                    record.origin = table.origin
                    record.object = key(UInt64(number + 1))
                    table.journal.append(record)
                }
            }
        }
        for thread in threads { thread.join() }
        var next: [UInt32: UInt64] = [:]
        for sequence in 0..<4500 {
            guard case .record(let record, UInt64(sequence)) = reader.next() else { throw Errno.EIO }
            #expect(record.object?.number == next[record.origin, default: 0] + 1)
            next[record.origin, default: 0] += 1
        }
        #expect(Array(next.values) == [1500, 1500, 1500])
    }

    @Test func whoWaitsIsWoken() throws {
        let rig = TableRig()
        let (one, two) = (try rig.open(), try rig.open())
        let writer = try Thread(name: "writer") {
            while one.words.load32(one.tableByteCount + JournalLayout.Header.sleepers) == 0 { sched_yield() }
            one.journal.append(JournalRecord(.created))
        }
        let reader = JournalReader(two)
        while reader.next() == nil { reader.wait(atMost: 60_000) }
        writer.join()
        #expect(reader.position == 1)
        #expect(one.words.load32(one.tableByteCount + JournalLayout.Header.sleepers) == 0)
    }
}
