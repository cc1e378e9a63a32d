// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import GuestMemory
import HostOS

/// A region of `byteCount` bytes of a new memory file of `fileByteCount` (by default just long enough).
func makeRegion(
    at guest: UInt64, byteCount: UInt64, user: UInt64 = 0x7f00_0000_0000, offset: UInt64 = 0,
    fileByteCount: Int? = nil, mayShrink: Bool = false
) throws -> MemoryRegion {
    let file = try makeMemoryFile(name: "guest", byteCount: fileByteCount ?? Int(byteCount + offset))
    return try MemoryRegion(
        adopting: file, guestAddress: GuestAddress(guest), byteCount: byteCount, userAddress: user,
        mmapOffset: offset, mayShrink: mayShrink)
}

/// The bytes of a list's view, read through the pointers that a system call would be given.
func bytes(of vectors: IOVectors) -> [UInt8] {
    (0..<vectors.count).flatMap { index in
        let entry = vectors.base![index]
        return [UInt8](UnsafeRawBufferPointer(start: entry.iov_base, count: entry.iov_len))
    }
}

func lengths(of vectors: IOVectors) -> [Int] { (0..<vectors.count).map { vectors.base![$0].iov_len } }
