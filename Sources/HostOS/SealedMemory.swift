// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// A new memfd of `byteCount` zero bytes for sharing with a process that is not trusted: nobody can shrink it, which
/// would end us with SIGBUS, or take that seal away.
package func makeSealedMemoryFile(name: String, byteCount: Int) throws(Errno) -> OwnedDescriptor {
    let file = OwnedDescriptor(
        adopting: try systemCall {
            unsafe memfd_create(name, UInt32(MFD_CLOEXEC) | UInt32(MFD_ALLOW_SEALING))
        })
    let number = file.rawValue
    _ = try systemCall { ftruncate(number, byteCount) }
    _ = try systemCall { vfs_fcntl_int(number, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) }
    return file
}
