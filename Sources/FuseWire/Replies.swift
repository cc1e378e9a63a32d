// SPDX-License-Identifier: Apache-2.0
// The fixed-size bodies of replies.

/// `struct fuse_open_out`, 16 bytes.
public struct OpenOut: BitwiseCopyable, Sendable {
    public var handle: UInt64 = 0
    /// `OpenOutFlags`.
    public var openFlags: UInt32 = 0
    public var backingID: Int32 = 0
    public init() {}
}

/// FOPEN_*: `OpenOut.openFlags`.
public enum OpenOutFlags {
    public static let directIO: UInt32 = 1 << 0
    public static let keepCache: UInt32 = 1 << 1
    public static let nonSeekable: UInt32 = 1 << 2
    public static let cacheDirectory: UInt32 = 1 << 3
    public static let stream: UInt32 = 1 << 4
    public static let noFlush: UInt32 = 1 << 5
    public static let parallelDirectWrites: UInt32 = 1 << 6
    /// `OpenOut.backingID` is the file that reads, writes and mappings go to.
    public static let passthrough: UInt32 = 1 << 7
}

/// The body of a CREATE or TMPFILE reply, 144 bytes: `fuse_entry_out`, then `fuse_open_out`.
public struct CreateOut: BitwiseCopyable, Sendable {
    public var entry = EntryOut()
    public var open = OpenOut()
    public init() {}
}

/// `struct fuse_write_out`, 8 bytes; COPY_FILE_RANGE too.
public struct WriteOut: BitwiseCopyable, Sendable {
    public var size: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
}

/// `struct fuse_getxattr_out`, 8 bytes: answers a size query.
public struct GetXattrOut: BitwiseCopyable, Sendable {
    public var size: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
}

/// `struct fuse_lk_out`, 24 bytes.
public struct LockOut: BitwiseCopyable, Sendable {
    public var lock = FileLock()
    public init() {}
}

/// `struct fuse_lseek_out`, 8 bytes.
public struct LseekOut: BitwiseCopyable, Sendable {
    public var offset: UInt64 = 0
    public init() {}
}

/// `struct fuse_copy_file_range_out`, 8 bytes (since 7.45).
public struct CopyFileRangeOut: BitwiseCopyable, Sendable {
    public var bytesCopied: UInt64 = 0
    public init() {}
}

/// `struct fuse_ioctl_out`, 16 bytes; data follows.
public struct IoctlOut: BitwiseCopyable, Sendable {
    public var result: Int32 = 0
    public var flags: UInt32 = 0
    public var inIovecs: UInt32 = 0
    public var outIovecs: UInt32 = 0
    public init() {}
}

/// `struct fuse_dirent`, 24 bytes; `nameLength` bytes and padding to eight follow.
public struct Dirent: BitwiseCopyable, Sendable {
    public var ino: UInt64 = 0
    /// The cookie of the next entry, which comes back as `ReadIn.offset`.
    public var offset: UInt64 = 0
    public var nameLength: UInt32 = 0
    /// DT_*, `mode >> 12`.
    public var type: UInt32 = 0
    public init() {}
}

/// `struct fuse_init_out`, 64 bytes.
public struct InitOut: BitwiseCopyable, Sendable {
    public var major: UInt32 = 0
    public var minor: UInt32 = 0
    public var maxReadahead: UInt32 = 0
    public var flags: UInt32 = 0
    public var maxBackground: UInt16 = 0
    public var congestionThreshold: UInt16 = 0
    public var maxWrite: UInt32 = 0
    public var timeGranularity: UInt32 = 0
    public var maxPages: UInt16 = 0
    public var mapAlignment: UInt16 = 0
    public var flags2: UInt32 = 0
    public var maxStackDepth: UInt32 = 0
    public var requestTimeout: UInt16 = 0
    public var unused: InlineArray<11, UInt16> = .init(repeating: 0)
    public init() {}
}
