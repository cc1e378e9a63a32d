// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// A file descriptor with one owner, closed when the owner ends.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The number; valid as long as this value lives.
    public let rawValue: Int32

    /// Takes over `rawValue`, which nobody else may close from now on.
    public init(adopting rawValue: Int32) { self.rawValue = rawValue }

    deinit { _ = close(rawValue) }

    /// Gives up ownership; the caller closes the number.
    public consuming func release() -> Int32 {
        let number = rawValue
        discard self
        return number
    }

    /// A second descriptor of the same open file description (dup, close-on-exec).
    public borrowing func duplicate() throws(Errno) -> OwnedDescriptor {
        let source = rawValue
        return OwnedDescriptor(adopting: try systemCall { vfs_fcntl_int(source, F_DUPFD_CLOEXEC, 3) })
    }
}
