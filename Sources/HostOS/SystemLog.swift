// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// The host's syslog(3), facility `user`, under the program's own name with its pid.
package enum SystemLog {
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
