// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Synchronization

/// The writers of one daemon: as many as it has changes on their way at a time, for the table has 64 for all daemons.
package final class WriterPool: Sendable {
    package let table: VersionTable
    private let free: Mutex<Free>
    /// Bits of the followers that are served here: they hear of changes by replies.
    private let ownFollowers = Atomic<UInt64>(0)
    private let returned = Announcements()

    private struct Free {
        var writers: [TableWriter]
        var made = 1
    }

    /// What the guest has mapped for writing.
    private let mapped = Mutex<LastingChanges?>(nil)
    private let mappedBit = Atomic<UInt64>(0)

    /// So many that a few busy daemons find room.
    private static let limit = 12

    /// - Throws: EUSERS when 64 threads of daemons write already.
    package init(_ table: VersionTable) throws(Errno) {
        guard let first = TableWriter(table) else { throw .EUSERS }
        self.table = table
        free = Mutex(Free(writers: [first]))
    }

    /// The session's own follower; nil: its front-end is none.
    package func serve(follower: Int?) {
        let bit = follower.map { 1 << UInt64($0 % TableLayout.participants) as UInt64 } ?? 0
        ownFollowers.store(bit, ordering: .relaxed)
    }

    /// Carries out `change` between the two words to the table that it changes `objects`; it gets the writer's bit in `changing`.
    package func announcing<Result>(
        _ objects: Touched, _ change: (UInt64) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        let writer = borrow()
        writer.begin(objects, sparing: ownFollowers.load(ordering: .relaxed))
        defer {
            writer.end()
            giveBack(writer)
        }
        return try change(writer.bit)
    }

    /// The guest may write `object` from now on without asking, until `unmap`. EUSERS when 64 threads of daemons write already.
    package func map(_ object: FileKey) throws(Errno) {
        let changes = mapped.withLock { mapped in
            if mapped == nil { mapped = LastingChanges(table) }
            return mapped
        }
        guard let changes else { throw .EUSERS }
        mappedBit.store(changes.bit, ordering: .relaxed)
        changes.begin(object)
    }

    package func unmap(_ object: FileKey) { mapped.withLock { $0 }?.end(object) }

    /// Whether `slot` has an object that somebody else's guest may be writing without asking.
    package func isWrittenElsewhere(_ slot: UInt32) -> Bool {
        let others = table.lastingWriters & ~mappedBit.load(ordering: .relaxed)
        return others != 0 && table.isChanging(slot, besides: ~others)
    }

    private func borrow() -> TableWriter {
        while true {
            let seen = returned.current
            let writer = free.withLock { free -> TableWriter? in
                if let writer = free.writers.popLast() { return writer }
                guard free.made < Self.limit, let more = TableWriter(table) else { return nil }
                free.made += 1
                return more
            }
            if let writer { return writer }
            returned.wait(since: seen, until: Deadline(milliseconds: 10))
        }
    }

    private func giveBack(_ writer: TableWriter) {
        free.withLock { $0.writers.append(writer) }
        returned.announce()
    }
}
