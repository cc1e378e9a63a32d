// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors

/// Runs `body` without CAP_FSETID, so that what it writes loses set-user-id and set-group-id bits; affects only this
/// thread.
package func losingSetIDBits<Result>(_ body: () throws(Errno) -> Result) throws(Errno) -> Result {
    var (effective, permitted, inheritable): (UInt64, UInt64, UInt64) = (0, 0, 0)
    _ = try systemCall { unsafe vfs_capget_thread(&effective, &permitted, &inheritable) }
    let fileSetID: UInt64 = 1 << 4
    if effective & fileSetID == 0 { return try body() }
    let (before, others) = (effective, (permitted, inheritable))
    _ = try systemCall { vfs_capset_thread(before & ~fileSetID, others.0, others.1) }
    defer { _ = vfs_capset_thread(before, others.0, others.1) }
    return try body()
}
