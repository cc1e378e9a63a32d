// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Synchronization

/// A shared memory region of the device: address space of ours in which the back-end makes pieces of files appear.
///
/// What the back-end asks for is checked to the byte. The files stay the back-end's, which may cut them at any time: `read`
/// and `write` give EFAULT then, and whoever uses the addresses directly would get SIGBUS.
package final class SharedMemoryWindow: Sendable {
    private static let page = AddressReservation.pageByteCount

    package let id: UInt8
    package let byteCount: Int
    /// The most pieces; one more is ENOSPC. Each takes an entry of the process's list of mappings, which the kernel limits
    /// to 65530 (vm.max_map_count): a back-end that could fill it would break our next malloc.
    package let maximumPieces: Int
    private let space: AddressReservation

    private struct State {
        var list = PieceList()
        /// Some range could not be given back to the reservation, so addresses in it may be somebody else's now.
        var isBroken = false
    }
    private let state = Mutex(State())

    /// - Throws: EINVAL when the size is no multiple of the page size; what mmap(2) fails with.
    package init(id: UInt8, byteCount: Int, maximumPieces: Int = 8192) throws(Errno) {
        guard byteCount > 0, byteCount % Self.page == 0 else { throw .EINVAL }
        self.id = id
        self.byteCount = byteCount
        self.maximumPieces = maximumPieces
        space = try AddressReservation(byteCount: byteCount)
    }

    /// What is mapped now, by ascending offset.
    package var pieces: [Range<Int>] { state.withLock { $0.list.pieces } }

    // MARK: Mapping

    /// Makes `length` bytes (rounded up to pages) of `file` from `fileOffset` appear at `offset`. The descriptor may be
    /// closed afterwards.
    ///
    /// - Parameters:
    ///   - file: a regular file or memfd, open for reading, and for writing too if `writable`.
    ///   - replacing: takes the place of what is there.
    /// - Throws: EINVAL for an empty, misaligned or too long range and for other kinds of files; EEXIST when something is
    ///   mapped there already; ENOSPC for too many pieces; what mmap(2) fails with: EACCES when the descriptor is not open
    ///   for that.
    package func map(
        _ file: Int32, fileOffset: UInt64, at offset: UInt64, length: UInt64, writable: Bool,
        replacing: Bool = false
    ) throws(Errno) {
        let range = try range(at: offset, length: length)
        guard let start = Int(exactly: fileOffset), start % Self.page == 0,
            !start.addingReportingOverflow(range.count).overflow
        else { throw .EINVAL }
        guard try isRegularFile(file) else { throw .EINVAL }
        try state.withLock { (state) throws(Errno) in
            var list = state.list
            if replacing {
                list.cut(range)
            } else if list.overlaps(range) {
                throw .EEXIST
            }
            list.insert(range)
            guard list.pieces.count <= maximumPieces else { throw .ENOSPC }
            guard !state.isBroken else { throw .EIO }
            do throws(Errno) {
                try space.map(
                    file, fileOffset: start, at: range.lowerBound, byteCount: range.count, writable: writable)
            } catch {
                // mmap(2) may have taken away what was there before it failed.
                try? clear(range, &state)
                throw error
            }
            state.list = list
        }
    }

    /// Takes away a piece: exactly what one `map` made appear.
    ///
    /// - Throws: ENOENT when there is no such piece; EINVAL for a range that no piece can have.
    package func unmap(exactly offset: UInt64, length: UInt64) throws(Errno) {
        let range = try range(at: offset, length: length)
        try state.withLock { (state) throws(Errno) in
            guard state.list.remove(exactly: range) else { throw .ENOENT }
            try clear(range, &state)
        }
    }

    /// Takes away whatever is mapped in a range.
    ///
    /// - Throws: EINVAL for a range that is empty, misaligned or outside.
    package func unmap(_ offset: UInt64, length: UInt64) throws(Errno) {
        let range = try range(at: offset, length: length)
        try state.withLock { (state) throws(Errno) in try clear(range, &state) }
    }

    /// Takes everything away, as a reset of the device does.
    package func unmapAll() throws(Errno) {
        try state.withLock { (state) throws(Errno) in try clear(0..<byteCount, &state) }
    }

    /// Writes what was changed in a range back to its files. The same errors as `unmap`.
    package func synchronize(_ offset: UInt64, length: UInt64) throws(Errno) {
        let range = try range(at: offset, length: length)
        try space.synchronize(at: range.lowerBound, byteCount: range.count)
    }

    private func clear(_ range: Range<Int>, _ state: inout State) throws(Errno) {
        state.list.cut(range)
        guard !state.isBroken else { throw .EIO }
        do throws(Errno) {
            try space.clear(at: range.lowerBound, byteCount: range.count)
        } catch {
            state.isBroken = true
            throw error
        }
    }

    /// A range of whole pages inside the window.
    private func range(at offset: UInt64, length: UInt64) throws(Errno) -> Range<Int> {
        guard let start = Int(exactly: offset), start % Self.page == 0, start < byteCount,
            let count = Int(exactly: length), count > 0, count <= byteCount - start
        else { throw .EINVAL }
        // No overflow: the window's size is a multiple of the page size.
        return start..<start + (count + Self.page - 1) / Self.page * Self.page
    }

    // MARK: Contents

    /// Fills `target` from `offset` on.
    ///
    /// - Throws: EFAULT when a byte lies outside, nothing is mapped there, or its file is shorter.
    package func read(_ offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(Errno) {
        try unsafe readOwnMemory(try unsafe address(offset, target.count), into: target)
    }

    /// The `count` bytes at `offset`. The same errors.
    package func readBytes(_ offset: UInt64, count: Int) throws(Errno) -> [UInt8] {
        _ = try unsafe address(offset, count)
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        try unsafe span.withUnsafeMutableBytes { (target) throws(Errno) in
            try unsafe read(offset, into: target)
        }
        return bytes
    }

    /// Writes `bytes` at `offset`. The same errors, and EFAULT where the mapping is read-only.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) {
        try unsafe writeOwnMemory(try unsafe address(offset, bytes.count), bytes)
    }

    private func address(_ offset: UInt64, _ count: Int) throws(Errno) -> UnsafeMutableRawPointer {
        guard let start = Int(exactly: offset), count >= 0, start <= byteCount, count <= byteCount - start
        else { throw .EFAULT }
        guard !state.withLock({ $0.isBroken }) else { throw .EFAULT }
        return unsafe space.base + start
    }
}
