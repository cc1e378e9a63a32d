// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

// The attributes that chattr(1) and project quotas use. `descriptor` is an open file or directory, not O_PATH.

/// FS_IOC_GETFLAGS: FS_*_FL.
package func inodeFlags(of descriptor: Int32) throws(Errno) -> UInt32 {
    var flags: UInt = 0  // the command says long, the kernel moves 32 bits
    _ = try systemCall { unsafe vfs_ioctl_pointer(descriptor, VFS_FS_IOC_GETFLAGS, &flags) }
    return UInt32(truncatingIfNeeded: flags)
}

/// FS_IOC_SETFLAGS.
package func setInodeFlags(of descriptor: Int32, to flags: UInt32) throws(Errno) {
    var flags = UInt(flags)
    _ = try systemCall { unsafe vfs_ioctl_pointer(descriptor, VFS_FS_IOC_SETFLAGS, &flags) }
}

/// FS_IOC_FSGETXATTR.
package func extendedFlags(of descriptor: Int32) throws(Errno) -> fsxattr {
    var attributes = fsxattr()
    _ = try systemCall { unsafe vfs_ioctl_pointer(descriptor, VFS_FS_IOC_FSGETXATTR, &attributes) }
    return attributes
}

/// FS_IOC_FSSETXATTR.
package func setExtendedFlags(of descriptor: Int32, to attributes: fsxattr) throws(Errno) {
    var attributes = attributes
    _ = try systemCall { unsafe vfs_ioctl_pointer(descriptor, VFS_FS_IOC_FSSETXATTR, &attributes) }
}
