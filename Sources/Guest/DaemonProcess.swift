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
    /// The size of a DAX window in MiB, and how the guest uses it (nil: as its kernel sees fit); for daemons of ours.
    package var windowMebibytes: Int?
    package var dax: DAXMode?
    package var options: [String] = []
    /// The guest runs an agent for it; for daemons of ours.
    package var hasAgent = false
    /// A user's daemon of ours is told that the guest's root is this user, uid and gid; nil: as the daemon sees fit.
    package var guestRoot: (uid: UInt32, gid: UInt32)?
    /// The daemon writes to our standard error.
    package var verbose = false

    package init(tag: String, directory: String) {
        self.tag = tag
        self.directory = directory
    }

    /// Whether `options` say themselves who is who.
    private var decidesOnIDs: Bool {
        options.contains { option in
            ["--sandbox", "--uid-map", "--gid-map", "-o"].contains { option.hasPrefix($0) }
        }
    }

    /// The daemon's arguments; pure.
    package func arguments(kind: DaemonKind, socketPath: String, machine: Machine) throws(StartupError)
        -> [String]
    {
        func refuse(_ what: String) -> StartupError {
            StartupError(operation: "share", subject: directory, reason: "this virtiofsd has no \(what)")
        }
        if kind != .swift && requestQueues > 1 { throw refuse("more than one request queue") }
        if kind != .swift && hasAgent { throw refuse("change list for an agent") }
        if kind != .swift && windowMebibytes != nil { throw refuse("DAX window") }
        if kind == .c {
            if readOnly { throw refuse("read-only mode") }
            if machine == .uml { throw refuse("--tag, which UML needs") }
            let cacheOption = cache.map { ["-o", "cache=\($0 == "never" ? "none" : $0)"] } ?? []
            return ["--socket-path=\(socketPath)", "-o", "source=\(directory)"] + cacheOption + options
        }
        var result = ["--socket-path=\(socketPath)", "--shared-dir=\(directory)"]
        // The device with shared memory asks the daemon for the tag, as UML does.
        if machine == .uml || windowMebibytes != nil { result.append("--tag=\(tag)") }
        if let windowMebibytes { result.append("--dax-window=\(windowMebibytes)M") }
        if readOnly { result.append("--readonly") }
        // Only a mount asks for that, which is not QEMU.
        if readOnly && windowMebibytes != nil { result.append("--dax-read-only") }
        if let cache { result.append("--cache=\(cache)") }
        if kind == .swift { result.append("--num-request-queues=\(requestQueues)") }
        if kind == .swift, let guestRoot, !decidesOnIDs {
            result += ["--uid-map=:0:\(guestRoot.uid):1:", "--gid-map=:0:\(guestRoot.gid):1:"]
        }
        return result + options
    }
}

/// A running virtiofsd that listens on a socket of its own; it ends with this value.
package final class DaemonProcess {
    package let configuration: DaemonConfiguration
    private let listener: ListeningProcess
    private let directory: TemporaryDirectory

    /// Starts the daemon and waits until it listens.
    package init(_ configuration: DaemonConfiguration, for machine: Machine = .qemu) throws(StartupError) {
        guard Files.isDirectory(configuration.directory) else {
            throw StartupError(
                operation: "share", subject: configuration.directory, reason: "it is not a directory")
        }
        let program = try Self.program(configuration.program)
        let kind = try Self.kind(of: program)
        directory = try starting("make", "a temporary directory") { () throws(Errno) in
            try TemporaryDirectory(prefix: "virtiofs-")
        }
        let socketPath = directory.path + "/socket"
        listener = try ListeningProcess(
            program: program,
            arguments: try configuration.arguments(kind: kind, socketPath: socketPath, machine: machine),
            socketPath: socketPath, subject: configuration.directory, verbose: configuration.verbose)
        self.configuration = configuration
    }

    package var process: ChildProcess { listener.process }
    package var socketPath: String { listener.socketPath }

    /// The device for a guest.
    package var share: GuestShare {
        var share = GuestShare(
            tag: configuration.tag, socketPath: socketPath, readOnly: configuration.readOnly,
            requestQueues: configuration.requestQueues, windowMebibytes: configuration.windowMebibytes,
            dax: configuration.dax)
        share.hasAgent = configuration.hasAgent
        return share
    }

    /// What the daemon wrote, unless it wrote to our standard error.
    package var messageText: String { listener.messageText }

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
}
