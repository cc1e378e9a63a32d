// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Opens /dev/fuse: a channel to the kernel's FUSE that a mount is then made with. Reading never blocks.
package func openFuseDevice() throws(Errno) -> OwnedDescriptor {
    OwnedDescriptor(adopting: try systemCall { unsafe open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK) })
}

/// One more channel to the mount that `device` belongs to. Each channel answers the requests that were read from it; the
/// connection ends with its last channel.
package func cloneFuseDevice(_ device: Int32) throws(Errno) -> OwnedDescriptor {
    let channel = try openFuseDevice()
    let number = channel.rawValue
    var source = UInt32(bitPattern: device)
    _ = try systemCall { unsafe vfs_ioctl_pointer(number, VFS_FUSE_CLONE, &source) }
    return channel
}

/// Makes reading from `number` fail with EAGAIN where it would block.
package func setNonblocking(_ number: Int32) throws(Errno) {
    let flags = try systemCall { vfs_fcntl_int(number, F_GETFL, 0) }
    _ = try systemCall { vfs_fcntl_int(number, F_SETFL, flags | O_NONBLOCK) }
}
