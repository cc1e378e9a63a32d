// SPDX-License-Identifier: Apache-2.0

/// Where the bulk data of a READ or WRITE lies: guest pages, as an array laid out like the kernel's `struct iovec`.
///
/// This room never touches the bytes; the file system hands the array to preadv(2) or pwritev(2).
@safe package struct DataVector {
    /// `count` × {address, length}, 16 bytes each.
    package let iovecs: UnsafeMutableRawPointer?
    package let count: Int
    /// Sum of the lengths.
    package let byteCount: Int

    package init(iovecs: UnsafeMutableRawPointer?, count: Int, byteCount: Int) {
        unsafe self.iovecs = unsafe iovecs
        self.count = count
        self.byteCount = byteCount
    }

    package static var empty: DataVector { unsafe DataVector(iovecs: nil, count: 0, byteCount: 0) }
}
