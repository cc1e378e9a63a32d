// SPDX-License-Identifier: Apache-2.0
// The fixed-size arguments of requests, in the order of `<linux/fuse.h>`; names follow, where a request has them.

/// `struct fuse_mknod_in`, 16 bytes.
package struct MknodIn: BitwiseCopyable, Sendable {
    package var mode: UInt32 = 0
    package var rdev: UInt32 = 0
    package var umask: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
}

/// `struct fuse_mkdir_in`, 8 bytes.
package struct MkdirIn: BitwiseCopyable, Sendable {
    package var mode: UInt32 = 0
    package var umask: UInt32 = 0
    package init() {}
}

/// `struct fuse_rename_in`, 8 bytes.
package struct RenameIn: BitwiseCopyable, Sendable {
    package var newDirectory: UInt64 = 0
    package init() {}
}

/// `struct fuse_rename2_in`, 16 bytes.
package struct Rename2In: BitwiseCopyable, Sendable {
    package var newDirectory: UInt64 = 0
    package var flags: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
}

/// `struct fuse_link_in`, 8 bytes.
package struct LinkIn: BitwiseCopyable, Sendable {
    package var oldNodeID: UInt64 = 0
    package init() {}
}

/// `struct fuse_open_in`, 8 bytes.
package struct OpenIn: BitwiseCopyable, Sendable {
    /// open(2) flags of the guest.
    package var flags: UInt32 = 0
    /// `OpenInFlags`.
    package var openFlags: UInt32 = 0
    package init() {}
    /// FUSE_OPEN_KILL_SUIDGID.
    package static let killSuidGid: UInt32 = 1 << 0
}

/// `struct fuse_create_in`, 16 bytes.
package struct CreateIn: BitwiseCopyable, Sendable {
    package var flags: UInt32 = 0
    package var mode: UInt32 = 0
    package var umask: UInt32 = 0
    /// `OpenIn.killSuidGid`.
    package var openFlags: UInt32 = 0
    package init() {}
}

/// `struct fuse_read_in`, 40 bytes; READDIR and READDIRPLUS too.
package struct ReadIn: BitwiseCopyable, Sendable {
    package var handle: UInt64 = 0
    package var offset: UInt64 = 0
    package var size: UInt32 = 0
    package var readFlags: UInt32 = 0
    package var lockOwner: UInt64 = 0
    package var flags: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
}

/// `struct fuse_write_in`, 40 bytes; the data follows.
package struct WriteIn: BitwiseCopyable, Sendable {
    package var handle: UInt64 = 0
    package var offset: UInt64 = 0
    package var size: UInt32 = 0
    package var writeFlags: UInt32 = 0
    package var lockOwner: UInt64 = 0
    package var flags: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
    /// FUSE_WRITE_CACHE: written back from the guest's page cache, so `handle` is any handle of the file.
    package static let cache: UInt32 = 1 << 0
    package static let hasLockOwner: UInt32 = 1 << 1
    package static let killSuidGid: UInt32 = 1 << 2
}

/// `struct fuse_release_in`, 24 bytes.
package struct ReleaseIn: BitwiseCopyable, Sendable {
    package var handle: UInt64 = 0
    package var flags: UInt32 = 0
    package var releaseFlags: UInt32 = 0
    package var lockOwner: UInt64 = 0
    package init() {}
    package static let flush: UInt32 = 1 << 0
    package static let flockUnlock: UInt32 = 1 << 1
}

/// `struct fuse_flush_in`, 24 bytes.
package struct FlushIn: BitwiseCopyable, Sendable {
    package var handle: UInt64 = 0
    package var unused: UInt32 = 0
    package var padding: UInt32 = 0
    package var lockOwner: UInt64 = 0
    package init() {}
}

/// `struct fuse_fsync_in`, 16 bytes.
package struct FsyncIn: BitwiseCopyable, Sendable {
    package var handle: UInt64 = 0
    package var flags: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
    /// FUSE_FSYNC_FDATASYNC.
    package static let dataOnly: UInt32 = 1 << 0
}

/// `struct fuse_setxattr_in`: 16 bytes with FUSE_SETXATTR_EXT, of which only the first 8 travel without.
package struct SetXattrIn: BitwiseCopyable, Sendable {
    package var size: UInt32 = 0
    package var flags: UInt32 = 0
    package var setxattrFlags: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
    /// FUSE_SETXATTR_ACL_KILL_SGID.
    package static let aclKillSgid: UInt32 = 1 << 0
}

/// `struct fuse_getxattr_in`, 8 bytes; LISTXATTR too.
package struct GetXattrIn: BitwiseCopyable, Sendable {
    package var size: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
}

/// `struct fuse_file_lock`, 24 bytes.
package struct FileLock: BitwiseCopyable, Sendable {
    package var start: UInt64 = 0
    package var end: UInt64 = 0
    /// F_RDLCK 0, F_WRLCK 1, F_UNLCK 2.
    package var type: UInt32 = 0
    package var pid: UInt32 = 0
    package init() {}
}

/// `struct fuse_lk_in`, 48 bytes.
package struct LockIn: BitwiseCopyable, Sendable {
    package var handle: UInt64 = 0
    package var owner: UInt64 = 0
    package var lock = FileLock()
    package var lockFlags: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
    /// FUSE_LK_FLOCK: an flock(2) lock, not a POSIX one.
    package static let flock: UInt32 = 1 << 0
}

/// `struct fuse_access_in`, 8 bytes.
package struct AccessIn: BitwiseCopyable, Sendable {
    package var mask: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
}

/// `struct fuse_interrupt_in`, 8 bytes.
package struct InterruptIn: BitwiseCopyable, Sendable {
    package var unique: UInt64 = 0
    package init() {}
}

/// `struct fuse_forget_in`, 8 bytes.
package struct ForgetIn: BitwiseCopyable, Sendable {
    package var count: UInt64 = 0
    package init() {}
}

/// `struct fuse_forget_one`, 16 bytes.
package struct ForgetOne: BitwiseCopyable, Sendable {
    package var nodeID: UInt64 = 0
    package var count: UInt64 = 0
    package init() {}
}

/// `struct fuse_batch_forget_in`, 8 bytes; `count` × `ForgetOne` follow.
package struct BatchForgetIn: BitwiseCopyable, Sendable {
    package var count: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
}

/// `struct fuse_ioctl_in`, 32 bytes; `inSize` bytes follow.
package struct IoctlIn: BitwiseCopyable, Sendable {
    package var handle: UInt64 = 0
    package var flags: UInt32 = 0
    package var command: UInt32 = 0
    package var argument: UInt64 = 0
    package var inSize: UInt32 = 0
    package var outSize: UInt32 = 0
    package init() {}
    /// FUSE_IOCTL_UNRESTRICTED: the daemon may ask for more memory of the caller. Only CUSE does that.
    package static let unrestricted: UInt32 = 1 << 1
    /// FUSE_IOCTL_DIR.
    package static let directory: UInt32 = 1 << 4
}

/// `struct fuse_fallocate_in`, 32 bytes.
package struct FallocateIn: BitwiseCopyable, Sendable {
    package var handle: UInt64 = 0
    package var offset: UInt64 = 0
    package var length: UInt64 = 0
    package var mode: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
}

/// `struct fuse_lseek_in`, 24 bytes.
package struct LseekIn: BitwiseCopyable, Sendable {
    package var handle: UInt64 = 0
    package var offset: UInt64 = 0
    /// SEEK_DATA 3 or SEEK_HOLE 4.
    package var whence: UInt32 = 0
    package var padding: UInt32 = 0
    package init() {}
}

/// `struct fuse_copy_file_range_in`, 56 bytes.
package struct CopyFileRangeIn: BitwiseCopyable, Sendable {
    package var handleIn: UInt64 = 0
    package var offsetIn: UInt64 = 0
    package var nodeIDOut: UInt64 = 0
    package var handleOut: UInt64 = 0
    package var offsetOut: UInt64 = 0
    package var length: UInt64 = 0
    package var flags: UInt64 = 0
    package init() {}
}

/// `struct fuse_syncfs_in`, 8 bytes.
package struct SyncFSIn: BitwiseCopyable, Sendable {
    package var padding: UInt64 = 0
    package init() {}
}

/// `struct fuse_init_in`, 64 bytes; 16 before minor 36 (no `flags2`).
package struct InitIn: BitwiseCopyable, Sendable {
    package var major: UInt32 = 0
    package var minor: UInt32 = 0
    package var maxReadahead: UInt32 = 0
    package var flags: UInt32 = 0
    package var flags2: UInt32 = 0
    package var unused: InlineArray<11, UInt32> = .init(repeating: 0)
    package init() {}
}
