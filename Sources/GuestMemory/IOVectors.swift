// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// A list of host memory pieces in the shape that preadv, pwritev and friends take: guest pages, without a copy.
///
/// A view: the entries belong to the `IOVectorList` that made it and stay valid until that list changes or makes
/// its next window.
@safe public struct IOVectors {
    /// The most entries one system call takes (IOV_MAX, UIO_MAXIOV in the kernel).
    public static let maximumCount = 1024

    /// First entry; nil only when `count` is 0.
    public let base: UnsafeMutablePointer<iovec>?
    /// How many entries; each has at least one byte.
    public let count: Int
    /// Sum of the entries' lengths in bytes.
    public let byteCount: Int
    /// Some of the memory may go: only system calls may touch it.
    public let mayShrink: Bool

    public init(base: UnsafeMutablePointer<iovec>?, count: Int, byteCount: Int, mayShrink: Bool = false) {
        unsafe self.base = base
        self.count = count
        self.byteCount = byteCount
        self.mayShrink = mayShrink
    }

    public static var empty: IOVectors { unsafe IOVectors(base: nil, count: 0, byteCount: 0) }
}

/// A list of host memory pieces with storage for a fixed number of entries, reused request after request.
/// Nothing here allocates after `init`. What changes lies behind a pointer, so that using it from another room costs neither a call
/// nor a check of exclusive access, which was a tenth of a request. One thread at a time.
@safe public final class IOVectorList {
    @usableFromInline struct State {
        @usableFromInline var used = 0
        @usableFromInline var sum = 0
        /// Some of the memory may go (`MemoryRegion.mayShrink`): it is copied by system calls.
        @usableFromInline var mayShrink = false
    }
    @usableFromInline let entries: UnsafeMutablePointer<iovec>
    @usableFromInline let state: UnsafeMutablePointer<State>
    /// Where `window` puts its adjusted copy of some of `entries`.
    private let windowEntries: UnsafeMutablePointer<iovec>
    private let windowCapacity: Int
    /// The most entries the list holds.
    public let capacity: Int
    private var used: Int { unsafe state.pointee.used }
    private var sum: Int { unsafe state.pointee.sum }
    private var mayShrink: Bool { unsafe state.pointee.mayShrink }
    /// Entries in use.
    @inlinable public var count: Int { unsafe state.pointee.used }
    /// Sum of the entries' lengths in bytes.
    @inlinable public var byteCount: Int { unsafe state.pointee.sum }

    public init(capacity: Int) {
        self.capacity = capacity
        windowCapacity = min(capacity, IOVectors.maximumCount)
        unsafe entries = .allocate(capacity: capacity)
        unsafe windowEntries = .allocate(capacity: windowCapacity)
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(to: State())
    }

    deinit {
        unsafe entries.deallocate()
        unsafe windowEntries.deallocate()
        unsafe state.deallocate()
    }

    @inlinable public func removeAll() {
        unsafe state.pointee.used = 0
        unsafe state.pointee.sum = 0
        unsafe state.pointee.mayShrink = false
    }

    /// Says that what was added may go.
    public func noteMayShrink() { unsafe state.pointee.mayShrink = true }

    /// Adds `length` bytes at `base`; a piece that continues the last one extends it, and an empty one is skipped.
    ///
    /// The memory must stay mapped until the list is emptied.
    /// - Returns: false when the list is full (or its byte count would overflow); the list is then unchanged.
    @inlinable @inline(__always)
    public func append(_ base: UnsafeMutableRawPointer, byteCount length: Int) -> Bool {
        if length <= 0 { return length == 0 }
        let (used, sum) = unsafe (state.pointee.used, state.pointee.sum)
        let (total, overflow) = sum.addingReportingOverflow(length)
        if overflow { return false }
        if used > 0, unsafe entries[used - 1].iov_base + entries[used - 1].iov_len == base {
            unsafe entries[used - 1].iov_len += length
        } else {
            if used == capacity { return false }
            // SAFETY: used < capacity.
            unsafe (entries + used).initialize(to: iovec(iov_base: base, iov_len: length))
            unsafe state.pointee.used = used + 1
        }
        unsafe state.pointee.sum = total
        return true
    }

    /// The bytes [offset, offset + limit), cut to what exists and to `IOVectors.maximumCount` entries: look at the
    /// result's `byteCount`, and ask again for the rest. Empty when `offset` lies outside.
    ///
    /// The result is a private copy: the caller may change its entries. The next call overwrites it.
    public func window(from offset: Int, atMost limit: Int) -> IOVectors {
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
    @inlinable public func copyOut(from offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let target = buffer.baseAddress, let piece = unsafe firstPiece(offset, buffer.count) else {
            return unsafe copyOutInPieces(from: offset, into: buffer)
        }
        unsafe vfs_copy(target, piece, buffer.count)
        return buffer.count
    }

    /// Where all of [offset, offset + count) lies in the first entry, as all of a small request does mostly, and stays.
    @inlinable @inline(__always)
    func firstPiece(_ offset: Int, _ count: Int) -> UnsafeMutableRawPointer? {
        guard unsafe state.pointee.used > 0, unsafe !state.pointee.mayShrink else { return nil }
        let length = unsafe entries.pointee.iov_len
        guard offset >= 0, offset <= length, count <= length - offset else { return nil }
        return unsafe entries.pointee.iov_base.map { unsafe $0 + offset }
    }

    @usableFromInline
    func copyOutInPieces(from offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
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
    @inlinable public func copyIn(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
        guard let source = bytes.baseAddress, let piece = unsafe firstPiece(offset, bytes.count) else {
            return unsafe copyInPieces(bytes, at: offset)
        }
        unsafe vfs_copy(piece, source, bytes.count)
        return bytes.count
    }

    @usableFromInline
    func copyInPieces(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
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
    @inline(__always)
    private func forEachPiece(
        from offset: Int, atMost limit: Int, _ body: (UnsafeMutableRawPointer, Int, Int) -> Void
    ) -> Int {
        let sum = sum
        guard offset >= 0, offset < sum, limit > 0 else { return 0 }
        var (index, skip) = locate(offset)
        let wanted = min(limit, sum - offset)
        var done = 0
        // The entries up to `used` have `sum` bytes.
        while done < wanted {
            let entry = unsafe entries[index]
            let length = min(unsafe entry.iov_len &- skip, wanted &- done)
            unsafe body(entry.iov_base + skip, done, length)
            done &+= length
            index &+= 1
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
