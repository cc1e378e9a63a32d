// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// A file's time: seconds and nanoseconds since 1970, or one of the two special values of utimensat(2).
package struct Time: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let seconds: Int
    package let nanoseconds: Int

    package init(_ seconds: Int, nanoseconds: Int = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// UTIME_NOW: the present time.
    package static let now = Time(0, nanoseconds: VFS_UTIME_NOW)
    /// UTIME_OMIT: left as it is.
    package static let omit = Time(0, nanoseconds: VFS_UTIME_OMIT)

    package static func < (left: Time, right: Time) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }

    package var description: String {
        if self == .now { return "UTIME_NOW" }
        if self == .omit { return "UTIME_OMIT" }
        let digits = String(nanoseconds)
        return "\(seconds)." + String(repeating: "0", count: max(0, 9 - digits.count)) + digits
    }

    var timespec: timespec { Glibc.timespec(tv_sec: seconds, tv_nsec: nanoseconds) }
}
