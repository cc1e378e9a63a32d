// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// A running guest that executes commands one after the other. Used by one thread; ended at the latest by its deinit.
package final class GuestMachine {
    private static let logByteCount = 256 * 1024

    /// What runs the guest's instructions, for people.
    package let summary: String
    private let configuration: GuestConfiguration
    private let wires: GuestWires
    private let process: ChildProcess
    /// What the machine itself said, mostly what is wrong with its arguments.
    private let complaints: OwnedDescriptor
    private let directory: TemporaryDirectory
    private var log: [UInt8] = []
    private var controlBytes: [UInt8] = []
    private var controlPending: ArraySlice<UInt8> = []

    /// Boots a guest, runs one command in it and ends it.
    package static func run(
        _ configuration: GuestConfiguration, _ command: GuestCommand
    ) throws(GuestError) -> GuestResult {
        let guest = try GuestMachine(booting: configuration)
        var result = try guest.execute(command)
        guest.shutDown()
        result.log = guest.log
        return result
    }

    /// Boots a guest and mounts its shares; the daemons must be listening.
    package convenience init(booting configuration: GuestConfiguration) throws(GuestError) {
        let directory: TemporaryDirectory
        let plan: MachineCommand
        do throws(StartupError) {
            directory = try starting("make", "a temporary directory") { () throws(Errno) in
                try TemporaryDirectory(prefix: "virtiofs-vm-")
            }
            plan = try MachinePlan.command(for: configuration, directory: directory.path)
        } catch { throw .startup(error) }
        try self.init(configuration, plan, directory)
        do throws(GuestError) { try boot() } catch {
            if case .timedOut = error { throw died("the guest did not boot in time") }
            throw error
        }
    }

    private init(
        _ configuration: GuestConfiguration, _ plan: MachineCommand, _ directory: TemporaryDirectory
    ) throws(GuestError) {
        self.configuration = configuration
        self.directory = directory
        summary = plan.summary
        do throws(Errno) {
            wires = try GuestWires()
            complaints = try makeMemoryFile(name: "complaints", byteCount: 0)
            let null = OwnedDescriptor(
                adopting: try systemCall { unsafe open("/dev/null", O_RDONLY | O_CLOEXEC) })
            process = try ChildProcess(
                program: plan.program, arguments: plan.arguments,
                descriptors: [null.rawValue, complaints.rawValue, complaints.rawValue] + wires.farEnds)
            wires.closeFarEnds()
        } catch {
            throw .startup(StartupError(operation: "start", subject: plan.program, reason: describe(error)))
        }
    }

    deinit { process.stop(graceMilliseconds: 0) }

    /// Everything the guest's kernel has said, at most the last 256 KiB.
    package var kernelLog: [UInt8] { log }

    // MARK: booting

    private func boot() throws(GuestError) {
        let deadline = Deadline(milliseconds: configuration.bootTimeoutMilliseconds)
        try awaitLine("hello", deadline)
        try sendScript(GuestScripts.session, deadline)
        try awaitLine("ready", deadline)
        var script = configuration.root == .initramfs ? "" : "mount -t tmpfs mnt /mnt || exit 1\n"
        for share in configuration.shares where share.mounted {
            let path = GuestScripts.quoted("/mnt/\(share.tag)")
            let options = share.mountOptions.map { "-o \($0) " } ?? ""
            script += "mkdir -p \(path) && mount -t virtiofs \(options)"
            script += "\(GuestScripts.quoted(share.tag)) \(path) || exit 1\n"
            if share.hasAgent { script += GuestScripts.agent(at: "/mnt/\(share.tag)") }
        }
        if script.isEmpty { return }
        var mounting = GuestCommand(script)
        mounting.timeoutMilliseconds = deadline.remainingMilliseconds
        let result = try execute(mounting)
        if result.exitStatus != 0 { throw died("the guest cannot mount its shares: \(result.errorText)") }
    }

    private func awaitLine(_ word: String, _ deadline: Deadline) throws(GuestError) {
        var idle = CommandExchange(.none, pieceByteCount: 0)
        while true {
            if let line = nextControlLine() {
                if line == word { return }
                throw died("the guest says: \(line)")
            }
            try step(&idle, deadline)
        }
    }

    /// Sends shell code over the control channel in the pieces that GuestScripts describes.
    private func sendScript(_ script: String, _ deadline: Deadline) throws(GuestError) {
        var rest = Array(script.utf8)[...]
        while !rest.isEmpty {
            let piece = rest.prefix(pieceByteCount)
            rest = rest.dropFirst(pieceByteCount)
            controlPending += Array("\(piece.count)\n".utf8) + piece
            try awaitLine("more 3", deadline)
        }
        controlPending += Array("0\n".utf8)
    }

    /// A terminal's buffer has 4096 bytes.
    private var pieceByteCount: Int { configuration.machine == .uml ? 2048 : 32768 }

    // MARK: commands

    /// Runs one command to its end. After an error the guest is out of step and can only be ended.
    package func execute(_ command: GuestCommand) throws(GuestError) -> GuestResult {
        var exchange = CommandExchange(.pipes(command), pieceByteCount: pieceByteCount)
        return try exchangeToEnd(&exchange, command, "pipes")
    }

    /// Runs one command on the guest's terminal; `input` and `output` are descriptors of ours, already in raw mode.
    package func executeOnTerminal(
        _ command: GuestCommand, rows: Int, columns: Int
    ) throws(GuestError) -> GuestResult {
        var exchange = CommandExchange(.terminal(command), pieceByteCount: pieceByteCount)
        return try exchangeToEnd(&exchange, command, "terminal \(rows) \(columns)")
    }

    private func exchangeToEnd(
        _ exchange: inout CommandExchange, _ command: GuestCommand, _ mode: String
    ) throws(GuestError) -> GuestResult {
        var deadline = Deadline(milliseconds: command.timeoutMilliseconds)
        controlPending += Array("\(mode)\n".utf8)
        try sendScript(command.script, deadline)
        var status: Int32?
        // After the exit status: what is in the channels already, and the end mark of the input.
        while status == nil || !exchange.isSettled(wires) {
            try step(&exchange, deadline)
            guard let line = nextControlLine() else { continue }
            if line == "more 4" {
                exchange.inputArrived()
                continue
            }
            guard line.hasPrefix("exit "), let number = Int32(line.dropFirst(5)) else {
                throw died("the guest answered: \(line)")
            }
            status = number
            exchange.commandEnded()
            deadline = deadline.earlier(Deadline(milliseconds: 10_000))
        }
        return GuestResult(
            output: exchange.output.captured, errors: exchange.errors.captured, exitStatus: status ?? -1,
            log: log)
    }

    /// Resets the guest's machine, as a reboot does, and mounts its shares again. Needs `GuestConfiguration.mayRestart`.
    package func restart() throws(GuestError) {
        controlPending += Array("restart\n".utf8)
        do throws(GuestError) { try boot() } catch {
            if case .timedOut = error { throw died("the guest did not come back in time") }
            throw error
        }
    }

    /// Asks the guest to power off, waits for the end of its machine and makes sure of it.
    package func shutDown() {
        controlPending += Array("end\n".utf8)
        let deadline = Deadline(milliseconds: 10_000)
        var idle = CommandExchange(.none, pieceByteCount: 0)
        while process.end == nil, (try? step(&idle, deadline)) != nil {}
        process.stop(graceMilliseconds: 1000)
    }

    // MARK: moving bytes

    /// Waits for anything to happen and moves what can be moved.
    private func step(_ exchange: inout CommandExchange, _ deadline: Deadline) throws(GuestError) {
        exchange.prepare()
        var entries = [
            pollfd(fd: configuration.stopDescriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: process.endDescriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wires.near(.log), events: Int16(POLLIN), revents: 0),
            pollfd(
                fd: wires.near(.control), events: Int16(POLLIN | (controlPending.isEmpty ? 0 : POLLOUT)),
                revents: 0),
        ]
        let fixed = entries.count
        entries += exchange.pollEntries(wires)
        let count = unsafe poll(&entries, nfds_t(entries.count), deadline.remainingMilliseconds)
        if count == 0 && deadline.hasPassed { throw .timedOut }
        if count <= 0 { return }
        if entries[0].revents != 0 { throw .stopped }
        if entries[2].revents != 0, let bytes = wires.receive(.log) { keepLog(bytes) }
        if entries[3].revents & Int16(POLLOUT) != 0 { _ = wires.send(.control, &controlPending) }
        if entries[3].revents != 0, let bytes = wires.receive(.control) { controlBytes += bytes }
        exchange.move(Array(entries[fixed...]), wires)
        if exchange.output.isBroken { throw .outputClosed }
        if entries[1].revents != 0 {
            while let bytes = wires.receive(.log), !bytes.isEmpty { keepLog(bytes) }
            throw died("the guest's machine ended: \(process.end.map { "\($0)" } ?? "")")
        }
    }

    private func keepLog(_ bytes: [UInt8]) {
        // The console of a serial line ends its lines with two bytes.
        let plain = bytes.filter { $0 != UInt8(ascii: "\r") }
        log += plain
        if log.count > Self.logByteCount { log.removeFirst(log.count - Self.logByteCount) }
        if configuration.verbose { _ = try? Files.writeAll(STDERR_FILENO, plain) }
    }

    private func nextControlLine() -> String? {
        guard let end = controlBytes.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        let line = String(decoding: controlBytes[..<end].filter { $0 != UInt8(ascii: "\r") }, as: UTF8.self)
        controlBytes.removeSubrange(...end)
        return line
    }

    /// The error with the end of the log and of what the machine itself said.
    private func died(_ reason: String) -> GuestError {
        let said = (try? Files.readAllFromStart(complaints.rawValue)) ?? []
        let lines = String(decoding: log + said, as: UTF8.self).split(separator: "\n")
        return .died(reason: reason, log: lines.suffix(30).joined(separator: "\n"))
    }
}
