// SPDX-License-Identifier: Apache-2.0
// The fixed-size arguments of requests, in the order of `<linux/fuse.h>`; names follow, where a request has them.

/// `struct fuse_mknod_in`, 16 bytes.
public struct MknodIn: BitwiseCopyable, Sendable {
    public var mode: UInt32 = 0
    public var rdev: UInt32 = 0
    public var umask: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
}

/// `struct fuse_mkdir_in`, 8 bytes.
public struct MkdirIn: BitwiseCopyable, Sendable {
    public var mode: UInt32 = 0
    public var umask: UInt32 = 0
    public init() {}
}

/// `struct fuse_rename_in`, 8 bytes.
public struct RenameIn: BitwiseCopyable, Sendable {
    public var newDirectory: UInt64 = 0
    public init() {}
}

/// `struct fuse_rename2_in`, 16 bytes.
public struct Rename2In: BitwiseCopyable, Sendable {
    public var newDirectory: UInt64 = 0
    public var flags: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
}

/// `struct fuse_link_in`, 8 bytes.
public struct LinkIn: BitwiseCopyable, Sendable {
    public var oldNodeID: UInt64 = 0
    public init() {}
}

/// `struct fuse_open_in`, 8 bytes.
public struct OpenIn: BitwiseCopyable, Sendable {
    /// open(2) flags of the guest.
    public var flags: UInt32 = 0
    /// `OpenInFlags`.
    public var openFlags: UInt32 = 0
    public init() {}
    /// FUSE_OPEN_KILL_SUIDGID.
    public static let killSuidGid: UInt32 = 1 << 0
}

/// `struct fuse_create_in`, 16 bytes.
public struct CreateIn: BitwiseCopyable, Sendable {
    public var flags: UInt32 = 0
    public var mode: UInt32 = 0
    public var umask: UInt32 = 0
    /// `OpenIn.killSuidGid`.
    public var openFlags: UInt32 = 0
    public init() {}
}

/// `struct fuse_read_in`, 40 bytes; READDIR and READDIRPLUS too.
public struct ReadIn: BitwiseCopyable, Sendable {
    public var handle: UInt64 = 0
    public var offset: UInt64 = 0
    public var size: UInt32 = 0
    public var readFlags: UInt32 = 0
    public var lockOwner: UInt64 = 0
    public var flags: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
}

/// `struct fuse_write_in`, 40 bytes; the data follows.
public struct WriteIn: BitwiseCopyable, Sendable {
    public var handle: UInt64 = 0
    public var offset: UInt64 = 0
    public var size: UInt32 = 0
    public var writeFlags: UInt32 = 0
    public var lockOwner: UInt64 = 0
    public var flags: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
    /// FUSE_WRITE_CACHE: written back from the guest's page cache, so `handle` is any handle of the file.
    public static let cache: UInt32 = 1 << 0
    public static let hasLockOwner: UInt32 = 1 << 1
    public static let killSuidGid: UInt32 = 1 << 2
}

/// `struct fuse_release_in`, 24 bytes.
public struct ReleaseIn: BitwiseCopyable, Sendable {
    public var handle: UInt64 = 0
    public var flags: UInt32 = 0
    public var releaseFlags: UInt32 = 0
    public var lockOwner: UInt64 = 0
    public init() {}
    public static let flush: UInt32 = 1 << 0
    public static let flockUnlock: UInt32 = 1 << 1
}

/// `struct fuse_flush_in`, 24 bytes.
public struct FlushIn: BitwiseCopyable, Sendable {
    public var handle: UInt64 = 0
    public var unused: UInt32 = 0
    public var padding: UInt32 = 0
    public var lockOwner: UInt64 = 0
    public init() {}
}

/// `struct fuse_fsync_in`, 16 bytes.
public struct FsyncIn: BitwiseCopyable, Sendable {
    public var handle: UInt64 = 0
    public var flags: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
    /// FUSE_FSYNC_FDATASYNC.
    public static let dataOnly: UInt32 = 1 << 0
}

/// `struct fuse_setxattr_in`: 16 bytes with FUSE_SETXATTR_EXT, of which only the first 8 travel without.
public struct SetXattrIn: BitwiseCopyable, Sendable {
    public var size: UInt32 = 0
    public var flags: UInt32 = 0
    public var setxattrFlags: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
    /// FUSE_SETXATTR_ACL_KILL_SGID.
    public static let aclKillSgid: UInt32 = 1 << 0
}

/// `struct fuse_getxattr_in`, 8 bytes; LISTXATTR too.
public struct GetXattrIn: BitwiseCopyable, Sendable {
    public var size: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
}

/// `struct fuse_file_lock`, 24 bytes.
public struct FileLock: BitwiseCopyable, Sendable {
    public var start: UInt64 = 0
    public var end: UInt64 = 0
    /// F_RDLCK 0, F_WRLCK 1, F_UNLCK 2.
    public var type: UInt32 = 0
    public var pid: UInt32 = 0
    public init() {}
}

/// `struct fuse_lk_in`, 48 bytes.
public struct LockIn: BitwiseCopyable, Sendable {
    public var handle: UInt64 = 0
    public var owner: UInt64 = 0
    public var lock = FileLock()
    public var lockFlags: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
    /// FUSE_LK_FLOCK: an flock(2) lock, not a POSIX one.
    public static let flock: UInt32 = 1 << 0
}

/// `struct fuse_access_in`, 8 bytes.
public struct AccessIn: BitwiseCopyable, Sendable {
    public var mask: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
}

/// `struct fuse_interrupt_in`, 8 bytes.
public struct InterruptIn: BitwiseCopyable, Sendable {
    public var unique: UInt64 = 0
    public init() {}
}

/// `struct fuse_forget_in`, 8 bytes.
public struct ForgetIn: BitwiseCopyable, Sendable {
    public var count: UInt64 = 0
    public init() {}
}

/// `struct fuse_forget_one`, 16 bytes.
public struct ForgetOne: BitwiseCopyable, Sendable {
    public var nodeID: UInt64 = 0
    public var count: UInt64 = 0
    public init() {}
}

/// `struct fuse_batch_forget_in`, 8 bytes; `count` × `ForgetOne` follow.
public struct BatchForgetIn: BitwiseCopyable, Sendable {
    public var count: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
}

/// `struct fuse_ioctl_in`, 32 bytes; `inSize` bytes follow.
public struct IoctlIn: BitwiseCopyable, Sendable {
    public var handle: UInt64 = 0
    public var flags: UInt32 = 0
    public var command: UInt32 = 0
    public var argument: UInt64 = 0
    public var inSize: UInt32 = 0
    public var outSize: UInt32 = 0
    public init() {}
    /// FUSE_IOCTL_UNRESTRICTED: the daemon may ask for more memory of the caller. Only CUSE does that.
    public static let unrestricted: UInt32 = 1 << 1
    /// FUSE_IOCTL_DIR.
    public static let directory: UInt32 = 1 << 4
}

/// `struct fuse_fallocate_in`, 32 bytes.
public struct FallocateIn: BitwiseCopyable, Sendable {
    public var handle: UInt64 = 0
    public var offset: UInt64 = 0
    public var length: UInt64 = 0
    public var mode: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
}

/// `struct fuse_lseek_in`, 24 bytes.
public struct LseekIn: BitwiseCopyable, Sendable {
    public var handle: UInt64 = 0
    public var offset: UInt64 = 0
    /// SEEK_DATA 3 or SEEK_HOLE 4.
    public var whence: UInt32 = 0
    public var padding: UInt32 = 0
    public init() {}
}

/// `struct fuse_copy_file_range_in`, 56 bytes.
public struct CopyFileRangeIn: BitwiseCopyable, Sendable {
    public var handleIn: UInt64 = 0
    public var offsetIn: UInt64 = 0
    public var nodeIDOut: UInt64 = 0
    public var handleOut: UInt64 = 0
    public var offsetOut: UInt64 = 0
    public var length: UInt64 = 0
    public var flags: UInt64 = 0
    public init() {}
}

/// `struct fuse_syncfs_in`, 8 bytes.
public struct SyncFSIn: BitwiseCopyable, Sendable {
    public var padding: UInt64 = 0
    public init() {}
}

/// `struct fuse_init_in`, 64 bytes; 16 before minor 36 (no `flags2`).
public struct InitIn: BitwiseCopyable, Sendable {
    public var major: UInt32 = 0
    public var minor: UInt32 = 0
    public var maxReadahead: UInt32 = 0
    public var flags: UInt32 = 0
    public var flags2: UInt32 = 0
    public var unused: InlineArray<11, UInt32> = .init(repeating: 0)
    public init() {}
}
