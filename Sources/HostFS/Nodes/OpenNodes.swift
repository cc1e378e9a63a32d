// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseWire
import HostOS
import Synchronization

/// Which handle serves an inode that the guest uses without having asked to open it (zero-message open): the recently used
/// ones, at most `capacity`. A set-associative table: a nodeid has one set of places, and within it a clock chooses who has to
/// give way.
///
/// Finding takes no lock. What it finds may be of another inode or closed by now, so the handle is checked like one that
/// came from the guest.
@safe final class OpenNodes: Sendable {
    private static let ways = 4
    private static let maximum = 4096
    private enum Word {
        static let node = 0
        static let handle = 8
        static let recent = 16
        static let size = 32
    }
    private let memory: Mapping
    /// A power of two.
    private let sets: Int
    /// Whose turn it is to look for somebody to give way, over all places.
    private let changes = Mutex<Int>(0)

    /// At most half of `quota`, so that what must not be closed finds room.
    init(quota: Int) throws(Errno) {
        var sets = 2
        while sets * 2 * Self.ways <= min(Self.maximum, quota / 2) { sets *= 2 }
        self.sets = sets
        memory = try Mapping(anonymous: sets * Self.ways * Word.size)
    }

    var capacity: Int { sets * Self.ways }

    /// The handle for `node`, if there is one.
    func find(_ node: NodeID) -> UInt64? {
        let first = firstPlace(of: node)
        for place in first..<first + Self.ways where load(place, Word.node) == node.rawValue {
            if load(place, Word.recent) == 0 { store(place, Word.recent, 1) }
            return load(place, Word.handle)
        }
        return nil
    }

    /// Puts `handle` in place for `node`. Returns the handle that has to give way: an earlier one of this inode, or that of
    /// the inode of its set that was not used for longest.
    func insert(_ node: NodeID, _ handle: UInt64) -> UInt64? {
        changes.withLock { hand in
            let first = firstPlace(of: node)
            let own = (first..<first + Self.ways).first { load($0, Word.node) == node.rawValue }
            let place = own ?? chooseVictim(first, &hand)
            let earlier = take(place)
            store(place, Word.handle, handle)
            store(place, Word.recent, 1)
            store(place, Word.node, node.rawValue)
            return earlier
        }
    }

    /// Takes out the handle for `node`.
    func remove(_ node: NodeID) -> UInt64? {
        guard find(node) != nil else { return nil }
        return changes.withLock { _ in
            let first = firstPlace(of: node)
            for place in first..<first + Self.ways where load(place, Word.node) == node.rawValue {
                return take(place)
            }
            return nil
        }
    }

    /// Takes out any handle; nil when there is none.
    func removeAny() -> UInt64? {
        changes.withLock { hand in
            for _ in 0..<capacity {
                hand = (hand + 1) % capacity
                if let handle = take(hand) { return handle }
            }
            return nil
        }
    }

    private func chooseVictim(_ first: Int, _ hand: inout Int) -> Int {
        // After one turn every mark is cleared.
        for _ in 0..<2 * Self.ways {
            hand = (hand + 1) % capacity
            let place = first + hand % Self.ways
            if load(place, Word.node) == 0 || load(place, Word.recent) == 0 { return place }
            store(place, Word.recent, 0)
        }
        return first
    }

    private func take(_ place: Int) -> UInt64? {
        guard load(place, Word.node) != 0 else { return nil }
        store(place, Word.node, 0)
        return load(place, Word.handle)
    }

    /// Slots are dense, and so are the nodeids of a directory's files.
    private func firstPlace(of node: NodeID) -> Int { Int(node.rawValue & UInt64(sets - 1)) * Self.ways }

    private func load(_ place: Int, _ word: Int) -> UInt64 {
        unsafe vfs_load_acquire64(memory.base + place * Word.size + word)
    }

    private func store(_ place: Int, _ word: Int, _ value: UInt64) {
        unsafe vfs_store_release64(memory.base + place * Word.size + word, value)
    }
}
