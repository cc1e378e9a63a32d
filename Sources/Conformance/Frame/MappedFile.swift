// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Pages of a file in memory.
@safe package final class MappedFile {
    private let base: UnsafeMutableRawPointer
    package let count: Int

    /// `flags`: MAP_SHARED or MAP_PRIVATE.
    package init(
        _ file: OpenFile, offset: Int = 0, count: Int, flags: Int32 = MAP_SHARED,
        protection: Int32 = PROT_READ | PROT_WRITE
    ) throws {
        let address = unsafe mmap(nil, count, protection, flags, file.number, offset)
        guard let address = unsafe address, unsafe address != MAP_FAILED else {
            let error = Errno(rawValue: errno)
            if error == .ENODEV { throw Unsupported("no shared mappings of files here") }
            throw Failure("mmap(\(file.path), \(count) bytes) gave \(name(of: error)), expected success")
        }
        unsafe base = address
        self.count = count
    }

    deinit { _ = unsafe munmap(base, count) }

    /// `range` must lie in the pages that the file has.
    package func bytes(_ range: Range<Int>) -> [UInt8] {
        unsafe Array(UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count))
    }

    package func store(_ bytes: [UInt8], at offset: Int) { unsafe memcpy(base + offset, bytes, bytes.count) }

    /// Writes what was stored to the file.
    package func synchronize() throws {
        let count = count
        _ = try result(of: "msync") { () throws(Errno) in
            Int(try systemCall { unsafe msync(base, count, MS_SYNC) })
        }
    }
}
