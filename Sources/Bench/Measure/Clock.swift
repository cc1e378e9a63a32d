// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// nil when there is no such clock.
func nanoseconds(of clock: clockid_t) -> Int64? {
    var time = timespec()
    guard unsafe clock_gettime(clock, &time) == 0 else { return nil }
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// The processor time of a process and of all that it has started and that still runs.
package struct ProcessorClock: Sendable {
    /// The process's own first.
    private let clocks: [clockid_t]

    /// Finds the processes. They are not looked for again: a daemon forks at its start.
    /// - Parameter process: 0 for one that this process cannot see.
    package init(process: pid_t) {
        clocks = Self.family(of: process).compactMap { member in
            var clock = clockid_t()
            return unsafe clock_getcpuclockid(member, &clock) == 0 ? clock : nil
        }
    }

    /// What they have used so far, in nanoseconds; nil when that cannot be known.
    package func read() -> Int64? {
        guard let first = clocks.first, var sum = nanoseconds(of: first) else { return nil }
        // A child may have ended: what it used is lost.
        for clock in clocks.dropFirst() { sum += nanoseconds(of: clock) ?? 0 }
        return sum
    }

    /// The process, its children, theirs and so on.
    private static func family(of process: pid_t) -> [pid_t] {
        guard process > 0 else { return [] }
        var found = [process]
        var next = 0
        while next < found.count {
            let tasks = "/proc/\(found[next])/task"
            for task in (try? Files.names(in: tasks)) ?? [] {
                let children = (try? Files.text("\(tasks)/\(task)/children")) ?? ""
                found += children.split(whereSeparator: \.isWhitespace).compactMap { pid_t($0) }
            }
            next += 1
        }
        return found
    }
}

/// The process at the other end of a connected Unix socket, or 0 when this process cannot see it (another pid namespace).
package func peerProcess(of socket: Int32) -> pid_t {
    var credentials = ucred()
    var size = socklen_t(MemoryLayout<ucred>.size)
    guard unsafe getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 else { return 0 }
    return credentials.pid
}
