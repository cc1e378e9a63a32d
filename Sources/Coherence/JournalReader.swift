// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import HostOS

/// Follows a journal, without locks and without being noticed.
///
/// What the memory holds is only believed as far as it makes sense: a reader survives every writer.
package final class JournalReader {
    package enum Event: Equatable, Sendable {
        case record(JournalRecord, sequence: UInt64)
        /// Records are lost: whatever is cached may be stale.
        case missed
    }

    private let words: SharedWords
    private let base: Int
    private let recordCount: UInt64
    /// Sequence number of the next record.
    package private(set) var position: UInt64
    /// Since when the next record has been unfinished; 0: it is not.
    private var unfinishedSince: Int64 = 0
    /// A writer needs a microsecond; one that has not finished after this has died.
    private static let patience: Int64 = 20_000_000

    /// From now on.
    package convenience init(_ table: VersionTable) {
        self.init(table.words, at: table.tableByteCount, byteCount: table.journalByteCount)
    }

    /// From record `position` on.
    package init(_ table: VersionTable, from position: UInt64) {
        words = table.words
        base = table.tableByteCount
        recordCount = JournalLayout.recordCount(journalByteCount: table.journalByteCount)
        self.position = position
    }

    init(_ words: SharedWords, at base: Int, byteCount: Int) {
        self.words = words
        self.base = base
        recordCount = JournalLayout.recordCount(journalByteCount: byteCount)
        position = words.load(base + JournalLayout.Header.head)
    }

    /// What comes next; nil if there is nothing yet.
    package func next(now: Int64 = monotonicNanoseconds()) -> Event? {
        let head = words.load(base + JournalLayout.Header.head)
        if head == position { return nil }
        // A head that has gone back is none of ours, but nothing to trap about.
        guard head > position, head - position <= recordCount else { return miss(head) }
        let place =
            base + JournalLayout.headerByteCount
            + Int(position % recordCount) * JournalLayout.recordByteCount
        let complete = 2 &* (position &+ 1)
        let mark = words.load(place)
        if mark < complete || mark == complete | 1 {
            if unfinishedSince == 0 { unfinishedSince = now }
            if now - unfinishedSince < Self.patience { return nil }
            return miss(position &+ 1)
        }
        guard mark == complete else { return miss(head) }
        let copy = (1..<JournalRecord.wordCount).map { words.loadRelaxed(place + 8 * $0) }
        words.fence()
        guard words.load(place) == complete else { return miss(head) }
        unfinishedSince = 0
        defer { position &+= 1 }
        // A kind that a later version has.
        guard let record = JournalRecord(words: copy) else { return .missed }
        return .record(record, sequence: position)
    }

    private func miss(_ next: UInt64) -> Event {
        position = next
        unfinishedSince = 0
        return .missed
    }

    /// Sleeps until there is more, for those that may write the table.
    package func wait(atMost milliseconds: Int32) {
        // The next is there and unfinished, for microseconds as a rule.
        if unfinishedSince != 0 { return _ = waitReadable(-1, timeoutMilliseconds: min(1, milliseconds)) }
        words.add32(base + JournalLayout.Header.sleepers, 1)
        let head = words.load(base + JournalLayout.Header.head)
        if head == position {
            words.sleep(
                at: base + JournalLayout.Header.head, while: UInt32(truncatingIfNeeded: head),
                atMost: milliseconds)
        }
        words.add32(base + JournalLayout.Header.sleepers, .max)
    }
}
