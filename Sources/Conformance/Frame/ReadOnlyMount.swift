// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Runs `body` on a thread for which alone the directory is mounted read-only: mount(2) and mount_namespaces(7).
package func inReadOnlyMount<Result: Sendable>(
    of directory: Path, _ body: @escaping @Sendable () throws -> Result
) throws -> Result {
    try onThread("in a read-only mount") {
        do throws(Errno) {
            _ = try systemCall { unshare(CLONE_NEWNS | CLONE_FS) }
            _ = try systemCall { unsafe mount("none", "/", nil, VFS_MS_PRIVATE_TREE, nil) }
            for flags in [VFS_MS_BIND, VFS_MS_BIND_READ_ONLY] {
                _ = try systemCall {
                    unsafe directory.withPointer { unsafe mount($0, $0, "none", flags, nil) }
                }
            }
        } catch { throw Unsupported("no read-only bind mount here (\(name(of: error)))") }
        return try body()
    }
}
