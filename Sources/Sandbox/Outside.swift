// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// The process that its launcher knows: it passes signals on to the one that serves, and ends as that one ends.
package final class Outside {
    /// The process that serves, as this one sees it.
    package let server: pid_t
    private let channel: Channel
    private let signals: SignalDescriptor

    /// - Parameter isBetween: `child` makes the server, and goes.
    init(
        _ child: pid_t, _ channel: consuming Channel, _ signals: consuming SignalDescriptor, isBetween: Bool,
        _ user: UserNamespace?
    ) throws(StartupError) {
        self.signals = signals
        guard isBetween else {
            self.channel = channel
            server = child
            return
        }
        if let user {
            guard channel.receive() == .madeUserNamespace else { throw Self.endLike(child) }
            try user.writeOtherMaps(of: child)
            channel.send(.mapped)
        }
        guard let server = channel.receiveServer() else { throw Self.endLike(child) }
        // From its end on we are the server's parent.
        _ = Self.wait(for: child)
        channel.send(.adopted)
        self.server = server
        self.channel = channel
    }

    /// Waits until the server can answer. If it ends before that so do we: it has said why.
    package func awaitReady() throws(StartupError) {
        guard channel.receive() == .ready else { throw Self.endLike(server) }
    }

    /// Tells the server that front-ends can connect.
    package func confirm() { channel.send(.published) }

    /// Passes SIGTERM, SIGINT and SIGHUP on until the server has ended.
    package func awaitEnd() -> ServerEnd {
        while true {
            _ = waitReadable(signals.descriptor.rawValue, timeoutMilliseconds: -1)
            while let number = signals.next() {
                if number != SIGCHLD { _ = kill(server, number) }
            }
            var status: Int32 = 0
            if unsafe waitpid(server, &status, WNOHANG) == server { return ServerEnd(status) }
        }
    }

    /// For a child that has ended, or is about to, before it could serve: ends this process too if that one has said why.
    private static func endLike(_ child: pid_t) -> StartupError {
        let end = wait(for: child)
        if case .exited(let status) = end, status != 0 { exit(status) }
        let reason =
            if case .killed(let signal) = end { "it died of \(signalName(signal))" } else { "it ended" }
        return StartupError(operation: "start", subject: "the process that serves", reason: reason)
    }

    private static func wait(for child: pid_t) -> ServerEnd {
        var status: Int32 = 0
        while unsafe waitpid(child, &status, 0) < 0 && errno == EINTR {}
        return ServerEnd(status)
    }
}

/// How the process that serves has ended.
package enum ServerEnd: Equatable, Sendable {
    case exited(Int32)
    case killed(Int32)

    init(_ status: Int32) {
        self =
            vfs_wait_exited(status) != 0
            ? .exited(vfs_wait_exit_status(status)) : .killed(vfs_wait_signal(status))
    }

    /// The status that a shell would give.
    package var status: Int32 {
        switch self {
        case .exited(let status): status
        case .killed(let signal): 128 + signal
        }
    }
}

/// "signal 9 (Killed)".
package func signalName(_ number: Int32) -> String {
    // SAFETY: a constant string of the C library, or one that is good until the next call.
    let text = unsafe strsignal(number).map { unsafe String(cString: $0) } ?? "unknown"
    return "signal \(number) (\(text))"
}
