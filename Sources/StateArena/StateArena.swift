// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import HostOS

/// Everything that a guest believes about a share and its device, in one shared memfd of fixed records without pointers.
///
/// A process that maps the same memfd (and shares the descriptor table) can go on where this one stopped. The file is
/// sparse: capacities cost address space, only records that were used cost memory. Layout: `arena.h`.
public final class StateArena: Sendable {
    /// How many records each table can hold.
    public struct Capacities: Sendable {
        public var inodes: UInt32 = 1 << 26
        public var handles: UInt32 = 1 << 20
        public var mounts: UInt32 = 1024
        /// One hiprio queue and 64 request queues.
        public var queues: UInt32 = 65

        public init() {}
    }

    /// The memfd, for a successor to map.
    public let file: OwnedDescriptor
    private let mapping: Mapping
    /// What the guest knows objects by; slot 1 is the root.
    public let inodes: SlotTable
    /// What the guest has open.
    public let handles: SlotTable
    private let capacities: Capacities
    private let mountOffset: Int
    private let queueOffset: Int

    /// Makes an empty arena.
    ///
    /// - Throws: `ENOMEM` when the address space or the limit on it is too small, `EMFILE`.
    public init(_ capacities: Capacities = Capacities()) throws(Errno) {
        var end = MemoryLayout<vfs_arena>.size
        func table(_ count: UInt32, _ stride: Int) -> Int {
            let start = (end + 4095) & ~4095
            end = start + Int(count) * stride
            return start
        }
        let queues = table(capacities.queues, MemoryLayout<vfs_queue>.stride)
        let mounts = table(capacities.mounts, MemoryLayout<vfs_mount>.stride)
        let handles = table(capacities.handles, MemoryLayout<vfs_handle>.stride)
        let inodes = table(capacities.inodes, MemoryLayout<vfs_inode>.stride)

        file = try makeMemoryFile(name: "virtiofs-state", byteCount: end)
        mapping = try Mapping(sharing: file.rawValue, offset: 0, byteCount: end)
        self.capacities = capacities
        mountOffset = mounts
        queueOffset = queues
        let header = unsafe mapping.base.assumingMemoryBound(to: vfs_arena.self)
        unsafe header.pointee.version = UInt32(VFS_ARENA_VERSION)
        unsafe header.pointee.inode_capacity = capacities.inodes
        unsafe header.pointee.handle_capacity = capacities.handles
        unsafe header.pointee.mount_capacity = capacities.mounts
        unsafe header.pointee.queue_capacity = capacities.queues
        unsafe header.pointee.inodes = UInt64(inodes)
        unsafe header.pointee.handles = UInt64(handles)
        unsafe header.pointee.mounts = UInt64(mounts)
        unsafe header.pointee.queues = UInt64(queues)
        self.inodes = unsafe SlotTable(
            base: mapping.base + inodes, stride: MemoryLayout<vfs_inode>.stride, capacity: capacities.inodes,
            control: Self.field(\.inode_slots, of: header))
        self.handles = unsafe SlotTable(
            base: mapping.base + handles, stride: MemoryLayout<vfs_handle>.stride,
            capacity: capacities.handles,
            control: Self.field(\.handle_slots, of: header))
        // The valid mark comes last: a half-made arena is no arena.
        unsafe vfs_store_release64(Self.field(\.magic, of: header), VFS_ARENA_MAGIC)
    }

    private static func field<T>(
        _ path: WritableKeyPath<vfs_arena, T>, of header: UnsafeMutablePointer<vfs_arena>
    ) -> UnsafeMutablePointer<T> {
        // SAFETY: every field of a C struct has an offset; the result lies inside the header.
        let offset = MemoryLayout<vfs_arena>.offset(of: path) ?? 0
        return unsafe (UnsafeMutableRawPointer(header) + offset).assumingMemoryBound(to: T.self)
    }

    // SAFETY of the three below: the mapping lives as long as the arena, and every caller keeps the arena.

    /// What belongs to the connection and the session as a whole.
    public var session: UnsafeMutablePointer<vfs_session> {
        unsafe Self.field(\.session, of: mapping.base.assumingMemoryBound(to: vfs_arena.self))
    }

    /// The record of queue `index`; nil if there is no such queue.
    public func queue(_ index: Int) -> UnsafeMutablePointer<vfs_queue>? {
        guard index >= 0, index < Int(capacities.queues) else { return nil }
        return unsafe (mapping.base + queueOffset).assumingMemoryBound(to: vfs_queue.self) + index
    }

    /// The mount records, all of them.
    public var mounts: UnsafeMutableBufferPointer<vfs_mount> {
        unsafe UnsafeMutableBufferPointer(
            start: (mapping.base + mountOffset).assumingMemoryBound(to: vfs_mount.self),
            count: Int(capacities.mounts))
    }
}
