// SPDX-License-Identifier: Apache-2.0
import CLinux

/// A piece of contiguous memory that another party (the guest, the device) reads and writes at the same time,
/// seen only through bounds-checked atomic accesses: a ring, a descriptor table.
///
/// The area does not own the memory. Whoever stores one also stores what keeps the mapping alive (the `GuestMemory`
/// snapshot or `MemoryRegion` it came from).
///
/// Offsets are computed by us from masked indices, never taken from a guest; one outside the area is our bug and traps.
/// Values are in host byte order, which is virtio's little-endian order on every machine this project builds for.
@safe public struct SharedArea: @unchecked Sendable {
    // SAFETY: @unchecked because of the pointer only; every access through it is atomic or an opaque copy.
    public let base: UnsafeMutableRawPointer
    /// Length in bytes.
    public let byteCount: Int

    /// - Parameter base: stays mapped as long as this value and its copies are used, aligned to 8 bytes where 64-bit
    ///   accesses are made and to the access otherwise.
    @inlinable public init(base: UnsafeMutableRawPointer, byteCount: Int) {
        unsafe self.base = base
        self.byteCount = byteCount
    }

    /// No memory at all.
    public static let empty = unsafe SharedArea(base: .allocate(byteCount: 0, alignment: 16), byteCount: 0)

    /// The part of `count` bytes from `offset`.
    public func part(at offset: Int, byteCount count: Int) -> SharedArea {
        unsafe SharedArea(base: at(offset, width: count), byteCount: count)
    }

    /// `offset`, checked to have `width` bytes of the area behind it.
    @inlinable public func at(_ offset: Int, width: Int) -> UnsafeMutableRawPointer {
        precondition(offset >= 0 && width >= 0 && offset <= byteCount &- width, "outside a shared area")
        return unsafe base + offset
    }

    @inlinable public func loadAcquire16(_ offset: Int) -> UInt16 {
        unsafe vfs_load_acquire16(at(offset, width: 2))
    }
    @inlinable public func loadRelaxed16(_ offset: Int) -> UInt16 {
        unsafe vfs_load_relaxed16(at(offset, width: 2))
    }
    @inlinable public func loadRelaxed32(_ offset: Int) -> UInt32 {
        unsafe vfs_load_relaxed32(at(offset, width: 4))
    }
    /// Two neighbours of 64 bits, each loaded as a whole.
    @inlinable public func loadRelaxedPair64(_ offset: Int) -> (UInt64, UInt64) {
        let address = unsafe at(offset, width: 16)
        return unsafe (vfs_load_relaxed64(address), vfs_load_relaxed64(address + 8))
    }
    @inlinable public func storeRelease16(_ offset: Int, _ value: UInt16) {
        unsafe vfs_store_release16(at(offset, width: 2), value)
    }
    @inlinable public func storeRelaxed16(_ offset: Int, _ value: UInt16) {
        unsafe vfs_store_relaxed16(at(offset, width: 2), value)
    }
    @inlinable public func storeRelaxed32(_ offset: Int, _ value: UInt32) {
        unsafe vfs_store_relaxed32(at(offset, width: 4), value)
    }
    /// Two neighbours of 32 bits, each stored as a whole.
    @inlinable public func storeRelaxedPair32(_ offset: Int, _ first: UInt32, _ second: UInt32) {
        let address = unsafe at(offset, width: 8)
        unsafe vfs_store_relaxed32(address, first)
        unsafe vfs_store_relaxed32(address + 4, second)
    }
    @inlinable public func storeRelaxed64(_ offset: Int, _ value: UInt64) {
        unsafe vfs_store_relaxed64(at(offset, width: 8), value)
    }

    /// Asks the CPU for what will be read soon; a hint.
    @inlinable public func prefetch(_ offset: Int) { unsafe vfs_prefetch(at(offset, width: 1)) }

    /// A full memory fence: no access moves across it, not even a load before an earlier store.
    @inlinable public static func fence() { vfs_fence() }

    /// Lets a moment pass, for loops that load again and again.
    @inlinable public static func relax() { vfs_relax() }

    /// Writes zeros over the whole area; the other party must not be using it yet.
    public func zero() {
        unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    }
}
