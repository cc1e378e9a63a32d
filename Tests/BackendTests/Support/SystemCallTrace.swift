// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import SystemCallLog
import Testing

/// What one thread of a daemon asks of the kernel, call by call.
final class SystemCallTrace {
    private let log: OpaquePointer
    private let daemon: DaemonProcess

    init(_ name: String, of daemon: DaemonProcess) throws {
        self.daemon = daemon
        guard let log = system_call_log_begin(try thread(named: name, of: daemon.identifier)) else {
            throw Errno(rawValue: errno)
        }
        self.log = log
    }

    deinit {
        daemon.end()
        system_call_log_end(log)
    }

    /// What the thread did for some requests, from one sleep to the next.
    struct Calls {
        /// On files, in their order.
        var files: [String] = []
        var sleeps = 0
        var kicksRead = 0
        var notifications = 0
    }

    /// The calls that the thread makes because of `body`, up to its next sleep.
    func calls(_ body: () throws -> Void) throws -> Calls {
        let start = try settle()
        try body()
        let end = try settle()
        var calls = Calls()
        for index in start..<end {
            switch name(index) {
            case "poll", "ppoll", "restart_syscall": calls.sleeps += 1
            // Files are read and written with preadv(2) and pwritev(2): these are on eventfds.
            case "read": calls.kicksRead += 1
            case "write": calls.notifications += 1
            // What runs for the first time may make memory (AllocationTests sees to it that it happens once), and a thread
            // asks once who it is for its first mutex.
            case "brk", "mmap", "munmap", "mprotect", "madvise", "gettid": break
            case let name: calls.files.append(name)
            }
        }
        return calls
    }

    private func name(_ index: Int32) -> String { String(cString: system_call_log_name(log, index)) }

    /// Waits until the thread sleeps. Returns how many calls it has begun.
    private func settle() throws -> Int32 {
        let sleeps = try eventually {
            let count = system_call_log_count(log)
            return count > 0 && ["poll", "ppoll", "restart_syscall"].contains(name(count - 1))
        }
        try #require(sleeps, "the thread sleeps")
        return system_call_log_count(log)
    }
}
