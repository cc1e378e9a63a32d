// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// A few descriptors to wait for again and again (epoll(7)).
///
/// Unlike poll(2), it can wake one of several threads that wait for the same thing, and tell of a counter's change
/// without the counter being read.
package struct EventSet: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor

    package init() throws(Errno) {
        descriptor = OwnedDescriptor(adopting: try systemCall { epoll_create1(Int32(EPOLL_CLOEXEC)) })
    }

    /// Adds `number`, which `wait` reports as bit `bit` (below 32) when it can be read or has ended.
    ///
    /// - Parameters:
    ///   - exclusive: of the sets that have it exclusively, one with a waiter is woken, not all.
    ///   - changesOnly: reported once for each change, not as long as it is readable.
    package borrowing func add(
        _ number: Int32, bit: UInt64, exclusive: Bool = false, changesOnly: Bool = false
    ) throws(Errno) {
        var event = unsafe epoll_event()
        unsafe event.events =
            VFS_EPOLLIN | (exclusive ? VFS_EPOLLEXCLUSIVE : 0) | (changesOnly ? VFS_EPOLLET : 0)
        unsafe event.data.u64 = bit
        let set = descriptor.rawValue
        _ = try systemCall { unsafe epoll_ctl(set, EPOLL_CTL_ADD, number, &event) }
    }

    /// Waits for one of them at least; never allocates.
    ///
    /// - Parameter timeoutMilliseconds: −1 waits for ever, 0 only looks.
    /// - Returns: the bits of what is ready; 0 after the time-out or a signal.
    package borrowing func wait(timeoutMilliseconds: Int32) -> UInt32 {
        var events = unsafe InlineArray<4, epoll_event>(repeating: epoll_event())
        var span = unsafe events.mutableSpan
        let set = descriptor.rawValue
        let count = unsafe span.withUnsafeMutableBufferPointer {
            unsafe epoll_wait(set, $0.baseAddress, 4, timeoutMilliseconds)
        }
        var ready: UInt32 = 0
        for index in 0..<max(0, Int(count)) {
            // SAFETY: u64 is what `add` has put in.
            ready |= 1 << UInt32(truncatingIfNeeded: unsafe span[index].data.u64)
        }
        return ready
    }
}
