// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Which command line a virtiofsd understands.
package enum DaemonKind: Equatable, Sendable {
    /// Ours: the options of the Rust one and `--num-request-queues`.
    case swift
    /// The Rust virtiofsd.
    case rust
    /// QEMU's C virtiofsd: `-o source=DIR`.
    case c

    /// Reads it from what `--help` prints.
    package init(help: String) {
        if help.contains("--num-request-queues") {
            self = .swift
        } else if help.contains("-o source=") {
            self = .c
        } else {
            self = .rust
        }
    }
}

/// A share to be served by a daemon of ours.
package struct DaemonConfiguration: Sendable {
    package var tag: String
    package var directory: String
    package var readOnly = false
    /// A virtiofsd; nil means ours beside this program or in ../libexec, else the first of PATH.
    package var program: String?
    /// auto, always, never or metadata; nil leaves it to the daemon.
    package var cache: String?
    package var requestQueues = 1
    package var options: [String] = []
    /// The daemon writes to our standard error.
    package var verbose = false

    package init(tag: String, directory: String) {
        self.tag = tag
        self.directory = directory
    }

    /// The daemon's arguments; pure.
    package func arguments(kind: DaemonKind, socketPath: String, machine: Machine) throws(StartupError)
        -> [String]
    {
        func refuse(_ what: String) -> StartupError {
            StartupError(operation: "share", subject: directory, reason: "this virtiofsd has no \(what)")
        }
        if kind != .swift && requestQueues > 1 { throw refuse("more than one request queue") }
        if kind == .c {
            if readOnly { throw refuse("read-only mode") }
            if machine == .uml { throw refuse("--tag, which UML needs") }
            let cacheOption = cache.map { ["-o", "cache=\($0 == "never" ? "none" : $0)"] } ?? []
            return ["--socket-path=\(socketPath)", "-o", "source=\(directory)"] + cacheOption + options
        }
        var result = ["--socket-path=\(socketPath)", "--shared-dir=\(directory)"]
        if machine == .uml { result.append("--tag=\(tag)") }
        if readOnly { result.append("--readonly") }
        if let cache { result.append("--cache=\(cache)") }
        if kind == .swift { result.append("--num-request-queues=\(requestQueues)") }
        return result + options
    }
}

/// A running virtiofsd that listens on a socket of its own; it ends with this value.
package final class DaemonProcess {
    private static let startTimeoutMilliseconds: Int32 = 10_000

    package let configuration: DaemonConfiguration
    package let process: ChildProcess
    package let socketPath: String
    private let directory: TemporaryDirectory
    private let messages: OwnedDescriptor

    /// Starts the daemon and waits until it listens.
    package init(_ configuration: DaemonConfiguration, for machine: Machine = .qemu) throws(StartupError) {
        guard Files.isDirectory(configuration.directory) else {
            throw StartupError(
                operation: "share", subject: configuration.directory, reason: "it is not a directory")
        }
        let program = try Self.program(configuration.program)
        let kind = try Self.kind(of: program)
        let directory = try starting("make", "a temporary directory") { () throws(Errno) in
            try TemporaryDirectory(prefix: "virtiofs-")
        }
        let socketPath = directory.path + "/socket"
        let arguments = try configuration.arguments(kind: kind, socketPath: socketPath, machine: machine)
        do throws(Errno) {
            let messages = try makeMemoryFile(name: "messages", byteCount: 0)
            let null = OwnedDescriptor(
                adopting: try systemCall { unsafe open("/dev/null", O_RDONLY | O_CLOEXEC) })
            let target = configuration.verbose ? STDERR_FILENO : messages.rawValue
            process = try ChildProcess(
                program: program, arguments: arguments, descriptors: [null.rawValue, target, target])
            self.messages = messages
        } catch {
            throw StartupError(operation: "start", subject: program, reason: describe(error))
        }
        self.configuration = configuration
        self.directory = directory
        self.socketPath = socketPath
        try awaitListening(program, kind)
    }

    deinit { process.stop(graceMilliseconds: 2000) }

    /// The device for a guest.
    package var share: GuestShare {
        GuestShare(
            tag: configuration.tag, socketPath: socketPath, readOnly: configuration.readOnly,
            requestQueues: configuration.requestQueues)
    }

    /// What the daemon wrote, unless it wrote to our standard error.
    package var messageText: String {
        String(decoding: (try? Files.readAllFromStart(messages.rawValue)) ?? [], as: UTF8.self)
    }

    /// The path of the virtiofsd to use.
    package static func program(_ wanted: String?) throws(StartupError) -> String {
        if let wanted {
            if let program = Files.program(wanted) { return program }
            throw StartupError(operation: "find", subject: wanted, reason: "there is no such program")
        }
        let own = (try? Files.ownProgram()) ?? ""
        let folder = String(own.prefix(upTo: own.lastIndex(of: "/") ?? own.startIndex))
        let places = ["\(folder)/virtiofsd", "\(folder)/../libexec/virtiofsd", "virtiofsd"]
        for place in places {
            if let program = Files.program(place) { return program }
        }
        throw StartupError(
            operation: "find", subject: "virtiofsd", reason: "it is neither beside this program nor in PATH",
            hint: "run make build, or name one with --daemon")
    }

    package static func kind(of program: String) throws(StartupError) -> DaemonKind {
        let result = try starting("start", program) { () throws(Errno) in
            try ChildProcess.run(program, ["--help"])
        }
        return DaemonKind(help: String(decoding: result.output + result.errors, as: UTF8.self))
    }

    /// The others take a connection for the VMM, so we look instead of connecting: ours has a socket only when it listens,
    /// theirs are looked up in the kernel's list of sockets.
    private func awaitListening(_ program: String, _ kind: DaemonKind) throws(StartupError) {
        let deadline = Deadline(milliseconds: Self.startTimeoutMilliseconds)
        while !(kind == .swift ? Files.isReadable(socketPath) : isListening) {
            let pause = Deadline(milliseconds: 5).earlier(deadline)
            guard !waitReadable(process.endDescriptor, until: pause), !deadline.hasPassed else {
                let lines = messageText.split(separator: "\n")
                let said = lines.last.map { ": \($0)" } ?? ""
                let what = process.end == nil ? "it does not listen on its socket" : "it ended at once"
                throw StartupError(
                    operation: "share", subject: configuration.directory, reason: "\(program): \(what)\(said)"
                )
            }
        }
    }

    /// /proc/net/unix: Num RefCount Protocol Flags Type St Inode Path; the flag 0x10000 is "accepts connections".
    private var isListening: Bool {
        guard let table = try? Files.text("/proc/net/unix") else { return false }
        return table.split(separator: "\n").contains { line in
            let fields = line.split(separator: " ", maxSplits: 7)
            return fields.count == 8 && fields[7] == socketPath && fields[3] == "00010000"
        }
    }
}
