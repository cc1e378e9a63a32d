// SPDX-License-Identifier: Apache-2.0
// The fixed-size bodies of replies.

/// `struct fuse_open_out`, 16 bytes.
package struct OpenOut: BitwiseCopyable, Sendable {
    package var handle: UInt64 = 0
    /// `OpenOutFlags`.
    package var openFlags: UInt32 = 0
    package var backingID: Int32 = 0
    package init() {}
}

/// FOPEN_*: `OpenOut.openFlags`.
package enum OpenOutFlags {
    package static let directIO: UInt32 = 1 << 0
    package static let keepCache: UInt32 = 1 << 1
    package static let nonSeekable: UInt32 = 1 << 2
    package static let cacheDirectory: UInt32 = 1 << 3
    package static let stream: UInt32 = 1 << 4
    package static let noFlush: UInt32 = 1 << 5
    package static let parallelDirectWrites: UInt32 = 1 << 6
    /// `OpenOut.backingID` is the file that reads, writes and mappings go to.
    package static let passthrough: UInt32 = 1 << 7
}

/// The body of a CREATE or TMPFILE reply, 144 bytes: `fuse_entry_out`, then `fuse_open_out`.
package struct CreateOut: BitwiseCopyable, Sendable {
    package var entry = EntryOut()
    package var open = OpenOut()
    package init() {}
}

/// `struct fuse_write_out`, 8 bytes; COPY_FILE_RANGE too.
package struct WriteOut: BitwiseCopyable, Sendable {
    package var size: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
}

/// `struct fuse_getxattr_out`, 8 bytes: answers a size query.
package struct GetXattrOut: BitwiseCopyable, Sendable {
    package var size: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
}

/// `struct fuse_lk_out`, 24 bytes.
package struct LockOut: BitwiseCopyable, Sendable {
    package var lock = FileLock()
    package init() {}
}

/// `struct fuse_lseek_out`, 8 bytes.
package struct LseekOut: BitwiseCopyable, Sendable {
    package var offset: UInt64 = 0
    package init() {}
}

/// `struct fuse_copy_file_range_out`, 8 bytes (since 7.45).
package struct CopyFileRangeOut: BitwiseCopyable, Sendable {
    package var bytesCopied: UInt64 = 0
    package init() {}
}

/// `struct fuse_ioctl_out`, 16 bytes; data follows.
package struct IoctlOut: BitwiseCopyable, Sendable {
    package var result: Int32 = 0
    package var flags: UInt32 = 0
    package var inIovecs: UInt32 = 0
    package var outIovecs: UInt32 = 0
    package init() {}
}

/// `struct fuse_dirent`, 24 bytes; `nameLength` bytes and padding to eight follow.
package struct Dirent: BitwiseCopyable, Sendable {
    package var ino: UInt64 = 0
    /// The cookie of the next entry, which comes back as `ReadIn.offset`.
    package var offset: UInt64 = 0
    package var nameLength: UInt32 = 0
    /// DT_*, `mode >> 12`.
    package var type: UInt32 = 0
    package init() {}
}

/// `struct fuse_init_out`, 64 bytes.
package struct InitOut: BitwiseCopyable, Sendable {
    package var major: UInt32 = 0
    package var minor: UInt32 = 0
    package var maxReadahead: UInt32 = 0
    package var flags: UInt32 = 0
    package var maxBackground: UInt16 = 0
    package var congestionThreshold: UInt16 = 0
    package var maxWrite: UInt32 = 0
    package var timeGranularity: UInt32 = 0
    package var maxPages: UInt16 = 0
    package var mapAlignment: UInt16 = 0
    package var flags2: UInt32 = 0
    package var maxStackDepth: UInt32 = 0
    package var requestTimeout: UInt16 = 0
    package var unused: InlineArray<11, UInt16> = .init(repeating: 0)
    package init() {}
}
