// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import HostOS

/// A mapped file whose words several processes read and write at the same time. All accesses are atomic.
///
/// Offsets are in bytes, aligned and inside the mapping: they come from the layouts and from checked slots, never from the file.
@safe final class SharedWords: @unchecked Sendable {
    // SAFETY: @unchecked because of the mapping's pointer; what is behind it is accessed atomically.
    private let mapping: Mapping
    let byteCount: Int

    init(_ descriptor: Int32, byteCount: Int, readOnly: Bool) throws(Errno) {
        mapping = try Mapping(sharing: descriptor, offset: 0, byteCount: byteCount, readOnly: readOnly)
        self.byteCount = byteCount
    }

    private func at(_ offset: Int, _ size: Int) -> UnsafeMutableRawPointer {
        invariant(offset >= 0 && offset <= byteCount - size, "a word of the table lies in it")
        return unsafe mapping.base + offset
    }

    func load32(_ offset: Int) -> UInt32 { unsafe vfs_load_acquire32(at(offset, 4)) }
    func store32(_ offset: Int, _ value: UInt32) { unsafe vfs_store_release32(at(offset, 4), value) }
    @discardableResult
    func add32(_ offset: Int, _ value: UInt32) -> UInt32 { unsafe vfs_fetch_add32(at(offset, 4), value) }
    func exchange32(_ offset: Int, from old: UInt32, to new: UInt32) -> Bool {
        unsafe vfs_compare_exchange32(at(offset, 4), old, new)
    }

    func load(_ offset: Int) -> UInt64 { unsafe vfs_load_sequential64(at(offset, 8)) }
    func loadRelaxed(_ offset: Int) -> UInt64 { unsafe vfs_load_relaxed64(at(offset, 8)) }
    func store(_ offset: Int, _ value: UInt64) { unsafe vfs_store_release64(at(offset, 8), value) }
    func storeRelaxed(_ offset: Int, _ value: UInt64) { unsafe vfs_store_relaxed64(at(offset, 8), value) }
    @discardableResult
    func add(_ offset: Int, _ value: UInt64) -> UInt64 { unsafe vfs_fetch_add64(at(offset, 8), value) }
    @discardableResult
    func set(_ offset: Int, bits: UInt64) -> UInt64 { unsafe vfs_fetch_or64(at(offset, 8), bits) }
    @discardableResult
    func keep(_ offset: Int, bits: UInt64) -> UInt64 { unsafe vfs_fetch_and64(at(offset, 8), bits) }
    func exchange(_ offset: Int, from old: UInt64, to new: UInt64) -> Bool {
        unsafe vfs_compare_exchange64(at(offset, 8), old, new)
    }

    func fence() { vfs_fence() }

    /// Sleeps until somebody wakes those at `offset`, unless the 32 bits there are no longer `value`.
    func sleep(at offset: Int, while value: UInt32, atMost milliseconds: Int32) {
        unsafe vfs_shared_futex_wait(at(offset, 4).assumingMemoryBound(to: UInt32.self), value, milliseconds)
    }

    func wake(at offset: Int) {
        unsafe vfs_shared_futex_wake_all(at(offset, 4).assumingMemoryBound(to: UInt32.self))
    }
}
