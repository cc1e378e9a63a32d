// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Glibc
import HostOS
import Sandbox

/// The watcher: a process beside the daemon that tells in the version table what the host's own programs change.
///
/// It takes rights that the daemon gives up, and sees what lies outside of the daemon's walls. It ends with this value, in whatever
/// process that is.
package final class HostWatch: Sendable {
    private let end: OwnedDescriptor

    private init(end: consuming OwnedDescriptor) { self.end = end }

    private static let startMilliseconds: Int32 = 10_000

    /// Starts the process. Call it with one thread, and where /proc and what is mounted are the host's.
    ///
    /// It watches as soon as no other daemon's does for the same directory.
    ///
    /// - Parameters:
    ///   - root: the shared directory or file, O_PATH; it stays the caller's.
    ///   - openTable: opens the table, for that process alone, as locks are an opening's.
    ///   - filter: what becomes of a system call that the process has no use for.
    /// - Throws: what this host or this user lacks. Nothing is watched then.
    package static func start(
        root: Int32, filter: FilterAction = .kill, openTable: () throws(StartupError) -> VersionTable
    ) throws(StartupError) -> HostWatch {
        let pair: (ours: Int32, theirs: Int32)
        let child: pid_t
        do throws(Errno) {
            pair = try SocketPair(packets: true).split { ($0.release(), $1.release()) }
            child = try systemCall(vfs_fork)
        } catch {
            throw failure(describe(error))
        }
        if child == 0 {
            // A child's child: nobody has to wait for it at its end.
            if vfs_fork() != 0 { _exit(0) }
            WatchProcess.become(socket: pair.theirs, root: root, filter, openTable)
        }
        _ = close(pair.theirs)
        let end = OwnedDescriptor(adopting: pair.ours)
        while waitpid(child, nil, 0) < 0 && errno == EINTR {}
        guard waitReadable(end.rawValue, until: Deadline(milliseconds: startMilliseconds)) else {
            throw failure("the process for it does not answer")
        }
        var answer = [UInt8](repeating: 0, count: 4096)
        let count = unsafe read(end.rawValue, &answer, answer.count)
        guard count > 0 else { throw failure("the process for it has ended") }
        let text = String(decoding: answer[..<count], as: UTF8.self)
        guard text == WatchProcess.isReady else { throw failure(text) }
        return HostWatch(end: end)
    }

    private static func failure(_ reason: String) -> StartupError {
        StartupError(
            operation: "watch", subject: "the shared directory", reason: reason,
            hint: "it takes Linux 5.9, CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH, not in a user namespace, "
                + "and file systems with file handles")
    }
}
