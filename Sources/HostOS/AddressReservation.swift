// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Address space of our own without memory behind it, in which pieces of files can be made to appear.
///
/// Offsets and lengths are multiples of the page size inside the reservation: the owner checks that.
@safe package struct AddressReservation: ~Copyable, @unchecked Sendable {
    // SAFETY: @unchecked because of the pointer, which is constant; mmap(2) may be called by any thread.
    package static let pageByteCount = 4096
    package let base: UnsafeMutableRawPointer
    package let byteCount: Int

    package init(byteCount: Int) throws(Errno) {
        let address = unsafe mmap(
            nil, byteCount, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let address = unsafe address, unsafe address != MAP_FAILED else { throw Errno(rawValue: errno) }
        unsafe base = address
        self.byteCount = byteCount
    }

    deinit { _ = unsafe munmap(base, byteCount) }

    /// Makes `count` bytes of `file` from `fileOffset` appear at `offset`, in place of whatever is there; readable, and
    /// writable if wanted. After an error, what is there is not known: `clear` it.
    package borrowing func map(
        _ file: Int32, fileOffset: Int, at offset: Int, byteCount count: Int, writable: Bool
    ) throws(Errno) {
        try replace(
            offset, count, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file, fileOffset)
    }

    /// Takes away whatever is there.
    package borrowing func clear(at offset: Int, byteCount count: Int) throws(Errno) {
        try replace(offset, count, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    }

    private borrowing func replace(
        _ offset: Int, _ count: Int, _ protection: Int32, _ flags: Int32, _ file: Int32, _ fileOffset: Int
    ) throws(Errno) {
        precondition(
            offset >= 0 && count > 0 && count <= byteCount && offset <= byteCount - count,
            "outside a reservation")
        // SAFETY: MAP_FIXED replaces only addresses of this reservation, which nobody else uses.
        let result = unsafe mmap(base + offset, count, protection, flags | MAP_FIXED, file, fileOffset)
        guard unsafe result != MAP_FAILED else { throw Errno(rawValue: errno) }
    }

    /// Writes what was changed in a range back to its files.
    package borrowing func synchronize(at offset: Int, byteCount count: Int) throws(Errno) {
        precondition(
            offset >= 0 && count >= 0 && count <= byteCount && offset <= byteCount - count,
            "outside a reservation")
        let start = unsafe base + offset
        _ = try systemCall { unsafe msync(start, count, MS_SYNC) }
    }
}
