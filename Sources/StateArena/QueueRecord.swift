// SPDX-License-Identifier: Apache-2.0
import CLinux

/// Where one virtqueue lies, how far it got, and which of its chains are being handled: what a successor needs to go on
/// with the ring. Only the queue's worker writes it, with atomic stores; any thread may read.
@safe public struct QueueRecord: @unchecked Sendable {
    @usableFromInline let record: UnsafeMutablePointer<vfs_queue>
    /// Keeps the record mapped.
    private let arena: StateArena

    /// nil when the arena has no such queue.
    public init?(_ arena: StateArena, index: Int) {
        guard let record = unsafe arena.queue(index) else { return nil }
        unsafe self.record = unsafe record
        self.arena = arena
    }

    /// The ring begins to run: addresses in the VMM's address space, size in descriptors, at most 1024.
    public func start(
        descriptorTable: UInt64, availableRing: UInt64, usedRing: UInt64, size: Int, nextAvailable: UInt16
    ) {
        unsafe record.pointee.descriptor_table = descriptorTable
        unsafe record.pointee.available_ring = availableRing
        unsafe record.pointee.used_ring = usedRing
        unsafe record.pointee.next_available = nextAvailable
        for head in 0..<UInt16(VFS_QUEUE_MAX_SIZE) { mark(head, 0) }
        // The size comes last: a ring of size 0 does not run.
        unsafe vfs_queue_set_size(record, UInt32(clamping: size))
    }

    /// The chain `head` was taken from the ring.
    @inlinable public func took(_ head: UInt16, nextAvailable: UInt16) {
        let sequence = unsafe record.pointee.sequence &+ 1
        unsafe record.pointee.sequence = sequence
        mark(head, sequence)
        unsafe vfs_queue_set_next_available(record, nextAvailable)
    }

    /// The chain `head` was answered.
    @inlinable public func completed(_ head: UInt16) { mark(head, 0) }

    /// The ring stopped with nothing in flight.
    public func stop() { unsafe vfs_queue_set_size(record, 0) }

    /// How many chains are being handled.
    public var inFlightCount: Int {
        (0..<UInt16(VFS_QUEUE_MAX_SIZE)).count { unsafe vfs_queue_mark(record, $0) != 0 }
    }

    @inlinable func mark(_ head: UInt16, _ sequence: UInt64) {
        unsafe vfs_queue_set_mark(record, head, sequence)
    }
}
