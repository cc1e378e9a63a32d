// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// What statx(2) says about one object: the basic attributes, its birth time and its mount.
public struct FileStatus {
    public var raw: statx

    /// STATX_BASIC_STATS, BTIME and MNT_ID: everything that identity and `fuse_attr` need in one call.
    @usableFromInline static var mask: UInt32 {
        UInt32(STATX_BASIC_STATS) | UInt32(STATX_BTIME) | UInt32(STATX_MNT_ID)
    }

    /// Of the name `name` in `directory`; a symbolic link is not followed, an automount not triggered.
    @inlinable public init(_ directory: Int32, _ name: UnsafePointer<CChar>) throws(Errno) {
        raw = statx()
        _ = try systemCall {
            unsafe statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, Self.mask, &raw)
        }
    }

    /// Of the object behind `descriptor`, which may be O_PATH. `flags` are AT_STATX_*.
    @inlinable public init(of descriptor: Int32, flags: Int32 = 0) throws(Errno) {
        raw = statx()
        _ = try systemCall { unsafe vfs_statx_fd(descriptor, flags | AT_NO_AUTOMOUNT, Self.mask, &raw) }
    }

    /// S_IFMT bits.
    public var type: UInt32 { UInt32(raw.stx_mode) & FileType.mask }
    public var device: UInt64 { UInt64(raw.stx_dev_major) << 32 | UInt64(raw.stx_dev_minor) }
    public var hasBirthTime: Bool { raw.stx_mask & UInt32(STATX_BTIME) != 0 }
    /// 0 before Linux 5.8.
    public var mount: UInt32 { UInt32(truncatingIfNeeded: raw.stx_mnt_id) }
}
