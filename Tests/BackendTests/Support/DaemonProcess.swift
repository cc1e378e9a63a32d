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
    init(sharing root: String, _ options: [String] = []) throws {
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
        let code = posix_spawn(&child, arguments[0], nil, nil, &words, Glibc.environ)
        guard code == 0 else { throw Errno(rawValue: code) }
        identifier = child
        let path = socketPath
        try #require(eventually { Glibc.access(path, F_OK) == 0 })
    }

    deinit { end() }

    private var ended = false
    func end() {
        if ended { return }
        ended = true
        kill(identifier, SIGTERM)
        var status: Int32 = 0
        waitpid(identifier, &status, 0)
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
