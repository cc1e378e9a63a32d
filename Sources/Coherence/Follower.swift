// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// A front-end whose kernel caches what the table counts: it says what of, and gives that up when somebody is about to change it.
///
/// `note` is for any thread; `next`, `acknowledge` and `rejoin` are one thread's.
package final class Follower: @unchecked Sendable {
    // Unchecked: the reader is one thread's, the words are atomic.

    package let table: VersionTable
    /// Its bit in `interest` words.
    package let number: Int
    private let words: SharedWords
    private let record: Int
    private let reader: JournalReader

    private enum State {
        static let free: UInt32 = 0
        static let following: UInt32 = 1
        static let expelled: UInt32 = 2
    }

    /// nil when 64 follow already.
    package init?(_ table: VersionTable) {
        guard
            let number = table.claim(TableLayout.Header.followers, repair: { Self.repair(table, $0) })
        else { return nil }
        self.table = table
        self.number = number
        words = table.words
        record = Self.place(number)
        reader = JournalReader(table)
        join()
    }

    deinit {
        words.store32(record + TableLayout.Follower.state, State.free)
        table.giveBack(TableLayout.Header.followers, number)
    }

    static func place(_ number: Int) -> Int {
        TableLayout.Header.followers + number * TableLayout.participantByteCount
    }

    private static func repair(_ table: VersionTable, _ number: Int) {
        table.words.store32(place(number) + TableLayout.Follower.state, State.free)
    }

    private func join() {
        words.store(record + TableLayout.Follower.acknowledged, reader.position)
        words.store32(record + TableLayout.Follower.state, State.following)
    }

    // ---- what is cached ----

    /// Something of `slot` is about to be cached. Look whether it changes after this, not before.
    package func note(_ slot: UInt32) {
        let place = table.offset(slot) + TableLayout.Slot.interest
        let bit: UInt64 = 1 << UInt64(number)
        // Most of the time it is there already, and stays in the caches of all.
        if words.load(place) & bit == 0 { words.set(place, bits: bit) }
    }

    // ---- what is to be given up ----

    package enum Order: Equatable, Sendable {
        /// Of this slot.
        case slot(UInt32)
        /// Everything: something was missed.
        case everything
    }

    /// What is to be given up next, before it is acknowledged; nil if there is nothing.
    package func next() -> Order? {
        while let event = reader.next() {
            switch event {
            case .missed: return .everything
            case .record(let record, _) where record.kind == .everything: return .everything
            case .record(let record, _)
            where record.kind == .revocation && record.followers & 1 << UInt64(number) != 0:
                return .slot(record.slot)
            case .record: continue
            }
        }
        return nil
    }

    /// All that `next` has returned has been given up.
    package func acknowledge() {
        let place = record + TableLayout.Follower.acknowledged
        words.store(place, reader.position)
        words.wake(at: place)
    }

    /// Others have waited for it in vain. It has to give up everything, and then to `rejoin`.
    package var isExpelled: Bool {
        words.load32(record + TableLayout.Follower.state) != State.following
    }

    package func rejoin() { join() }

    /// Sleeps until the journal grows.
    package func wait(atMost milliseconds: Int32) { reader.wait(atMost: milliseconds) }

    // ---- the other side ----

    /// Whether all that follow have given up what the records before `position` tell them to.
    package static func haveRead(to position: UInt64, in table: VersionTable) -> Bool {
        (0..<TableLayout.participants).allSatisfy { number in
            let record = place(number)
            return table.words.load32(record + TableLayout.Follower.state) != State.following
                || table.words.load(record + TableLayout.Follower.acknowledged) >= position
                || table.isUnlocked(record)
        }
    }

    /// Has everybody but `spared` give up what they have cached of `slots`, and waits until they have.
    static func revoke(_ slots: some Sequence<UInt32>, sparing spared: UInt64, in table: VersionTable) {
        guard let (last, followers) = announce(slots, sparing: spared, in: table) else { return }
        for number in 0..<TableLayout.participants where followers & 1 << UInt64(number) != 0 {
            awaitAcknowledgement(of: number, after: last, in: table)
        }
        // Not before: another writer of the slot has to wait for them too. As long as it changes nobody caches anything of it.
        for slot in slots { table.words.keep(table.offset(slot) + TableLayout.Slot.interest, bits: spared) }
    }

    /// The same without waiting. Returns the last of the revocations and whom they are for.
    @discardableResult
    static func announce(
        _ slots: some Sequence<UInt32>, sparing spared: UInt64, in table: VersionTable
    ) -> (last: UInt64, followers: UInt64)? {
        var result: (last: UInt64, followers: UInt64)?
        for slot in slots {
            let place = table.offset(slot) + TableLayout.Slot.interest
            let followers = table.words.load(place) & ~spared
            guard followers != 0 else { continue }
            var record = JournalRecord(.revocation)
            record.origin = table.origin
            record.slot = slot
            record.followers = followers
            let sequence = table.journal.append(record)
            result = (sequence, followers | (result?.followers ?? 0))
        }
        return result
    }

    /// How long a follower may take that is alive. It has nothing to wait for.
    private static let patience: Int64 = 1_000_000_000
    /// How long it is watched before it is waited for, asleep: about what waking up costs.
    private static let watching: Int64 = 30_000

    private static func awaitAcknowledgement(of number: Int, after sequence: UInt64, in table: VersionTable) {
        let (words, record) = (table.words, place(number))
        let began = monotonicNanoseconds()
        while true {
            let acknowledged = words.load(record + TableLayout.Follower.acknowledged)
            if acknowledged > sequence { return }
            if words.load32(record + TableLayout.Follower.state) != State.following { return }
            let elapsed = monotonicNanoseconds() - began
            if elapsed < watching { continue }
            if table.isUnlocked(record) { return }
            if elapsed > patience {
                _ = words.exchange32(
                    record + TableLayout.Follower.state, from: State.following, to: State.expelled)
                return
            }
            words.sleep(
                at: record + TableLayout.Follower.acknowledged,
                while: UInt32(truncatingIfNeeded: acknowledged),
                atMost: 10)
        }
    }
}
