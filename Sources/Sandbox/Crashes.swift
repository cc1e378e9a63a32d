// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// No core file of this process and its children: its memory has the guest's and what it read of the share.
package func forbidCoreFiles() throws(Errno) {
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    _ = try systemCall { unsafe setrlimit(__rlimit_resource(RLIMIT_CORE.rawValue), &none) }
}

/// No core dump, to a file or to a program, and nobody but the host's root looks into this process's memory. A change of ids may
/// undo it, and a user's process that this holds for cannot open some files of its /proc/self.
package func forbidMemoryDumps() throws(Errno) {
    _ = try systemCall { vfs_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) }
}

/// A crash ends the process and nothing else. The language's own handlers start a program found by its path, and behind a new
/// root directory paths are the guest's.
package func forbidCrashHandlers() {
    for number in [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGTRAP, SIGSYS] {
        _ = signal(number, SIG_DFL)
    }
}
