// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// The whole agent: a process that does the work, and this one, which makes another when it dies. What a new one does first
/// is to have the guest look at everything again.
package enum Agent {
    /// How a worker ended that could not begin.
    private static let couldNotBegin: Int32 = 3
    private static let shortestPause: Int32 = 100
    private static let longestPause: Int32 = 10_000

    /// Follows the mount at `path` until SIGTERM or SIGINT; call it while this process has one thread.
    ///
    /// - Throws: when it cannot work here at all.
    package static func run(at path: String) throws(StartupError) {
        _ = try AgentMount(path)
        let signals: SignalDescriptor
        do throws(Errno) {
            signals = try SignalDescriptor(collecting: [SIGTERM, SIGINT, SIGCHLD])
        } catch {
            throw StartupError(operation: "receive", subject: "signals", reason: describe(error))
        }
        ignoreBrokenPipes()
        var pause: Int32 = 0
        var isQuiet = false
        while true {
            let began = monotonicNanoseconds()
            let worker = vfs_fork()
            if worker == 0 { _exit(work(at: path, isQuiet: isQuiet)) }
            let end = worker < 0 ? nil : wait(for: worker, signals)
            if let end, end.wasTold { return }
            // Said once, until it is another story.
            isQuiet = end?.status == couldNotBegin
            let lived = (monotonicNanoseconds() - began) / 1_000_000
            pause = lived > Int64(longestPause) ? 0 : min(max(shortestPause, pause * 2), longestPause)
            if !isQuiet { say("the process that follows \(path) has ended: another one follows", at: path) }
            if sleep(pause, signals) { return }
        }
    }

    private static func say(_ text: String, at path: String) {
        // Where our words go may be a file on the mount, and writing is nothing that the agent's groups may.
        _ = vfs_set_file_group(getegid())
        _ = try? Files.writeAll(STDERR_FILENO, Array("virtiofs-agent: \(path): \(text)\n".utf8))
    }

    // MARK: the worker

    private static func work(at path: String, isQuiet: Bool) -> Int32 {
        // Should our parent be killed, we end as if we had been told to.
        guard vfs_prctl(PR_SET_PDEATHSIG, UInt(SIGTERM), 0, 0, 0) == 0, getppid() != 1 else {
            return couldNotBegin
        }
        do {
            let signals = try SignalDescriptor(collecting: [SIGTERM, SIGINT, SIGCHLD])
            let follower = try ChangeFollower(try AgentMount(path)) { say($0, at: path) }
            try follower.follow { signals.next() != nil }
            return 0
        } catch {
            if !isQuiet { say("\(sentence(error)); this is tried again", at: path) }
            return couldNotBegin
        }
    }

    private static func sentence(_ error: any Error) -> String {
        guard let error = error as? Errno else { return "\(error)" }
        return error == .EBUSY
            ? "another agent follows this mount" : "cannot read the change list: \(describe(error))"
    }

    // MARK: its parent

    /// Waits until the worker has ended; tells it to when we are told to.
    private static func wait(
        for worker: pid_t, _ signals: borrowing SignalDescriptor
    ) -> (status: Int32, wasTold: Bool) {
        var wasTold = false
        var status: Int32 = 0
        while true {
            while let signal = signals.next() {
                if signal == SIGCHLD { continue }
                wasTold = true
                _ = kill(worker, SIGTERM)
            }
            let ended = unsafe waitpid(worker, &status, WNOHANG)
            if ended == worker || ended < 0 && errno == ECHILD {
                let code = vfs_wait_exited(status) != 0 ? vfs_wait_exit_status(status) : -1
                return (code, wasTold)
            }
            _ = waitReadable(any: [signals.descriptor.rawValue], timeoutMilliseconds: -1)
        }
    }

    /// Returns whether we were told to end.
    private static func sleep(_ milliseconds: Int32, _ signals: borrowing SignalDescriptor) -> Bool {
        let deadline = Deadline(milliseconds: milliseconds)
        while waitReadable(signals.descriptor.rawValue, until: deadline) {
            while let signal = signals.next() {
                if signal != SIGCHLD { return true }
            }
        }
        return false
    }
}
