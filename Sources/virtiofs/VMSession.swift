// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import Guest
import HostOS

/// One run of `virtiofs vm`: daemons, guest, command, end.
struct VMSession {
    private let options: VM

    init(_ options: VM) { self.options = options }

    /// The exit status for our caller.
    func run() -> Int32 {
        // Before any thread is made, so that every thread has them blocked and only the signalfd sees them.
        guard let signals = try? SignalDescriptor(collecting: [SIGINT, SIGTERM, SIGHUP, SIGQUIT]) else {
            return 125
        }
        ignoreBrokenPipes()
        do throws(GuestError) {
            return try run(stop: signals.descriptor.rawValue)
        } catch {
            switch error {
            case .stopped: return 128 + (signals.next() ?? SIGTERM)
            case .outputClosed: return 128 + SIGPIPE
            case .timedOut:
                say("\(error)")
                return 124
            case .startup, .died:
                say("\(error)")
                return 125
            }
        }
    }

    private func run(stop: Int32) throws(GuestError) -> Int32 {
        let deadline = Deadline(milliseconds: options.timeout.map { $0.multipliedClamping(by: 1000) } ?? -1)
        // Before the daemons, which use it, and gone after them.
        let table = try options.agent ? makeTableDirectory() : nil
        defer { withExtendedLifetime(table) {} }
        let agent: String?
        do throws(StartupError) { agent = try options.agent ? AgentProgram.find() : nil } catch {
            throw .startup(error)
        }
        let daemons = try startDaemons(table: table?.path)
        let devices = try startDevices(daemons)
        var configuration = configuration(devices.isEmpty ? daemons.map(\.share) : devices.map(\.share))
        configuration.stopDescriptor = stop
        configuration.agent = agent
        do throws(GuestError) {
            if options.timeout != nil {
                let limit = configuration.bootTimeoutMilliseconds
                configuration.bootTimeoutMilliseconds = min(limit, deadline.remainingMilliseconds)
            }
            let guest = try GuestMachine(booting: configuration)
            say("the guest runs by \(guest.summary)")
            let status = try execute(in: guest, deadline)
            guest.shutDown()
            return status
        } catch {
            if options.timeout != nil && deadline.hasPassed, case .died = error { throw .timedOut }
            for daemon in daemons {
                guard let end = daemon.process.end, end != .exited(0) else { continue }
                say("the daemon of \(daemon.configuration.tag) has ended (\(end)): \(daemon.messageText)")
            }
            for device in devices {
                guard let end = device.process.end, end != .exited(0) else { continue }
                say("the device of \(device.share.tag) has ended (\(end)): \(device.messageText)")
            }
            throw error
        }
    }

    private func execute(in guest: GuestMachine, _ deadline: Deadline) throws(GuestError) -> Int32 {
        let interactive = options.command.isEmpty && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1
        var command =
            options.command.isEmpty
            ? GuestCommand("exec sh") : GuestCommand(arguments: options.command)
        command.input = .descriptor(STDIN_FILENO)
        command.output = .descriptor(STDOUT_FILENO)
        command.errors = .descriptor(STDERR_FILENO)
        command.timeoutMilliseconds = deadline.remainingMilliseconds
        guard interactive else { return try guest.execute(command).exitStatus }
        let terminal = RawTerminal(STDIN_FILENO)
        defer { terminal.restore() }
        return try guest.executeOnTerminal(command, rows: terminal.rows, columns: terminal.columns).exitStatus
    }

    private func startDaemons(table: String?) throws(GuestError) -> [DaemonProcess] {
        var daemons: [DaemonProcess] = []
        let all = options.shares.map { ($0, false) } + options.readOnlyShares.map { ($0, true) }
        for (share, readOnly) in all {
            var daemon = DaemonConfiguration(tag: share.tag, directory: share.directory)
            daemon.readOnly = readOnly
            daemon.program = options.daemon
            daemon.cache = options.cache
            daemon.requestQueues = options.numRequestQueues
            if !readOnly {
                daemon.windowMebibytes = options.dax?.mebibytes
                daemon.dax = options.daxMode
            }
            daemon.options = options.daemonOption
            if let table, !readOnly { tellChanges(&daemon, table) }
            daemon.verbose = options.verbose
            // Programs of the guest, whose only user is root, then find their files to be their own.
            if geteuid() != 0 { daemon.guestRoot = (geteuid(), getegid()) }
            do throws(StartupError) {
                try ShareTag.check(share.tag)
                daemons.append(try DaemonProcess(daemon, for: options.machine))
            } catch { throw .startup(error) }
        }
        return daemons
    }

    /// A directory for the version table of this run's daemons, where memory is.
    private func makeTableDirectory() throws(GuestError) -> TemporaryDirectory {
        do throws(Errno) { return try TemporaryDirectory(prefix: "virtiofs-vm-", in: "/dev/shm") } catch {
            throw .startup(
                StartupError(
                    operation: "make a directory in", subject: "/dev/shm", reason: describe(error)))
        }
    }

    /// What the daemon needs for an agent, where the user has not said it.
    private func tellChanges(_ daemon: inout DaemonConfiguration, _ table: String) {
        func isGiven(_ option: String) -> Bool { daemon.options.contains { $0.hasPrefix(option) } }
        if daemon.cache == nil, !isGiven("--cache") { daemon.cache = "shared" }
        if !isGiven("--version-table") {
            // A host under the agent of an emulated guest is far ahead of it: 43,000 changes may wait.
            daemon.options += ["--version-table=\(table)/table", "--journal-size=16M"]
        }
        daemon.hasAgent = true
    }

    /// A device process for each daemon, where the guest is not to see the machine's own devices.
    private func startDevices(_ daemons: [DaemonProcess]) throws(GuestError) -> [DeviceProcess] {
        guard options.device == .vfioUser else { return [] }
        var devices: [DeviceProcess] = []
        do throws(StartupError) {
            let program = try starting("find", "this program") { () throws(Errno) in try Files.ownProgram() }
            for daemon in daemons {
                devices.append(
                    try DeviceProcess(
                        program: program, for: daemon.share, options: options.deviceOption,
                        verbose: options.verbose))
            }
        } catch { throw .startup(error) }
        return devices
    }

    private func configuration(_ shares: [GuestShare]) -> GuestConfiguration {
        var configuration = GuestConfiguration()
        configuration.machine = options.machine
        configuration.program = options.qemu
        configuration.kernel = options.kernel
        configuration.modules = options.modules
        configuration.memoryMebibytes = options.memory.mebibytes
        configuration.processors = options.cpus
        configuration.accelerator = options.accel
        configuration.shares = shares
        configuration.kernelArguments = options.append
        configuration.machineArguments = options.machineOption
        configuration.verbose = options.verbose
        if let tag = options.root {
            configuration.root = options.kernelMountsRoot ? .kernelMounted(tag: tag) : .share(tag: tag)
        }
        return configuration
    }

    private func say(_ text: String) {
        _ = try? Files.writeAll(STDERR_FILENO, Array("virtiofs vm: \(text)\n".utf8))
    }
}

extension Int32 {
    fileprivate func multipliedClamping(by factor: Int32) -> Int32 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }
}
