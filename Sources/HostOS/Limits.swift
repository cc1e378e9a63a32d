// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// How many CPUs this process may run on, at least 1 (sched_getaffinity: what `taskset` and a cpuset leave).
package func usableCPUs() -> Int {
    var set = cpu_set_t()
    guard unsafe sched_getaffinity(0, MemoryLayout<cpu_set_t>.size, &set) == 0 else { return 1 }
    let words = unsafe withUnsafeBytes(of: &set) { unsafe $0.reduce(0) { $0 + $1.nonzeroBitCount } }
    return max(1, words)
}

/// RLIMIT_NOFILE: how many descriptors this process may have open.
package struct DescriptorLimit: Equatable, Sendable {
    package var soft: UInt64
    package var hard: UInt64

    package init(soft: UInt64, hard: UInt64) {
        self.soft = soft
        self.hard = hard
    }

    package static func current() throws(Errno) -> DescriptorLimit {
        var limit = rlimit()
        _ = try systemCall { unsafe getrlimit(__rlimit_resource(RLIMIT_NOFILE.rawValue), &limit) }
        return DescriptorLimit(soft: UInt64(limit.rlim_cur), hard: UInt64(limit.rlim_max))
    }

    package func apply() throws(Errno) {
        var limit = rlimit(rlim_cur: rlim_t(soft), rlim_max: rlim_t(hard))
        _ = try systemCall { unsafe setrlimit(__rlimit_resource(RLIMIT_NOFILE.rawValue), &limit) }
    }
}

/// The number in a one-line file of /proc/sys; nil if it cannot be read or is not a number that fits.
package func readKernelNumber(_ path: String) -> UInt64? {
    guard let text = try? Files.text(path) else { return nil }
    return UInt64(text.prefix { $0.isASCII && $0.isWholeNumber })
}
