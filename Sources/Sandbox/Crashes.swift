// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// No core dump of this process and its children: its memory has the guest's and what it read of the share.
///
/// One byte, which no core file fits in. To a program in core_pattern the kernel pipes whatever the limit is, but if it is 1.
package func forbidCoreDumps() throws(Errno) {
    var none = rlimit(rlim_cur: 1, rlim_max: 1)
    _ = try systemCall { unsafe setrlimit(__rlimit_resource(RLIMIT_CORE.rawValue), &none) }
}

/// Nobody but the host's root looks into this process's memory, and it dumps no core either. A change of ids may undo it, and a user's
/// process that this holds for cannot open some files of its /proc/self.
package func forbidInspection() throws(Errno) {
    _ = try systemCall { vfs_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) }
}

/// A crash ends the process and nothing else. The language's own handlers start a program found by its path, and behind a new
/// root directory paths are the guest's.
package func forbidCrashHandlers() {
    for number in [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGTRAP, SIGSYS] {
        _ = signal(number, SIG_DFL)
    }
}
