// SPDX-License-Identifier: Apache-2.0
import Errors

/// Adds records to the journal, without locks, among other processes that do the same.
package final class JournalWriter: Sendable {
    private let words: SharedWords
    private let base: Int
    private let recordCount: UInt64

    init(_ words: SharedWords, at base: Int, byteCount: Int) {
        self.words = words
        self.base = base
        recordCount = JournalLayout.recordCount(journalByteCount: byteCount)
    }

    /// Returns the record's sequence number. If it is lost, everything counts as changed.
    @discardableResult
    package func append(_ record: JournalRecord) -> UInt64 {
        unsafe record.name.withUnsafeBytes { unsafe append(record, name: $0) }
    }

    /// The same with a name that lies elsewhere, without the heap; of more than 255 bytes only those are told.
    @discardableResult
    package func append(_ record: JournalRecord, name: UnsafeRawBufferPointer) -> UInt64 {
        let sequence = words.add(base + JournalLayout.Header.head, 1)
        let name = unsafe UnsafeRawBufferPointer(rebasing: name.prefix(JournalLayout.Record.maximumName))
        if unsafe !write(record, name, sequence) { words.add(TableLayout.Header.epoch, 1) }
        if words.load32(base + JournalLayout.Header.sleepers) > 0 {
            words.wake(at: base + JournalLayout.Header.head)
        }
        return sequence
    }

    /// The sequence number that the next record will have.
    package var head: UInt64 { words.load(base + JournalLayout.Header.head) }

    private func write(_ record: JournalRecord, _ name: UnsafeRawBufferPointer, _ sequence: UInt64) -> Bool {
        let place =
            base + JournalLayout.headerByteCount
            + Int(sequence % recordCount) * JournalLayout.recordByteCount
        let complete = 2 &* (sequence &+ 1)
        let old = words.load(place)
        guard old < complete else { return false }  // we slept for a lap
        // Written by somebody who has slept or died since. It is ours now, and he will find out.
        let isLapped = old & 1 != 0
        guard words.exchange(place, from: old, to: complete | 1) else { return false }
        for index in 1..<JournalRecord.wordCount(nameLength: name.count) {
            words.storeRelaxed(place + 8 * index, unsafe record.word(index, name: name))
        }
        return words.exchange(place, from: complete | 1, to: complete) && !isLapped
    }
}
