// SPDX-License-Identifier: Apache-2.0
import CLinux

/// A piece of guest memory that is contiguous on the host too, and stays: what a lookup in `GuestMemory` found, to be asked first
/// the next time. Requests lie near each other, mostly in one region.
///
/// It does not own the memory. Whoever stores one also stores the `GuestMemory` it came from.
@safe public struct MemoryStretch {
    // As numbers, so that nothing has to be asked of `none`.
    @usableFromInline let start: UInt64
    @usableFromInline let byteCount: UInt64
    @usableFromInline let base: UInt

    init(start: UInt64, byteCount: UInt64, base: UnsafeMutableRawPointer?) {
        self.start = start
        self.byteCount = byteCount
        self.base = UInt(bitPattern: base)
    }

    /// No memory.
    public static var none: MemoryStretch { unsafe MemoryStretch(start: 0, byteCount: 0, base: nil) }

    /// The host's address of `count` bytes at a guest address; nil if they do not all lie here, or are none.
    @inlinable public func host(_ address: GuestAddress, byteCount count: UInt64) -> UnsafeMutableRawPointer?
    {
        let offset = address.rawValue &- start
        guard offset < byteCount, count <= byteCount &- offset, count > 0 else { return nil }
        return unsafe UnsafeMutableRawPointer(bitPattern: base &+ UInt(truncatingIfNeeded: offset))
    }

    /// Asks the CPU for what will be read soon. An address that is not here is ignored.
    @inlinable public func prefetch(_ address: GuestAddress) {
        if let place = unsafe host(address, byteCount: 1) { unsafe vfs_prefetch(place) }
    }

    /// The same for what the guest address at `place` leads to.
    @inlinable public func prefetch(through place: GuestAddress) {
        guard let word = unsafe host(place, byteCount: 8), UInt(bitPattern: word) % 8 == 0 else { return }
        prefetch(GuestAddress(unsafe vfs_load_relaxed64(word)))
    }
}
