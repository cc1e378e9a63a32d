// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import HostOS

/// Finds inode records by identity: hash buckets of slot numbers, chained through the records themselves.
///
/// Derived from the records, so it is private memory of this process and can be rebuilt at any time. Not thread-safe: it
/// lives inside its table's lock.
@safe public struct IdentityIndex: ~Copyable, @unchecked Sendable {
    private let table: SlotTable
    private var buckets: Mapping
    private(set) var bucketCount: Int
    /// Records in the index.
    public private(set) var count = 0

    public init(_ table: SlotTable, bucketCount: Int = 1024) throws(Errno) {
        self.table = table
        self.bucketCount = bucketCount
        buckets = try Mapping(anonymous: bucketCount * MemoryLayout<UInt32>.stride)
    }

    private func bucket(of identity: Identity) -> UnsafeMutablePointer<UInt32> {
        unsafe bucket(identity.bucketHash)
    }

    private func bucket(_ hash: UInt64) -> UnsafeMutablePointer<UInt32> {
        let index = Int(truncatingIfNeeded: hash & UInt64(bucketCount - 1))
        return unsafe buckets.base.assumingMemoryBound(to: UInt32.self) + index
    }

    public func find(_ identity: Identity) -> InodeRecord? {
        var slot = unsafe bucket(of: identity).pointee
        while slot != 0 {
            let record = InodeRecord(table, slot: slot)
            if record.identity == identity { return record }
            slot = record.next
        }
        return nil
    }

    /// The one of an object by device and inode number, whenever it was made and by whatever mount it was found: the newest.
    public func find(device: UInt64, number: UInt64) -> InodeRecord? {
        var slot = unsafe bucket(Identity.bucketHash(device: device, number: number)).pointee
        while slot != 0 {
            let record = InodeRecord(table, slot: slot)
            if record.number == number, record.device == device { return record }
            slot = record.next
        }
        return nil
    }

    /// Adds a record that is live and not in the index.
    public mutating func insert(_ record: InodeRecord) {
        if count >= bucketCount { grow() }
        link(record)
        record.set(VFS_INODE_INDEXED)
    }

    /// Takes a record out; nothing happens if it is not in the index.
    public mutating func remove(_ record: InodeRecord) {
        guard record.has(VFS_INODE_INDEXED) else { return }
        record.clear(VFS_INODE_INDEXED)
        count -= 1
        let head = unsafe bucket(of: record.identity)
        guard unsafe head.pointee != record.slot else {
            unsafe head.pointee = record.next
            return
        }
        var slot = unsafe head.pointee
        while slot != 0 {
            let previous = InodeRecord(table, slot: slot)
            if previous.next == record.slot {
                previous.next = record.next
                return
            }
            slot = previous.next
        }
    }

    private mutating func link(_ record: InodeRecord) {
        let head = unsafe bucket(of: record.identity)
        record.next = unsafe head.pointee
        unsafe head.pointee = record.slot
        count += 1
    }

    /// Doubles the buckets. Without memory for that the chains just grow longer.
    private mutating func grow() {
        guard let larger = try? Mapping(anonymous: bucketCount * 2 * MemoryLayout<UInt32>.stride) else {
            return
        }
        buckets = larger
        bucketCount *= 2
        rebuild()
    }

    /// Fills empty buckets from the records that say that they belong to the index.
    private mutating func rebuild() {
        count = 0
        for slot in table.usedSlots where table.isLive(slot) {
            let record = InodeRecord(table, slot: slot)
            if record.has(VFS_INODE_INDEXED) { link(record) }
        }
    }
}
