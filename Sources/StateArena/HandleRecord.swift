// SPDX-License-Identifier: Apache-2.0
import CLinux

/// One record of the handle table: a file or directory that the guest has open. A view, like `InodeRecord`.
@safe public struct HandleRecord {
    public let slot: UInt32
    @usableFromInline let record: UnsafeMutablePointer<vfs_handle>

    public static let unknownPosition = UInt64.max

    @inlinable public init(_ table: SlotTable, slot: UInt32) {
        self.slot = slot
        unsafe record = table.address(slot).assumingMemoryBound(to: vfs_handle.self)
    }

    /// Writes the body of a slot that is not published yet.
    public func initialize(node: UInt64, descriptor: Int32, kind: UInt32, openFlags: UInt32) {
        unsafe record.pointee.slot.flags = 0
        unsafe record.pointee.node = node
        unsafe record.pointee.position = 0
        unsafe record.pointee.descriptor = descriptor
        unsafe record.pointee.kind = kind
        unsafe record.pointee.open_flags = openFlags
    }

    /// The nodeid that it was opened by.
    @inlinable public var node: UInt64 { unsafe record.pointee.node }
    @inlinable public var descriptor: Int32 { unsafe record.pointee.descriptor }
    @inlinable public var kind: UInt32 { unsafe record.pointee.kind }
    /// open(2) flags of the guest.
    @inlinable public var openFlags: UInt32 { unsafe record.pointee.open_flags }

    /// Where a directory's descriptor stands, or `unknownPosition`. Only under the directory's lock.
    public var position: UInt64 {
        get { unsafe record.pointee.position }
        nonmutating set { unsafe record.pointee.position = newValue }
    }
}
