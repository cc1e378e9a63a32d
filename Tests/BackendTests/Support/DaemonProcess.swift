// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Testing

/// The daemon that was built with these tests, in a process of its own; it is ended with the object.
final class DaemonProcess {
    let identifier: pid_t
    let socketPath: String
    private let scratch: TemporaryDirectory

    /// Starts it on `root`, and waits until it listens.
    ///
    /// - Parameter errors: its stderr; -1: ours.
    init(sharing root: String, _ options: [String] = [], errors: Int32 = -1) throws {
        let own = try Files.ownProgram()
        let program = own.prefix(upTo: try #require(own.lastIndex(of: "/"))) + "/virtiofsd"
        scratch = try TemporaryDirectory()
        socketPath = scratch.path + "/vhost.sock"
        let arguments = [
            String(program), "--shared-dir", root, "--socket-path", socketPath, "--sandbox", "none",
            "--log-level", "error",
        ]
        var words = (arguments + options).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if errors >= 0 { posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO) }
        let code = posix_spawn(&child, arguments[0], &actions, nil, &words, Glibc.environ)
        guard code == 0 else { throw Errno(rawValue: code) }
        identifier = child
        let path = socketPath
        try #require(eventually { Glibc.access(path, F_OK) == 0 })
    }

    deinit { end() }

    /// Its wait status, once it has ended.
    private var status: Int32?

    /// Ends it, if it has not ended by itself. Returns its wait status: 0 for exit status 0, below 128 for the signal that
    /// has killed it.
    @discardableResult func end() -> Int32 {
        if let status { return status }
        kill(identifier, SIGTERM)
        return wait()
    }

    func wait() -> Int32 {
        var result: Int32 = 0
        waitpid(identifier, &result, 0)
        status = result
        return result
    }

    /// The value of a line of /proc/PID/status, in KiB.
    func status(_ key: String) throws -> Int {
        for line in try Files.text("/proc/\(identifier)/status").split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == ":" || $0 == "\t" || $0 == " " })
            if words.first == Substring(key), words.count > 1, let value = Int(words[1]) { return value }
        }
        throw Errno.ENOENT
    }

    func descriptorCount() throws -> Int { try Files.names(in: "/proc/\(identifier)/fd").count }
}

/// The thread of a process that has this name.
func thread(named name: String, of process: pid_t) throws -> pid_t {
    for number in try Files.names(in: "/proc/\(process)/task") {
        let comm = try? Files.text("/proc/\(process)/task/\(number)/comm")
        if let thread = pid_t(number), comm == name + "\n" { return thread }
    }
    throw Errno.ESRCH
}
