// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import GuestMemory
import Virtqueue

/// A contiguous piece of guest memory in which a caller lays out requests and replies of its own: page-aligned for the
/// guest and for us.
@safe package struct RAMBuffer: @unchecked Sendable {
    // SAFETY: @unchecked because of the pointer only; whoever shares the memory with the device must expect any bytes.
    package let address: GuestAddress
    package let byteCount: Int
    /// Our address of the first byte; valid as long as this value lives.
    package let base: UnsafeMutableRawPointer
    /// Keeps the memory mapped.
    private let memory: GuestMemory

    /// - Throws: EFAULT when the bytes do not lie in one region.
    init(at address: GuestAddress, byteCount: Int, memory: GuestMemory) throws(Errno) {
        self.address = address
        self.byteCount = byteCount
        self.memory = memory
        let list = IOVectorList(capacity: 1)
        do throws(MemoryFault) {
            try memory.append(address, byteCount: byteCount, to: list)
        } catch {
            throw .EFAULT
        }
        let vectors = list.window(from: 0, atMost: byteCount)
        guard vectors.byteCount == byteCount, let start = unsafe vectors.base?.pointee.iov_base else {
            throw .EFAULT
        }
        unsafe base = start
    }

    /// The `count` bytes from `offset` for readv(2) and friends. Bytes outside the buffer trap.
    package func vector(at offset: Int, byteCount count: Int) -> iovec {
        check(offset, count)
        return unsafe iovec(iov_base: base + offset, iov_len: count)
    }

    /// The `count` bytes from `offset` as the device sees them. Bytes outside the buffer trap.
    package func part(at offset: Int, byteCount count: Int) -> GuestBuffer {
        check(offset, count)
        return GuestBuffer(
            GuestAddress(address.rawValue + UInt64(offset)), byteCount: UInt32(truncatingIfNeeded: count))
    }

    /// A table for chains of up to `descriptors` pieces at `offset`, a multiple of 16. Bytes outside the buffer trap.
    package func table(at offset: Int, descriptors: Int) -> IndirectTable {
        check(offset, 16 * descriptors)
        precondition(offset % 16 == 0, "a misaligned table")
        return unsafe IndirectTable(
            address: GuestAddress(address.rawValue + UInt64(offset)),
            area: SharedArea(base: base + offset, byteCount: 16 * descriptors))
    }

    /// Writes `bytes` at `offset`. Bytes outside the buffer trap.
    package func copy(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        check(offset, bytes.count)
        if let source = bytes.baseAddress { unsafe vfs_copy(base + offset, source, bytes.count) }
    }

    /// Fills `target` from `offset` on. Bytes outside the buffer trap.
    package func copy(from offset: Int, into target: UnsafeMutableRawBufferPointer) {
        check(offset, target.count)
        if let start = target.baseAddress { unsafe vfs_copy(start, base + offset, target.count) }
    }

    /// Offsets are computed by us, never taken from the device.
    private func check(_ offset: Int, _ count: Int) {
        precondition(
            offset >= 0 && count >= 0 && count <= byteCount && offset <= byteCount - count,
            "outside a buffer")
    }
}
