// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// A file descriptor with one owner, closed when the owner ends.
package struct OwnedDescriptor: ~Copyable, Sendable {
    /// The number; valid as long as this value lives.
    package let rawValue: Int32

    /// Takes over `rawValue`, which nobody else may close from now on.
    package init(adopting rawValue: Int32) { self.rawValue = rawValue }

    deinit { _ = close(rawValue) }

    /// Gives up ownership; the caller closes the number.
    package consuming func release() -> Int32 {
        let number = rawValue
        discard self
        return number
    }

    /// A second descriptor of the same open file description (dup, close-on-exec).
    package borrowing func duplicate() throws(Errno) -> OwnedDescriptor {
        let source = rawValue
        return OwnedDescriptor(adopting: try systemCall { vfs_fcntl_int(source, F_DUPFD_CLOEXEC, 3) })
    }
}
