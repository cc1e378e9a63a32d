// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

// What the processes beside the daemon have in common.

/// Such a process ends with the daemon, and not before: whatever ends that one may be sent to all processes of a terminal or of a service.
package func ignoreEndSignals() {
    for number in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2] {
        _ = signal(number, SIG_IGN)
    }
    // What else ends it does so at once and without a program being started.
    forbidCrashHandlers()
    _ = signal(SIGQUIT, SIG_IGN)
}

/// Closes what belongs to the launcher, and makes standard input and output /dev/null: who waits for the end of a pipe must not wait for
/// this process. No file system of the launcher's stays in use.
///
/// - Parameter kept: the numbers that stay open.
package func closeDescriptors(but kept: [Int32]) throws(Errno) {
    let null = OwnedDescriptor(adopting: try systemCall { unsafe open("/dev/null", O_RDWR | O_CLOEXEC) })
    let number = null.rawValue
    for standard: Int32 in 0...2 where !kept.contains(standard) {
        _ = try systemCall { dup2(number, standard) }
    }
    var next: UInt32 = 3
    for keep in Set(kept + [number]).sorted() where keep > 2 {
        if UInt32(keep) > next { try closeRange(next, UInt32(keep) - 1) }
        next = UInt32(keep) + 1
    }
    try closeRange(next, UInt32.max)
    _ = try systemCall { unsafe chdir("/") }
}

private func closeRange(_ first: UInt32, _ last: UInt32) throws(Errno) {
    _ = try systemCall { close_range(first, last, 0) }
}

/// The filters of a process beside the daemon, which has one thread and takes one after the other.
package struct HelperFilters {
    package enum Role: Sendable {
        /// Watches the host for the version table once it is its turn.
        case waitingWatch
        case watch
        /// The same by inotify.
        case treeWatch

        func rules(process: pid_t) -> [SystemCallRule] {
            switch self {
            case .waitingWatch: SystemCallRule.ofWaitingWatch(process: process)
            case .watch: SystemCallRule.ofWatch(process: process)
            case .treeWatch: SystemCallRule.ofTreeWatch(process: process)
            }
        }
    }

    private var programs: [Role: [UInt8]] = [:]

    /// - Parameter roles: those that will be loaded: what a later one allows, each before it has to.
    package init(_ action: FilterAction, _ roles: [Role]) throws(Errno) {
        if action == .none { return }
        for role in roles { programs[role] = try compile(role.rules(process: getpid()), otherwise: action) }
    }

    /// The calling process makes no other system calls from now on. It must have no_new_privs.
    package func load(_ role: Role) throws(Errno) {
        guard let program = programs[role] else { return }
        _ = try systemCall {
            unsafe program.withUnsafeBytes { unsafe vfs_filter_load($0.baseAddress, $0.count) }
        }
    }
}
