// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Ends a blocking system call of one thread with EINTR, from another thread.
///
/// A single signal can be lost: it may arrive after the thread looked whether it should stop and before it entered the
/// kernel. This one is sent by a kernel timer again and again until the thread, back from the call, drops its timer;
/// nobody has to wait for that.
@safe package struct InterruptTimer: ~Copyable, @unchecked Sendable {
    /// glibc keeps the kernel's number here as a pointer, and numbers begin at 0: nil is a timer like any other.
    private let timer: UnsafeMutableRawPointer?

    private static let periodMicroseconds = 1000

    /// Gives the process the signal's handler. Once, before the first timer.
    package static func install() throws(Errno) {
        _ = try systemCall { vfs_interrupt_install() }
    }

    /// A timer for the calling thread, not started.
    package init() throws(Errno) {
        var created: UnsafeMutableRawPointer?
        guard unsafe vfs_interrupt_timer_create(&created) == 0 else { throw Errno(rawValue: errno) }
        unsafe timer = unsafe created
    }

    deinit { _ = unsafe vfs_interrupt_timer_delete(timer) }

    /// Begins to interrupt the thread: now, and every millisecond.
    package borrowing func start() {
        _ = unsafe vfs_interrupt_timer_arm(timer, Self.periodMicroseconds)
    }
}
