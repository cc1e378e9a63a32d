// SPDX-License-Identifier: Apache-2.0
import Glibc
import HostOS

/// A descriptor to give away, and the means to see that every copy of it has been closed: the write end of a pipe,
/// whose read end hangs up then. Unlike counting /proc/self/fd this is not disturbed by tests that run beside.
package final class LeakProbe {
    private let reader: OwnedDescriptor
    private var writer: OwnedDescriptor?

    package init() throws {
        var ends: [Int32] = [-1, -1]
        _ = try systemCall { pipe2(&ends, O_CLOEXEC) }
        reader = OwnedDescriptor(adopting: ends[0])
        writer = OwnedDescriptor(adopting: ends[1])
    }

    package var number: Int32 { writer?.rawValue ?? -1 }

    /// Closes our own copy; true when no other is left.
    package func isClosedEverywhere() -> Bool {
        writer = nil
        guard waitReadable(reader.rawValue, until: Deadline(milliseconds: 5000)) else { return false }
        var byte: UInt8 = 0
        return read(reader.rawValue, &byte, 1) == 0
    }

    /// True while a copy besides ours is open.
    package func isHeldElsewhere() -> Bool {
        writer = nil
        return waitReadable(reader.rawValue, timeoutMilliseconds: 0) == 0
    }
}
