// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

// The contents of an open regular file. Offsets and lengths are in bytes.

/// Reads into `count` vectors (at most IOV_MAX) from `offset`; `flags` are RWF_*. Returns the bytes read, 0 at the end of
/// the file.
@inlinable public func readVectors(
    _ descriptor: Int32, _ vectors: UnsafePointer<iovec>, count: Int32, at offset: Int, flags: Int32 = 0
) throws(Errno) -> Int {
    try systemCall { unsafe preadv2(descriptor, vectors, count, offset, flags) }
}

/// Writes `count` vectors (at most IOV_MAX) at `offset`; `flags` are RWF_*. Returns the bytes written.
@inlinable public func writeVectors(
    _ descriptor: Int32, _ vectors: UnsafePointer<iovec>, count: Int32, at offset: Int, flags: Int32
) throws(Errno) -> Int {
    try systemCall { unsafe pwritev2(descriptor, vectors, count, offset, flags) }
}

/// Writes a file's data to its disk, and unless `dataOnly` its attributes.
public func synchronize(_ descriptor: Int32, dataOnly: Bool) throws(Errno) {
    _ = try systemCall { dataOnly ? fdatasync(descriptor) : fsync(descriptor) }
}

/// Writes everything of the file system that `descriptor` lies on to its disk.
public func synchronizeFileSystem(of descriptor: Int32) throws(Errno) {
    _ = try systemCall { syncfs(descriptor) }
}

/// Moves the file's position; with SEEK_DATA or SEEK_HOLE, finds the next data or hole.
public func seek(_ descriptor: Int32, to offset: Int, whence: Int32) throws(Errno) -> Int {
    try systemCall { lseek(descriptor, offset, whence) }
}

/// Reserves or frees space; `mode` is of FALLOC_FL_*.
public func allocateSpace(_ descriptor: Int32, mode: Int32, offset: Int, length: Int) throws(Errno) {
    _ = try systemCall { fallocate(descriptor, mode, offset, length) }
}

/// Copies inside the kernel, by reference where the file system can; returns the bytes copied, 0 at the source's end.
public func copyRange(
    from source: Int32, at sourceOffset: Int, to target: Int32, at targetOffset: Int, length: Int
) throws(Errno) -> Int {
    var (input, output) = (sourceOffset, targetOffset)
    return try systemCall { unsafe copy_file_range(source, &input, target, &output, length, 0) }
}

/// Whether a file lies in a FUSE file system, whose files change as its server likes.
public func isOnFUSE(_ descriptor: Int32) throws(Errno) -> Bool {
    let magic = 0x6573_5546  // FUSE_SUPER_MAGIC of <linux/magic.h>
    return Int(try fileSystemStatus(of: descriptor).f_type) == magic
}

/// Size and free space of the file system that `descriptor` (O_PATH will do) lies on.
public func fileSystemStatus(of descriptor: Int32) throws(Errno) -> statfs {
    var status = statfs()
    _ = try systemCall { unsafe fstatfs(descriptor, &status) }
    return status
}

/// Has the kernel fetch a piece of a file from its disk while we go on. What cannot be fetched is fetched when it is needed.
public func readAhead(_ descriptor: Int32, from offset: Int, _ byteCount: UInt64) {
    _ = posix_fadvise(descriptor, offset, Int(clamping: byteCount), POSIX_FADV_WILLNEED)
}
