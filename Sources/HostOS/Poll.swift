// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Waits until one of up to four descriptors can be read or has ended, without the heap.
///
/// - Parameter timeoutMilliseconds: −1 waits for ever, 0 only looks.
/// - Returns: bit i is set when descriptor i is ready (readable, hung up or broken); 0 after the time-out. A signal counts
///   as a time-out. Negative descriptors are never ready.
package func waitReadable(
    _ first: Int32, _ second: Int32 = -1, _ third: Int32 = -1, _ fourth: Int32 = -1,
    timeoutMilliseconds: Int32
) -> UInt8 {
    let events = Int16(POLLIN)
    var set: InlineArray<4, pollfd> = [
        pollfd(fd: first, events: events, revents: 0), pollfd(fd: second, events: events, revents: 0),
        pollfd(fd: third, events: events, revents: 0), pollfd(fd: fourth, events: events, revents: 0),
    ]
    var span = set.mutableSpan
    let count = unsafe span.withUnsafeMutableBufferPointer {
        unsafe poll($0.baseAddress, 4, timeoutMilliseconds)
    }
    var ready: UInt8 = 0
    if count > 0 {
        for i in 0..<4 where span[i].revents != 0 { ready |= 1 << UInt8(i) }
    }
    return ready
}

/// The same for any number of descriptors, with the heap: for control threads.
///
/// - Returns: for each descriptor whether it is ready.
package func waitReadable(any descriptors: [Int32], timeoutMilliseconds: Int32) -> [Bool] {
    var set = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    let count = unsafe poll(&set, nfds_t(set.count), timeoutMilliseconds)
    return count > 0 ? set.map { $0.revents != 0 } : descriptors.map { _ in false }
}
