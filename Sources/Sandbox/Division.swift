// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Which of the two processes we are.
package enum Side {
    /// The one that its launcher knows: it keeps what lies outside of the walls, which is the socket's name.
    case outside(Outside)
    /// The one that serves.
    case inside(Inside)
}

/// Divides this process, which must have one thread, into the one outside and the one inside.
///
/// With `walls` what is inside is process 1 of its own namespaces. A process between the two makes them and is gone when this
/// returns: who makes a process namespace does not enter it himself.
///
/// - Parameters:
///   - walls: nil: a plain child.
///   - user: the user namespace, for whoever is not root.
package func divide(behind walls: Walls?, in user: UserNamespace?) throws(StartupError) -> Side {
    if let tasks = try? Files.names(in: "/proc/self/task"), tasks.count != 1 {
        throw StartupError(
            operation: "raise", subject: "the sandbox", reason: "this process has \(tasks.count) threads",
            hint: "start it without what adds threads, or give --sandbox none")
    }
    // A launcher may have had it ignored, and then nobody's end could be waited for.
    _ = signal(SIGCHLD, SIG_DFL)
    let pair = try doing("make", "a socket pair") { () throws(Errno) in try SocketPair() }
    return try pair.split { (near, far) throws(StartupError) -> Side in
        // Both sides have these blocked from now on: one that comes early is still there when it can be handled.
        let signals = try doing("watch for", "signals") { () throws(Errno) in
            try SignalDescriptor(collecting: [SIGTERM, SIGINT, SIGHUP, SIGCHLD])
        }
        _ = try doing("adopt", "the process that serves") { () throws(Errno) in
            try systemCall { vfs_prctl(PR_SET_CHILD_SUBREAPER, walls == nil ? 0 : 1, 0, 0, 0) }
        }
        let child = try doing("start", "the process that serves") { () throws(Errno) in
            try systemCall(vfs_fork)
        }
        if child == 0 {
            _ = consume near
            _ = consume signals
            return .inside(try Inside(Channel(far), behind: walls, in: user))
        }
        _ = consume far
        return .outside(try Outside(child, Channel(near), signals, isBetween: walls != nil, user))
    }
}

/// Names what failed: an errno alone tells a person nothing.
package func doing<Result: ~Copyable>(
    _ operation: String, _ subject: String, _ step: () throws(Errno) -> Result
) throws(StartupError) -> Result {
    do throws(Errno) {
        return try step()
    } catch {
        throw StartupError(operation: operation, subject: subject, reason: describe(error))
    }
}
