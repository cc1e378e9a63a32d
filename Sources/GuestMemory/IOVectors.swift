// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// A list of host memory pieces in the shape that preadv, pwritev and friends take: guest pages, without a copy.
///
/// A view: the entries belong to the `IOVectorList` that made it and stay valid until that list changes or makes
/// its next window.
@safe package struct IOVectors {
    /// The most entries one system call takes (IOV_MAX, UIO_MAXIOV in the kernel).
    package static let maximumCount = 1024

    /// First entry; nil only when `count` is 0.
    package let base: UnsafeMutablePointer<iovec>?
    /// How many entries; each has at least one byte.
    package let count: Int
    /// Sum of the entries' lengths in bytes.
    package let byteCount: Int
    /// Some of the memory may go: only system calls may touch it.
    package let mayShrink: Bool

    package init(base: UnsafeMutablePointer<iovec>?, count: Int, byteCount: Int, mayShrink: Bool = false) {
        unsafe self.base = base
        self.count = count
        self.byteCount = byteCount
        self.mayShrink = mayShrink
    }

    package static var empty: IOVectors { unsafe IOVectors(base: nil, count: 0, byteCount: 0) }
}

/// A list of host memory pieces with storage for a fixed number of entries, reused request after request.
/// Nothing here allocates after `init`. A class whose variables are private, so that using it costs no check of exclusive access,
/// which was a tenth of a request. One thread at a time.
@safe package final class IOVectorList {
    private let entries: UnsafeMutablePointer<iovec>
    /// Where `window` puts its adjusted copy of some of `entries`.
    private let windowEntries: UnsafeMutablePointer<iovec>
    private let windowCapacity: Int
    /// The most entries the list holds.
    package let capacity: Int
    private var used = 0
    private var sum = 0
    /// Some of the memory may go (`MemoryRegion.mayShrink`): it is copied by system calls.
    private var mayShrink = false
    /// Entries in use.
    package var count: Int { used }
    /// Sum of the entries' lengths in bytes.
    package var byteCount: Int { sum }

    package init(capacity: Int) {
        self.capacity = capacity
        windowCapacity = min(capacity, IOVectors.maximumCount)
        unsafe entries = .allocate(capacity: capacity)
        unsafe windowEntries = .allocate(capacity: windowCapacity)
    }

    deinit {
        unsafe entries.deallocate()
        unsafe windowEntries.deallocate()
    }

    package func removeAll() {
        used = 0
        sum = 0
        mayShrink = false
    }

    /// Says that what was added may go.
    package func noteMayShrink() { mayShrink = true }

    /// Adds `length` bytes at `base`; a piece that continues the last one extends it, and an empty one is skipped.
    ///
    /// The memory must stay mapped until the list is emptied.
    /// - Returns: false when the list is full (or its byte count would overflow); the list is then unchanged.
    package func append(_ base: UnsafeMutableRawPointer, byteCount length: Int) -> Bool {
        if length <= 0 { return length == 0 }
        let (total, overflow) = sum.addingReportingOverflow(length)
        if overflow { return false }
        if used > 0, unsafe entries[used - 1].iov_base + entries[used - 1].iov_len == base {
            unsafe entries[used - 1].iov_len += length
        } else {
            if used == capacity { return false }
            // SAFETY: count < capacity.
            unsafe (entries + used).initialize(to: iovec(iov_base: base, iov_len: length))
            used += 1
        }
        sum = total
        return true
    }

    /// The bytes [offset, offset + limit), cut to what exists and to `IOVectors.maximumCount` entries: look at the
    /// result's `byteCount`, and ask again for the rest. Empty when `offset` lies outside.
    ///
    /// The result is a private copy: the caller may change its entries. The next call overwrites it.
    package func window(from offset: Int, atMost limit: Int) -> IOVectors {
        guard offset >= 0, offset < sum, limit > 0 else { return .empty }
        var (index, skip) = locate(offset)
        let wanted = min(limit, sum - offset)
        var (taken, bytes) = (0, 0)
        while bytes < wanted, index < used, taken < windowCapacity {
            let entry = unsafe entries[index]
            let length = min(unsafe entry.iov_len - skip, wanted - bytes)
            // SAFETY: taken < windowCapacity; skip < iov_len for the first entry and 0 for the others.
            unsafe (windowEntries + taken).initialize(
                to: iovec(iov_base: entry.iov_base + skip, iov_len: length))
            bytes += length
            taken += 1
            index += 1
            skip = 0
        }
        return unsafe IOVectors(
            base: windowEntries, count: taken, byteCount: bytes, mayShrink: mayShrink)
    }

    /// Copies the bytes from `offset` into `buffer` until one of them ends.
    /// - Returns: how many bytes were copied; 0 when `offset` lies outside, or when some of the memory has gone.
    package func copyOut(from offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        if mayShrink { return unsafe copyOutCarefully(from: offset, into: buffer) }
        return unsafe forEachPiece(from: offset, atMost: buffer.count) { piece, done, length in
            guard let target = buffer.baseAddress else { return }
            unsafe vfs_copy(target + done, piece, length)
        }
    }

    private func copyOutCarefully(from offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        var isWhole = true
        let count = unsafe forEachPiece(from: offset, atMost: buffer.count) { piece, done, length in
            guard let target = buffer.baseAddress else { return }
            let part = unsafe UnsafeMutableRawBufferPointer(start: target + done, count: length)
            do throws(Errno) { try unsafe readOwnMemory(piece, into: part) } catch { isWhole = false }
        }
        return isWhole ? count : 0
    }

    /// Copies `bytes` over the memory from `offset` until one of them ends; what has gone is left out.
    /// - Returns: how many bytes were copied; 0 when `offset` lies outside.
    package func copyIn(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
        let isCareful = mayShrink
        return unsafe forEachPiece(from: offset, atMost: bytes.count) { piece, done, length in
            guard let source = bytes.baseAddress else { return }
            if !isCareful { return unsafe vfs_copy(piece, source + done, length) }
            // What has gone takes the guest's reply with it.
            try? unsafe writeOwnMemory(piece, UnsafeRawBufferPointer(start: source + done, count: length))
        }
    }

    /// Calls `body` with each contiguous piece of [offset, offset + limit): its memory, the bytes already seen before
    /// it, its length. Returns the sum of the lengths.
    private func forEachPiece(
        from offset: Int, atMost limit: Int, _ body: (UnsafeMutableRawPointer, Int, Int) -> Void
    ) -> Int {
        guard offset >= 0, offset < sum, limit > 0 else { return 0 }
        var (index, skip) = locate(offset)
        var done = 0
        while done < limit, index < used {
            let entry = unsafe entries[index]
            let length = min(unsafe entry.iov_len - skip, limit - done)
            unsafe body(entry.iov_base + skip, done, length)
            done += length
            index += 1
            skip = 0
        }
        return done
    }

    /// The entry that holds byte `offset` (which exists) and the place of that byte in it.
    private func locate(_ offset: Int) -> (index: Int, skip: Int) {
        var (index, skip) = (0, offset)
        while index < used, unsafe skip >= entries[index].iov_len {
            skip -= unsafe entries[index].iov_len
            index += 1
        }
        return (index, skip)
    }
}
