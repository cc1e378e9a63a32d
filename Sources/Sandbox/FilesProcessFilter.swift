// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Holds the calling process, which makes files mappable and has one thread, to the system calls that it has use for. It must have
/// no_new_privs.
package func confineFilesProcess(_ action: FilterAction) throws(Errno) {
    if action == .none { return }
    let program = try compile(SystemCallRule.ofFilesProcess(process: getpid()), otherwise: action)
    _ = try systemCall {
        unsafe program.withUnsafeBytes { unsafe vfs_filter_load($0.baseAddress, $0.count) }
    }
}
