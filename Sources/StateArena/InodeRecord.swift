// SPDX-License-Identifier: Apache-2.0
import CLinux

/// What tells one object of the host from all others, also from a later one with the same inode number.
public struct Identity: Hashable, Sendable {
    /// st_ino.
    public var number: UInt64
    /// st_dev: major << 32 | minor.
    public var device: UInt64
    public var birthSeconds: Int64
    /// `unknownBirth` where the file system tells no birth time.
    public var birthNanoseconds: UInt32
    /// STATX_MNT_ID: the same file below two mounts is two objects, with different ways to reach them.
    public var mount: UInt32
    /// S_IFMT bits: the type of an object never changes.
    public var type: UInt32

    public static let unknownBirth = UInt32.max

    public init(
        number: UInt64, device: UInt64, birthSeconds: Int64, birthNanoseconds: UInt32, mount: UInt32,
        type: UInt32
    ) {
        self.number = number
        self.device = device
        self.birthSeconds = birthSeconds
        self.birthNanoseconds = birthNanoseconds
        self.mount = mount
        self.type = type
    }

    /// Spreads identities over the buckets of an index: inode numbers are dense, so the mix is what matters.
    var bucketHash: UInt64 {
        Self.bucketHash(device: device, number: number)
    }

    /// Of those two alone, so that all that have them are in one bucket.
    static func bucketHash(device: UInt64, number: UInt64) -> UInt64 {
        var mix = number &* 0x9e37_79b9_7f4a_7c15 ^ device
        mix = (mix ^ mix >> 32) &* 0xd6e8_feb8_6659_fd93
        return mix ^ mix >> 32
    }
}

/// One record of the inode table: what the guest knows an object by.
///
/// A view: valid while the arena is, meaningful while its slot is live and the worker holds it.
@safe public struct InodeRecord {
    public let slot: UInt32
    @usableFromInline let record: UnsafeMutablePointer<vfs_inode>

    @inlinable public init(_ table: SlotTable, slot: UInt32) {
        self.slot = slot
        unsafe record = table.address(slot).assumingMemoryBound(to: vfs_inode.self)
    }

    /// Writes the body of a slot that is not published yet.
    public func initialize(_ identity: Identity, descriptor: Int32, flags: UInt32) {
        unsafe record.pointee.slot.flags = flags
        unsafe record.pointee.slot.next = 0
        unsafe record.pointee.lookups = 0
        unsafe record.pointee.number = identity.number
        unsafe record.pointee.device = identity.device
        unsafe record.pointee.birth_seconds = identity.birthSeconds
        unsafe record.pointee.birth_nanoseconds = identity.birthNanoseconds
        unsafe record.pointee.mount = identity.mount
        unsafe record.pointee.type = identity.type
        unsafe vfs_inode_set_descriptor(record, descriptor)
        unsafe record.pointee.handle_bytes = 0
    }

    public var identity: Identity {
        unsafe Identity(
            number: record.pointee.number, device: record.pointee.device,
            birthSeconds: record.pointee.birth_seconds,
            birthNanoseconds: record.pointee.birth_nanoseconds, mount: record.pointee.mount,
            type: record.pointee.type)
    }

    @inlinable public var mount: UInt32 { unsafe record.pointee.mount }
    @inlinable public var device: UInt64 { unsafe record.pointee.device }
    @inlinable public var number: UInt64 { unsafe record.pointee.number }
    /// S_IFMT bits.
    @inlinable public var type: UInt32 { unsafe record.pointee.type }

    /// How many references the guest holds. Only under the table's lock.
    public var lookups: UInt64 {
        get { unsafe record.pointee.lookups }
        nonmutating set { unsafe record.pointee.lookups = newValue }
    }

    // ---- flags: VFS_INODE_* ----

    @inlinable public func has(_ flag: Int) -> Bool { unsafe vfs_slot_flags(header) & UInt32(flag) != 0 }
    public func set(_ flag: Int) { unsafe vfs_slot_set_flags(header, UInt32(flag)) }
    public func clear(_ flag: Int) { unsafe vfs_slot_clear_flags(header, UInt32(flag)) }

    /// The slot header is the record's first member.
    @inlinable var header: UnsafeMutablePointer<vfs_slot> {
        unsafe UnsafeMutableRawPointer(record).assumingMemoryBound(to: vfs_slot.self)
    }

    // ---- the descriptor ----

    /// How `number` is stored that belongs to an open file of the guest, which lends it to the record.
    @inlinable public static func lent(_ number: Int32) -> Int32 { -2 - number }

    /// The record's own or one that is lent; −1 while there is none.
    @inlinable public var descriptor: Int32 {
        let stored = unsafe vfs_inode_descriptor(record)
        return stored <= -2 ? -2 - stored : stored
    }
    /// Stores `number` if there is none; false if another thread was first.
    public func install(_ number: Int32) -> Bool { unsafe vfs_inode_exchange(record, -1, number) }
    /// Takes the descriptor out, to be closed by the caller; −1 if there was none of the record's own.
    public func takeDescriptor() -> Int32 { max(-1, unsafe vfs_inode_take(record)) }

    @inlinable public func isLent(_ number: Int32) -> Bool {
        unsafe vfs_inode_descriptor(record) == Self.lent(number)
    }
    /// Takes out `number` if it is lent to the record, and leaves a descriptor of its own or −1; false if it is not.
    @discardableResult
    public func giveBack(_ number: Int32, keeping own: Int32 = -1) -> Bool {
        unsafe vfs_inode_exchange(record, Self.lent(number), own)
    }

    // ---- the file handle: one that comes late is written while a descriptor stands in for it ----

    public static let handleCapacity = Int(VFS_HANDLE_BYTES)

    @inlinable public var hasHandle: Bool { unsafe record.pointee.handle_bytes != 0 }

    /// Copies a `struct file_handle` of at most `handleCapacity` bytes into a record that is not published yet, or has
    /// a descriptor that only the caller may take out.
    public func storeHandle(_ handle: UnsafeRawPointer, byteCount: Int) {
        unsafe handleAddress.copyMemory(from: handle, byteCount: 8 + min(byteCount, Self.handleCapacity))
    }

    /// Laid out as `struct file_handle`.
    public var handleAddress: UnsafeMutableRawPointer {
        unsafe UnsafeMutableRawPointer(record) + Int(64)
    }

    // ---- the hash chain, for the index ----

    var next: UInt32 {
        get { unsafe record.pointee.slot.next }
        nonmutating set { unsafe record.pointee.slot.next = newValue }
    }
}
