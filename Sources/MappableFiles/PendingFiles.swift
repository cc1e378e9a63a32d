// SPDX-License-Identifier: Apache-2.0
import HostOS

/// Files that can be opened, once each: from the daemon's question to its open(2).
struct PendingFiles {
    private struct Entry {
        let number: UInt64
        let backing: UInt32
        let end: Deadline
    }

    /// The oldest first. Few: as many as the daemon has threads that are between the two.
    private var entries: [Entry] = []
    private var last: UInt64 = 0

    /// The oldest goes when there are more; whoever wanted it finds no file.
    static let capacity = 256
    /// How long the daemon may take.
    static let milliseconds: Int32 = 10_000

    var isEmpty: Bool { entries.isEmpty }

    /// Gives a backing file a number that no file has had before, from 1 on.
    mutating func add(_ backing: UInt32, until end: Deadline = Deadline(milliseconds: Self.milliseconds))
        -> UInt64
    {
        last += 1
        entries.append(Entry(number: last, backing: backing, end: end))
        return last
    }

    func contains(_ number: UInt64) -> Bool { entries.contains { $0.number == number } }

    /// The backing file of `number`, which is good no longer.
    mutating func take(_ number: UInt64) -> UInt32? {
        guard let index = entries.firstIndex(where: { $0.number == number }) else { return nil }
        return entries.remove(at: index).backing
    }

    /// A backing file that nobody has come for; nil: there is none.
    mutating func takeAbandoned() -> UInt32? {
        guard let oldest = entries.first, entries.count > Self.capacity || oldest.end.hasPassed else {
            return nil
        }
        return entries.removeFirst().backing
    }
}
