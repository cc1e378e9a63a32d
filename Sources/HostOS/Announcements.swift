// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc
import Synchronization

/// Lets threads sleep until something has happened that another thread announces: a condition variable whose condition
/// is guarded by any lock, or none.
///
/// ```
/// let seen = changes.current      // before looking
/// if what I wait for is there { return }
/// changes.wait(since: seen, until: deadline)
/// ```
@safe package final class Announcements: @unchecked Sendable {
    // SAFETY: @unchecked because of the pointer only; the word behind it is accessed atomically.
    /// How often something was announced, modulo 2^32; a futex(2).
    private let word: UnsafeMutablePointer<UInt32>
    /// Threads in `wait`: without any, an announcement costs no system call.
    private let sleepers = Atomic<Int>(0)

    package init() {
        unsafe word = .allocate(capacity: 1)
        unsafe word.initialize(to: 0)
    }

    deinit { unsafe word.deallocate() }

    /// What `wait` compares with.
    package var current: UInt32 { unsafe vfs_load_acquire32(word) }

    /// Wakes every thread that waits. Change what they look at before.
    package func announce() {
        _ = unsafe vfs_fetch_add32(word, 1)
        // Sequentially consistent, like the other side's two steps: either we see the sleeper or the kernel shows it the
        // new number.
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 { unsafe vfs_futex_wake_all(word) }
    }

    /// Sleeps until something is announced after `seen` was read, or `deadline` has passed; may return early.
    package func wait(since seen: UInt32, until deadline: Deadline) {
        sleepers.add(1, ordering: .sequentiallyConsistent)
        unsafe vfs_futex_wait(word, seen, deadline.remainingMilliseconds)
        sleepers.subtract(1, ordering: .relaxed)
    }
}
