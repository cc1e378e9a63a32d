// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Testing

@Suite struct FileDataTests {
    /// Writes `parts` as one vector each.
    private func write(_ parts: [[UInt8]], to file: Int32, at offset: Int, flags: Int32 = 0) throws -> Int {
        let buffers = parts.map { part in
            let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, part.count))
            buffer.initialize(from: part, count: part.count)
            return iovec(iov_base: buffer, iov_len: part.count)
        }
        defer { for buffer in buffers { buffer.iov_base?.deallocate() } }
        return try writeVectors(file, buffers, count: Int32(buffers.count), at: offset, flags: flags)
    }

    private func read(_ file: Int32, count: Int, at offset: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0xee, count: count)
        let n = try bytes.withUnsafeMutableBytes { buffer in
            var vector = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
            return try readVectors(file, &vector, count: 1, at: offset)
        }
        return [UInt8](bytes[..<n])
    }

    @Test func vectorsAreWrittenInOrderAndRead() throws {
        let file = try makeMemoryFile(name: "data", byteCount: 0)
        #expect(try write([[1, 2], [3], [], [4, 5]], to: file.rawValue, at: 3) == 5)
        #expect(try read(file.rawValue, count: 20, at: 0) == [0, 0, 0, 1, 2, 3, 4, 5])
        #expect(try read(file.rawValue, count: 20, at: 8) == [])
    }

    @Test func appendIgnoresTheOffset() throws {
        let file = try makeMemoryFile(name: "data", byteCount: 2)
        #expect(try write([[9]], to: file.rawValue, at: 0, flags: Int32(RWF_APPEND)) == 1)
        #expect(try read(file.rawValue, count: 20, at: 0) == [0, 0, 9])
    }

    @Test func errorsAreThrown() throws {
        #expect(throws: Errno.EBADF) { _ = try write([[1]], to: -1, at: 0) }
        #expect(throws: Errno.EBADF) { _ = try read(-1, count: 1, at: 0) }
        #expect(throws: Errno.EBADF) { try synchronize(-1, dataOnly: true) }
        #expect(throws: Errno.EBADF) { try synchronizeFileSystem(of: -1) }
        #expect(throws: Errno.EBADF) { _ = try fileSystemStatus(of: -1) }
        #expect(throws: Errno.EBADF) { try allocateSpace(-1, mode: 0, offset: 0, length: 1) }
        #expect(throws: Errno.EBADF) { _ = try copyRange(from: -1, at: 0, to: -1, at: 0, length: 1) }
    }

    @Test func dataAndHolesAreFound() throws {
        let file = try makeMemoryFile(name: "data", byteCount: 1 << 20)
        _ = try write([[1]], to: file.rawValue, at: 1 << 16)
        #expect(try seek(file.rawValue, to: 0, whence: SEEK_DATA) == 1 << 16)
        #expect(try seek(file.rawValue, to: 1 << 16, whence: SEEK_HOLE) > 1 << 16)
        #expect(throws: Errno.ENXIO) { _ = try seek(file.rawValue, to: 1 << 20, whence: SEEK_DATA) }
    }

    @Test func spaceIsReservedAndFreed() throws {
        let file = try makeMemoryFile(name: "data", byteCount: 0)
        try allocateSpace(file.rawValue, mode: 0, offset: 0, length: 8192)
        #expect(try read(file.rawValue, count: 9000, at: 0).count == 8192)
        _ = try write([[UInt8](repeating: 1, count: 8192)], to: file.rawValue, at: 0)
        let punch = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
        try allocateSpace(file.rawValue, mode: punch, offset: 0, length: 4096)
        #expect(try seek(file.rawValue, to: 0, whence: SEEK_DATA) == 4096)
    }

    @Test func rangesAreCopied() throws {
        let source = try makeMemoryFile(name: "source", byteCount: 0)
        let target = try makeMemoryFile(name: "target", byteCount: 0)
        _ = try write([[1, 2, 3, 4]], to: source.rawValue, at: 0)
        #expect(try copyRange(from: source.rawValue, at: 1, to: target.rawValue, at: 2, length: 100) == 3)
        #expect(try read(target.rawValue, count: 100, at: 0) == [0, 0, 2, 3, 4])
        #expect(try copyRange(from: source.rawValue, at: 4, to: target.rawValue, at: 0, length: 1) == 0)
    }
}
