// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import StateArena
import Synchronization

/// Which inodes have a descriptor open although a file handle could bring it back: the recently used ones, at most
/// `capacity`, chosen by a clock whose hand passes over them.
final class HotDescriptors: Sendable {
    private struct Clock {
        /// nodeids; one that is stale or has no descriptor is a free place.
        var nodes: [UInt64]
        var hand = 0
    }
    private let clock: Mutex<Clock>
    private let inodes: InodeTable

    init(capacity: Int, inodes: InodeTable) {
        clock = Mutex(Clock(nodes: [UInt64](repeating: 0, count: max(4, capacity))))
        self.inodes = inodes
    }

    /// Notes that `node` has a descriptor now. Returns the slot of the record whose descriptor has to give way, held until
    /// the request ends: only the caller may take it out now.
    func insert(_ node: UInt64, pins: PinSet) throws(Errno) -> UInt32? {
        try clock.withLock { clock throws(Errno) in
            var evicted: UInt32?
            // After one turn every mark is cleared; others may set some again, but not for ever.
            for _ in 0..<(2 * clock.nodes.count) {
                let outcome = try tryEvict(clock.nodes[clock.hand], pins: pins)
                if case .spared = outcome {
                    clock.hand = (clock.hand + 1) % clock.nodes.count
                    continue
                }
                if case .evicted(let slot) = outcome { evicted = slot }
                clock.nodes[clock.hand] = node
                clock.hand = (clock.hand + 1) % clock.nodes.count
                return evicted
            }
            // All are in constant use: this one is a guest of the table until it is forgotten.
            return evicted
        }
    }

    /// Makes the descriptor of `record`, if it still has one of its own, stay until the inode is forgotten.
    func keep(_ record: InodeRecord, _ quota: DescriptorQuota) throws(Errno) {
        try clock.withLock { _ throws(Errno) in
            let number = record.descriptor
            guard number >= 0, !record.isLent(number), !record.has(VFS_INODE_KEEPS_DESCRIPTOR) else { return }
            try quota.take()
            record.set(VFS_INODE_KEEPS_DESCRIPTOR)
        }
    }

    /// Takes out the descriptor that has to give way; −1 if it is kept by now.
    func take(_ record: InodeRecord) -> Int32 {
        clock.withLock { _ in record.has(VFS_INODE_KEEPS_DESCRIPTOR) ? -1 : record.takeDescriptor() }
    }

    private enum Outcome {
        case vacant
        case spared
        case evicted(UInt32)
    }

    private func tryEvict(_ node: UInt64, pins: PinSet) throws(Errno) -> Outcome {
        let mark = pins.count
        try pins.add(Pin.inode(UInt32(truncatingIfNeeded: node)))
        pins.fence()
        guard let slot = inodes.slots.find(node), inodes.record(slot).descriptor >= 0,
            !inodes.record(slot).has(VFS_INODE_KEEPS_DESCRIPTOR)
        else {
            pins.truncate(to: mark)
            return .vacant
        }
        let record = inodes.record(slot)
        guard record.has(VFS_INODE_RECENT) else { return .evicted(slot) }
        record.clear(VFS_INODE_RECENT)
        pins.truncate(to: mark)
        return .spared
    }
}
