// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// A fixed list of descriptors to wait for again and again, without the heap.
package struct PollSet: Sendable {
    private var entries: [pollfd]
    /// After a time-out the kernel may have left old events.
    private var foundAny = false

    /// - Parameter descriptors: valid as long as this value is used; negative ones are never ready.
    package init(_ descriptors: [Int32]) {
        entries = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    }

    /// Waits until one can be read or has ended.
    ///
    /// - Parameter timeoutMilliseconds: −1 waits for ever, 0 only looks. A signal counts as a time-out.
    /// - Returns: whether one is ready.
    package mutating func wait(timeoutMilliseconds: Int32) -> Bool {
        let count = unsafe poll(&entries, nfds_t(entries.count), timeoutMilliseconds)
        foundAny = count > 0
        return foundAny
    }

    /// Whether the last `wait` found descriptor number `index` ready.
    package func isReady(_ index: Int) -> Bool { foundAny && entries[index].revents != 0 }
}
