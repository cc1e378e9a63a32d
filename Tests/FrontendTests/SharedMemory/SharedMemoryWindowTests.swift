// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Testing
import VhostUser

@testable import Frontend

@Suite struct SharedMemoryWindowTests {
    private let page: UInt64 = 4096

    private func window(pages: Int = 16, maximumPieces: Int = 100) throws -> SharedMemoryWindow {
        try SharedMemoryWindow(id: 0, byteCount: pages * 4096, maximumPieces: maximumPieces)
    }

    @Test func aPieceOfAFileAppears() throws {
        let (window, file) = (try window(), try ScratchFile(pages: 8))
        try window.map(file.number, fileOffset: 2 * page, at: 5 * page, length: 3 * page, writable: true)
        #expect(window.pieces == [5 * 4096..<8 * 4096])
        #expect(try window.readBytes(6 * page - 1, count: 2) == [2, 3])
        try [UInt8]([7, 8]).withUnsafeBytes { try window.write($0, at: 6 * page - 1) }
        #expect(file.byte(at: 3 * 4096 - 1) == 7 && file.byte(at: 3 * 4096) == 8)
        try window.synchronize(5 * page, length: 3 * page)
        try window.unmap(exactly: 5 * page, length: 3 * page)
        #expect(window.pieces.isEmpty)
        #expect(throws: Errno.EFAULT) { try window.readBytes(5 * page, count: 1) }
    }

    /// A length that is no multiple of the page size takes the whole page.
    @Test func lengthsAreRoundedUp() throws {
        let (window, file) = (try window(), try ScratchFile(pages: 8))
        try window.map(file.number, fileOffset: 0, at: 0, length: 1, writable: false)
        #expect(window.pieces == [0..<4096])
        #expect(throws: Errno.EEXIST) {
            try window.map(file.number, fileOffset: 0, at: 0, length: page, writable: false)
        }
        try window.unmap(exactly: 0, length: page)
    }

    /// offset, length, file offset
    static let impossible: [(UInt64, UInt64, UInt64)] = [
        (0, 0, 0),  // empty
        (1, 4096, 0), (4095, 4096, 0),  // misaligned in the window
        (0, 4096, 1), (0, 4096, 2048),  // misaligned in the file
        (16 * 4096, 4096, 0), (15 * 4096, 4097, 0), (0, 17 * 4096, 0),  // beyond the end
        (.max, 4096, 0), (.max - 4095, 4096, 0), (1 << 63, 4096, 0), (UInt64(Int.max) - 4095, 4096, 0),
        (0, .max, 0), (4096, .max, 0), (4096, .max - 4095, 0), (0, 1 << 63, 0), (0, UInt64(Int.max), 0),
        (0, 4096, .max), (0, 4096, .max - 4095), (0, 4096, 1 << 63), (0, 4096, UInt64(Int.max) - 4095),
    ]

    @Test(arguments: impossible) func impossibleRanges(offset: UInt64, length: UInt64, fileOffset: UInt64)
        throws
    {
        let (window, file) = (try window(), try ScratchFile(pages: 1))
        for replacing in [false, true] {
            #expect(throws: Errno.self) {
                try window.map(
                    file.number, fileOffset: fileOffset, at: offset, length: length, writable: true,
                    replacing: replacing)
            }
        }
        #expect(window.pieces.isEmpty)
        if fileOffset == 0 {
            #expect(throws: Errno.EINVAL) { try window.unmap(exactly: offset, length: length) }
            #expect(throws: Errno.EINVAL) { try window.unmap(offset, length: length) }
            #expect(throws: Errno.EINVAL) { try window.synchronize(offset, length: length) }
        }
    }

    @Test func overlapsAndInexactEnds() throws {
        let (window, file) = (try window(), try ScratchFile(pages: 8))
        try window.map(file.number, fileOffset: 0, at: 4 * page, length: 4 * page, writable: false)
        for (start, count): (UInt64, UInt64) in [(4, 4), (3, 2), (7, 1), (5, 1), (7, 9), (0, 16)] {
            #expect(throws: Errno.EEXIST) {
                try window.map(
                    file.number, fileOffset: 0, at: start * page, length: count * page, writable: false)
            }
        }
        for (start, count): (UInt64, UInt64) in [(4, 3), (5, 3), (3, 5), (4, 5), (0, 1)] {
            #expect(throws: Errno.ENOENT) {
                try window.unmap(exactly: start * page, length: count * page)
            }
        }
        #expect(window.pieces == [4 * 4096..<8 * 4096])
        #expect(try window.readBytes(7 * page, count: 1) == [3])
    }

    @Test func replacing() throws {
        let (window, file) = (try window(), try ScratchFile(pages: 8))
        try window.map(file.number, fileOffset: 0, at: 0, length: 8 * page, writable: false)
        try window.map(
            file.number, fileOffset: 7 * page, at: 3 * page, length: page, writable: false, replacing: true)
        #expect(window.pieces == [0..<3 * 4096, 3 * 4096..<4 * 4096, 4 * 4096..<8 * 4096])
        #expect(try window.readBytes(3 * page, count: 1) == [7])
        #expect(try window.readBytes(4 * page, count: 1) == [4])
        try window.unmap(2 * page, length: 4 * page)
        #expect(window.pieces == [0..<2 * 4096, 6 * 4096..<8 * 4096])
        #expect(throws: Errno.EFAULT) { try window.readBytes(3 * page, count: 1) }
        try window.unmapAll()
        #expect(window.pieces.isEmpty)
        #expect(throws: Errno.EFAULT) { try window.readBytes(0, count: 1) }
    }

    /// A file that is cut while it is mapped: an error for whoever reads or writes there, no SIGBUS.
    @Test func aFileThatIsCut() throws {
        let (window, file) = (try window(), try ScratchFile(pages: 4))
        try window.map(file.number, fileOffset: 0, at: 0, length: 4 * page, writable: true)
        #expect(try window.readBytes(3 * page, count: 1) == [3])
        try file.truncate(to: 4096)
        #expect(try window.readBytes(0, count: 4096).count == 4096)
        #expect(throws: Errno.EFAULT) { try window.readBytes(3 * page, count: 1) }
        #expect(throws: Errno.EFAULT) { try window.readBytes(0, count: 4097) }
        #expect(throws: Errno.EFAULT) {
            try [UInt8]([1]).withUnsafeBytes { try window.write($0, at: 2 * page) }
        }
        // Mapped beyond its end from the start: likewise.
        try window.map(file.number, fileOffset: 64 * page, at: 8 * page, length: page, writable: true)
        #expect(throws: Errno.EFAULT) { try window.readBytes(8 * page, count: 1) }
    }

    @Test func accessOutside() throws {
        let window = try window()
        #expect(try window.readBytes(16 * page, count: 0) == [])
        for (offset, count): (UInt64, Int) in [(16 * page, 1), (0, 65537), (.max, 1), (0, .max), (0, -1)] {
            #expect(throws: Errno.EFAULT) { try window.readBytes(offset, count: count) }
        }
    }

    @Test func descriptorsOfOtherKinds() throws {
        let (window, file) = (try window(), try ScratchFile(pages: 4))
        let readOnly = try file.readOnly()
        #expect(throws: Errno.EACCES) {
            try window.map(readOnly.rawValue, fileOffset: 0, at: 0, length: page, writable: true)
        }
        try window.map(readOnly.rawValue, fileOffset: 0, at: 0, length: page, writable: false)
        #expect(throws: Errno.EFAULT, "mapped for reading only") {
            try [UInt8]([1]).withUnsafeBytes { try window.write($0, at: 0) }
        }
        let event = try EventFD()
        let socket = try makeUnixSocket()
        let directory = OwnedDescriptor(
            adopting: try systemCall { () -> Int32 in open("/tmp", O_RDONLY | O_CLOEXEC) })
        let zero = OwnedDescriptor(
            adopting: try systemCall { () -> Int32 in open("/dev/zero", O_RDWR | O_CLOEXEC) })
        for number in [event.descriptor.rawValue, socket.rawValue, directory.rawValue, zero.rawValue] {
            #expect(throws: Errno.EINVAL) {
                try window.map(number, fileOffset: 0, at: page, length: page, writable: false)
            }
        }
        #expect(throws: Errno.EBADF) {
            try window.map(-1, fileOffset: 0, at: page, length: page, writable: false)
        }
        #expect(window.pieces == [0..<4096])
    }

    /// What mmap refuses while it replaces leaves nothing behind, not even what was there.
    @Test func aFailedReplacement() throws {
        let (window, file) = (try window(), try ScratchFile(pages: 4))
        try window.map(file.number, fileOffset: 0, at: 0, length: 3 * page, writable: true)
        let readOnly = try file.readOnly()
        #expect(throws: Errno.EACCES) {
            try window.map(
                readOnly.rawValue, fileOffset: 0, at: page, length: page, writable: true, replacing: true)
        }
        #expect(window.pieces == [0..<4096, 2 * 4096..<3 * 4096])
        #expect(throws: Errno.EFAULT) { try window.readBytes(page, count: 1) }
    }

    @Test func piecesAreCounted() throws {
        let (window, file) = (try window(maximumPieces: 3), try ScratchFile(pages: 1))
        for number in 0..<3 as Range<UInt64> {
            try window.map(file.number, fileOffset: 0, at: 2 * number * page, length: page, writable: false)
        }
        #expect(throws: Errno.ENOSPC) {
            try window.map(file.number, fileOffset: 0, at: 8 * page, length: page, writable: false)
        }
        try window.unmap(exactly: 0, length: page)
        try window.map(file.number, fileOffset: 0, at: 8 * page, length: page, writable: false)
        // Cutting a piece in two makes one more.
        try window.unmapAll()
        try window.map(file.number, fileOffset: 0, at: 0, length: 9 * page, writable: false)
        try window.map(
            file.number, fileOffset: 0, at: page, length: page, writable: false, replacing: true)
        #expect(throws: Errno.ENOSPC) {
            try window.map(
                file.number, fileOffset: 0, at: 4 * page, length: page, writable: false, replacing: true)
        }
        #expect(window.pieces.count == 3)
    }

    @Test func sizes() throws {
        #expect(throws: Errno.EINVAL) { try SharedMemoryWindow(id: 0, byteCount: 0) }
        #expect(throws: Errno.EINVAL) { try SharedMemoryWindow(id: 0, byteCount: 4097) }
        let windows = try SharedMemoryWindows(sizes: [8192, 0, 4096])
        #expect(windows.all.map(\.id) == [0, 2] && windows.all.map(\.byteCount) == [8192, 4096])
        #expect(windows[0] != nil && windows[1] == nil && windows[2] != nil && windows[255] == nil)
        for sizes: [UInt64] in [
            [4095], [.max], [1 << 63], [1 << 62], [1 << 40, 4096], [UInt64](repeating: 1 << 63, count: 2),
        ] {
            #expect(throws: VhostUserError.invalidValue) { try SharedMemoryWindows(sizes: sizes) }
        }
        let many = try SharedMemoryWindows(sizes: [UInt64](repeating: 4096, count: 256))
        #expect(many.all.count == 256 && many.all.allSatisfy { $0.maximumPieces == 64 })
    }
}
