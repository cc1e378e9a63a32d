// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// A moment on the monotonic clock by which something must have happened.
package struct Deadline: Sendable {
    /// In nanoseconds; nil never passes.
    private let moment: Int64?

    /// - Parameter milliseconds: how far away it is; negative means never.
    package init(milliseconds: Int32) {
        moment = milliseconds < 0 ? nil : monotonicNanoseconds() + Int64(milliseconds) * 1_000_000
    }

    /// What to give poll(2): −1 when it never passes, 0 when it has passed, else at least 1.
    package var remainingMilliseconds: Int32 {
        guard let moment else { return -1 }
        return Int32(clamping: max(0, (moment - monotonicNanoseconds() + 999_999) / 1_000_000))
    }

    package static let never = Deadline(milliseconds: -1)

    package var hasPassed: Bool { remainingMilliseconds == 0 }

    /// The earlier of two.
    package func earlier(_ other: Deadline) -> Deadline {
        guard let mine = moment, let theirs = other.moment else { return moment == nil ? other : self }
        return mine <= theirs ? self : other
    }
}

/// Waits until `descriptor` takes bytes, has ended, or `deadline` passed (false).
package func waitWritable(_ descriptor: Int32, until deadline: Deadline) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    while true {
        let count = unsafe poll(&entry, 1, deadline.remainingMilliseconds)
        if count > 0 { return true }
        if deadline.remainingMilliseconds == 0 { return false }
    }
}

/// Waits until `descriptor` has bytes, has ended, or `deadline` passed (false).
package func waitReadable(_ descriptor: Int32, until deadline: Deadline) -> Bool {
    while true {
        if waitReadable(descriptor, timeoutMilliseconds: deadline.remainingMilliseconds) != 0 { return true }
        if deadline.remainingMilliseconds == 0 { return false }
    }
}
