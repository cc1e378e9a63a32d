// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Closes what whoever started us left open: a guest that takes the daemon over could use it. Standard input, output and error stay;
/// one that is closed becomes /dev/null, so that no other file ever has its number. Call it before anything is opened.
///
/// - Parameter kept: one more number that stays open.
package func closeInheritedDescriptors(keeping kept: Int32?) throws(StartupError) {
    do throws(Errno) {
        if let kept, kept > 2 {
            if kept > 3 { _ = try systemCall { close_range(3, UInt32(kept) - 1, 0) } }
            if kept < Int32.max { _ = try systemCall { close_range(UInt32(kept) + 1, UInt32.max, 0) } }
        } else {
            _ = try systemCall { close_range(3, UInt32.max, 0) }
        }
        for standard: Int32 in 0...2 where vfs_fcntl_int(standard, F_GETFD, 0) < 0 {
            // The lowest number that is free, which is this one.
            _ = try systemCall { unsafe open("/dev/null", O_RDWR) }
        }
    } catch {
        throw StartupError(
            operation: "close", subject: "inherited descriptors", reason: describe(error),
            hint: "this takes Linux 5.9 and /dev/null")
    }
}
