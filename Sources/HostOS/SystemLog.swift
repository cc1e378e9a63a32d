// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// The host's syslog(3), facility `user`, under the program's own name with the pid of whoever called `open`.
package enum SystemLog {
    /// Connects. The number of this process is what the log will show, whoever of its children writes, and whatever number that one has
    /// in a process namespace.
    package static func open() { vfs_open_syslog() }

    package static func write(_ level: LogLevel, _ message: String) {
        let priority =
            switch level {
            case .off, .error: LOG_ERR
            case .warning: LOG_WARNING
            case .info: LOG_INFO
            case .debug, .trace: LOG_DEBUG
            }
        unsafe vfs_syslog(priority | Int32(LOG_USER), message)
    }
}
