// SPDX-License-Identifier: Apache-2.0
import CLinux

/// A table of records that begin with a `vfs_slot`, addressed by slot number and generation.
///
/// An identifier is slot | generation << 32. Finding is free of locks; `allocate`, `publish`, `retire` and `free` are
/// called under the owner's lock. Slot 0 is never used, so no identifier is 0. Freed slots are used again first, so a
/// table is never longer than the most records that were live at once.
@safe public struct SlotTable: @unchecked Sendable {
    @usableFromInline let base: UnsafeMutableRawPointer
    @usableFromInline let stride: Int
    public let capacity: UInt32
    private let control: UnsafeMutablePointer<vfs_slot_control>

    init(
        base: UnsafeMutableRawPointer, stride: Int, capacity: UInt32,
        control: UnsafeMutablePointer<vfs_slot_control>
    ) {
        unsafe self.base = base
        self.stride = stride
        self.capacity = capacity
        unsafe self.control = control
        unsafe control.pointee.unused = 1
    }

    /// The record at `slot`, which must be below `capacity`. Reading a free record is harmless.
    @inlinable public func address(_ slot: UInt32) -> UnsafeMutableRawPointer {
        unsafe base + Int(min(slot, capacity &- 1)) * stride
    }

    @inlinable func header(_ slot: UInt32) -> UnsafeMutablePointer<vfs_slot> {
        unsafe address(slot).assumingMemoryBound(to: vfs_slot.self)
    }

    /// The slot that `identifier` names; nil if it is forged, or its record is no longer live.
    @inlinable @inline(__always)
    public func find(_ identifier: UInt64) -> UInt32? {
        let slot = UInt32(truncatingIfNeeded: identifier)
        guard slot != 0, slot < capacity else { return nil }
        let record = unsafe header(slot)
        guard unsafe vfs_slot_state(record) == UInt32(VFS_SLOT_LIVE),
            unsafe vfs_slot_generation(record) == UInt32(truncatingIfNeeded: identifier >> 32)
        else { return nil }
        return slot
    }

    /// The identifier of the record now at `slot`.
    @inlinable public func identifier(of slot: UInt32) -> UInt64 {
        unsafe UInt64(vfs_slot_generation(header(slot))) << 32 | UInt64(slot)
    }

    @inlinable public func isLive(_ slot: UInt32) -> Bool {
        unsafe slot < capacity && vfs_slot_state(header(slot)) == UInt32(VFS_SLOT_LIVE)
    }

    /// How many records are live.
    public var liveCount: UInt32 { unsafe control.pointee.live }

    /// The slots that were ever used.
    public var usedSlots: Range<UInt32> { unsafe 1..<control.pointee.unused }

    /// Takes a free slot, whose body is to be written before `publish`; nil when the table is full.
    public func allocate() -> UInt32? {
        let free = unsafe control.pointee.free
        if free != 0 {
            unsafe control.pointee.free = header(free).pointee.next
            return free
        }
        let fresh = unsafe control.pointee.unused
        guard fresh < capacity else { return nil }
        unsafe control.pointee.unused = fresh + 1
        return fresh
    }

    /// Makes the record at `slot` live: the last store to it.
    public func publish(_ slot: UInt32) {
        unsafe control.pointee.live += 1
        unsafe vfs_slot_set_state(header(slot), UInt32(VFS_SLOT_LIVE))
    }

    /// Makes the live record at `slot` unfindable. It stays as it is for those that found it before.
    public func retire(_ slot: UInt32) {
        unsafe control.pointee.live -= 1
        unsafe vfs_slot_set_state(header(slot), UInt32(VFS_SLOT_RETIRED))
    }

    /// Gives the retired (or never published) slot back; nobody may use its record any more.
    public func free(_ slot: UInt32) {
        let record = unsafe header(slot)
        unsafe vfs_slot_set_state(record, UInt32(VFS_SLOT_FREE))
        unsafe vfs_slot_set_generation(record, vfs_slot_generation(record) &+ 1)
        unsafe record.pointee.next = control.pointee.free
        unsafe control.pointee.free = slot
    }
}
