// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// Waits until one of two descriptors can be read or has ended, or the peer of the socket `third` has gone; what there
/// is to read from that one does not count. Otherwise as `waitReadable`.
package func waitReadable(
    _ first: Int32, _ second: Int32, orHangUpOf third: Int32, timeoutMilliseconds: Int32
) -> UInt8 {
    var set: InlineArray<3, pollfd> = [
        pollfd(fd: first, events: Int16(POLLIN), revents: 0),
        pollfd(fd: second, events: Int16(POLLIN), revents: 0),
        pollfd(fd: third, events: Int16(POLLRDHUP), revents: 0),
    ]
    var span = set.mutableSpan
    let count = unsafe span.withUnsafeMutableBufferPointer {
        unsafe poll($0.baseAddress, 3, timeoutMilliseconds)
    }
    var ready: UInt8 = 0
    if count > 0 {
        for i in 0..<3 where span[i].revents != 0 { ready |= 1 << UInt8(i) }
    }
    return ready
}
