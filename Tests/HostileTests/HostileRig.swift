// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Guest
import HostOS

/// A daemon in a process of its own that shares a directory, with another one beside that which no guest may reach.
final class HostileRig {
    let opponent: Opponent
    /// On the host: what is shared, and what is not.
    let share: String
    let outside: String
    private let directory: TemporaryDirectory
    private var socket: String { directory.path + "/socket" }
    private var process: ChildProcess?
    private let messages: OwnedDescriptor
    private let words: [String]
    /// Somebody has connected since it was started.
    private var hasServed = false

    struct NotStarted: Error { let text: String }

    /// - Parameters:
    ///   - options: beside those that every daemon gets.
    ///   - launcher: a program that becomes the daemon, which is its last arguments.
    init(_ opponent: Opponent, _ options: [String] = [], launcher: [String] = []) throws {
        self.opponent = opponent
        directory = try TemporaryDirectory(prefix: "hostile-")
        chmod(directory.path, 0o755)
        (share, outside) = (directory.path + "/share", directory.path + "/outside")
        messages = try makeMemoryFile(name: "messages", byteCount: 0)
        words =
            launcher + [opponent.program, "--shared-dir", share, "--socket-path", directory.path + "/socket"]
            + ["--sandbox", opponent.mode] + options
        try Files.makeDirectories(share)
        try Files.makeDirectories(outside)
        try write("../outside/secret", Self.secret)
        chmod(share, 0o777)
    }

    static let secret = "nobody's business"

    deinit { process?.stop(graceMilliseconds: 2000) }

    // MARK: The daemon

    /// Starts the daemon if it does not run, and waits until it listens.
    func start() throws {
        if let process, process.end == nil {
            guard hasServed, !opponent.outlivesFrontends else { return }
            // It is about to end, because its front-end has.
            process.stop(graceMilliseconds: 5000)
        }
        hasServed = false
        unlink(socket)
        let before = greetings
        process = try ChildProcess(
            program: words[0], arguments: Array(words.dropFirst()),
            descriptors: [messages.rawValue, messages.rawValue, messages.rawValue])
        let deadline = Deadline(milliseconds: 30_000)
        while greetings == before {
            if process?.end != nil || deadline.hasPassed { throw NotStarted(text: messageText) }
            usleep(5000)
        }
    }

    /// How many daemons have said that they listen: the socket's file is there a moment before.
    private var greetings: Int {
        messageText.split(separator: "\n").count { $0.contains("Waiting for vhost-user socket connection") }
    }

    /// What the daemon said.
    var messageText: String {
        // Opened again: the daemon writes at the position of ours.
        String(decoding: (try? Files.read("/proc/self/fd/\(messages.rawValue)")) ?? [], as: UTF8.self)
    }

    /// How the daemon ended, nil while it runs. Waits a moment for one that is about to.
    func end(milliseconds: Int32 = 200) -> ChildProcess.End? { process?.wait(milliseconds: milliseconds) }

    /// Whether the daemon is as well as it can be after a front-end has gone: it serves the next, or, if that is not its
    /// way, has ended in order.
    func isHealthy() -> Bool {
        if opponent.outlivesFrontends { return (try? FuseClient(connect()).initialize()) != nil }
        switch end(milliseconds: 5000) {
        case nil: return true
        // 101 is how a Rust program panics.
        case .exited(let status): return status == 0
        case .killed: return false
        }
    }

    /// The process that serves: the last of those that the one we started has made.
    func servingProcess(of frontend: DeviceFrontend) throws -> pid_t {
        var credentials = ucred()
        var size = socklen_t(MemoryLayout<ucred>.size)
        let number = frontend.session.connection.descriptor.rawValue
        guard getsockopt(number, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 else {
            throw Errno(rawValue: errno)
        }
        var current = credentials.pid
        while let child = try Self.child(of: current) { current = child }
        return current
    }

    private static func child(of parent: pid_t) throws -> pid_t? {
        let text = (try? Files.text("/proc/\(parent)/task/\(parent)/children")) ?? ""
        return text.split(separator: " ").first.flatMap { pid_t($0) }
    }

    /// How many descriptors the serving process has.
    func descriptorCount(of frontend: DeviceFrontend) throws -> Int {
        try Files.names(in: "/proc/\(servingProcess(of: frontend))/fd").count
    }

    // MARK: Guests

    func connect(queues: Int = 1) throws -> DeviceFrontend {
        try start()
        hasServed = true
        var options = FrontendOptions()
        options.requestQueues = queues
        return try DeviceFrontend(connectingTo: socket, options: options)
    }

    /// A guest that has sent INIT.
    func guest(flags: UInt64 = FuseClient.linuxFlags, queues: Int = 1) throws -> FuseClient {
        let client = FuseClient(try connect(queues: queues))
        client.timeout = 20_000
        _ = try client.initialize(flags: flags)
        return client
    }

    /// A connection on which nothing was said.
    func socketConnection() throws -> OwnedDescriptor {
        try start()
        hasServed = true
        let connection = try makeUnixSocket()
        try connectUnixSocket(connection.rawValue, to: socket)
        return connection
    }

    // MARK: The host's side

    func path(_ name: String) -> String { share + "/" + name }

    func write(_ name: String, _ text: String, mode: mode_t = 0o644) throws {
        let path = path(name)
        let file = OwnedDescriptor(
            adopting: try systemCall { open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode) })
        try Files.writeAll(file.rawValue, Array(text.utf8))
        _ = try systemCall { fchmod(file.rawValue, mode) }
    }

    func makeDirectory(_ name: String, mode: mode_t = 0o755, gid: gid_t = 0) throws {
        let path = path(name)
        _ = try systemCall { mkdir(path, mode) }
        _ = try systemCall { chown(path, 0, gid) }
        _ = try systemCall { chmod(path, mode) }
    }

    func status(_ name: String) throws -> stat {
        var result = stat()
        let path = path(name)
        _ = try systemCall { lstat(path, &result) }
        return result
    }

    /// All that an operation could have changed of what is below `path`: names, kinds, modes, owners, sizes, times.
    func snapshot(_ path: String) throws -> [String] {
        var status = stat()
        _ = try systemCall { lstat(path, &status) }
        var lines = [
            "\(path) \(status.st_ino) \(status.st_mode) \(status.st_uid):\(status.st_gid) \(status.st_size) "
                + "\(status.st_nlink) \(status.st_ctim.tv_sec).\(status.st_ctim.tv_nsec)"
        ]
        guard status.st_mode & S_IFMT == S_IFDIR else { return lines }
        for name in try Files.names(in: path).sorted() { lines += try snapshot(path + "/" + name) }
        return lines
    }

    /// The same of everything beside the shared directory, and of its parent.
    func surroundings() throws -> [String] {
        try Files.names(in: directory.path).filter { $0 != "share" && $0 != "socket" && $0 != "socket.pid" }
            .sorted()
            .flatMap { try snapshot(directory.path + "/" + $0) }
    }
}

extension EntryOut {
    var node: NodeID { NodeID(rawValue: nodeID) }
}

/// open(2) flags.
enum Open {
    static let read = UInt32(O_RDONLY)
    static let write = UInt32(O_WRONLY)
    static let readWrite = UInt32(O_RDWR)
    static let truncate = UInt32(O_TRUNC)
    static let direct: UInt32 = 0o40000
}
