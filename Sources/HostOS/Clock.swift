// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// The monotonic clock (clock_gettime(2), without a system call on usual machines), in nanoseconds.
public func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// Reads the time zone, which the C library otherwise looks for, by path, when it first shows a time.
public func prepareClock() { tzset() }
