// SPDX-License-Identifier: Apache-2.0
import Glibc
import Guest
import HostOS
import Testing

/// A directory of the host and how the guest gets it.
struct TestShare {
    var tag: String
    var directory: String
    var cache: String?
    var requestQueues = 1
    var readOnly = false
    /// More options for the daemon.
    var options: [String] = []
    /// The daemon, if not the one under test.
    var program: String?
    /// Mounted when the guest is up.
    var mounted = true
    /// The size of its DAX window, and how the guest uses it.
    var windowMebibytes: Int?
    var dax: DAXMode?
    /// Whose device shows it, and more options for one of another process.
    var device = ShareDevice.vhostUser
    var deviceOptions: [String] = []
    /// With an agent in the guest; `cache` must be shared.
    var agent = false

    init(
        _ tag: String, _ directory: String, cache: String? = nil, requestQueues: Int = 1,
        readOnly: Bool = false,
        options: [String] = []
    ) {
        self.tag = tag
        self.directory = directory
        self.cache = cache
        self.requestQueues = requestQueues
        self.readOnly = readOnly
        self.options = options
    }

    /// Starts the daemon under test: ours, or the program that the variable VIRTIOFSD names.
    func serve(_ machine: Machine = .qemu) throws -> DaemonProcess {
        var daemon = DaemonConfiguration(tag: tag, directory: directory)
        daemon.program = program ?? environmentVariable("VIRTIOFSD")
        daemon.readOnly = readOnly
        daemon.cache = cache
        daemon.requestQueues = requestQueues
        daemon.windowMebibytes = windowMebibytes
        daemon.dax = dax
        daemon.hasAgent = agent
        // Ours is tested behind its walls, the others without what a container may forbid them.
        daemon.options = (daemon.program == nil ? [] : ["--sandbox=none"]) + options
        return try DaemonProcess(daemon, for: machine)
    }

    /// Starts `virtiofs device` in front of that daemon.
    func serveDevice(_ daemon: DaemonProcess) throws -> DeviceProcess {
        let own = try Files.ownProgram()
        let folder = own[..<(own.lastIndex(of: "/") ?? own.endIndex)]
        return try DeviceProcess(program: "\(folder)/virtiofs", for: daemon.share, options: deviceOptions)
    }
}

/// A guest with shares and a Debian tree whose programs it runs.
final class TestGuest {
    private static let path = "/usr/sbin:/usr/bin:/sbin:/bin"

    let machine: GuestMachine
    private(set) var daemons: [DaemonProcess] = []
    private(set) var devices: [DeviceProcess] = []
    private let stack: Stack

    /// Boots with `shares`, each at /mnt/TAG within the Debian tree, which comes over a read-only share of its own.
    init(
        _ stack: Stack, _ shares: [TestShare], processors: Int = 2, kernelArguments: [String] = []
    ) throws {
        self.stack = stack
        var configuration = stack.configuration
        configuration.kernelArguments = kernelArguments
        configuration.processors = processors
        let tools = TestShare("tools", Lab.debianRoot, cache: "always", readOnly: true)
        for share in [tools] + shares { daemons.append(try share.serve(configuration.machine)) }
        configuration.shares = daemons.map(\.share)
        configuration.shares[0].readOnly = true
        for (index, share) in shares.enumerated() where share.device == .vfioUser {
            devices.append(try share.serveDevice(daemons[index + 1]))
            configuration.shares[index + 1] = devices[devices.count - 1].share
        }
        for (index, share) in shares.enumerated() {
            configuration.shares[index + 1].readOnly = false
            configuration.shares[index + 1].mounted = share.mounted
        }
        if shares.contains(where: \.agent) { configuration.agent = Lab.agent }
        machine = try GuestMachine(booting: configuration)
        var script = """
            set -e
            cd /mnt/tools
            mount -t proc proc proc
            mount -t sysfs sys sys
            mount -o bind /dev dev
            mount -o bind /dev/shm dev/shm
            mount -t tmpfs tmp tmp
            mount -t tmpfs mnt mnt

            """
        for share in shares where share.mounted {
            script += "mkdir mnt/\(share.tag) && mount -o bind /mnt/\(share.tag) mnt/\(share.tag)\n"
        }
        try #require(try machine.execute(GuestCommand(script)).errorText == "")
    }

    /// Runs sh code among the programs of the Debian tree.
    @discardableResult
    func debian(_ script: String, input: [UInt8] = [], seconds: Int32 = 300) throws -> GuestResult {
        var command = GuestCommand(arguments: [
            "/bin/busybox", "chroot", "/mnt/tools", "/usr/bin/env", "-i", "PATH=\(Self.path)",
            "LC_ALL=C.UTF-8", "HOME=/tmp",
            "sh", "-c", script,
        ])
        command.input = .bytes(input)
        command.timeoutMilliseconds = seconds * 1000
        return try machine.execute(command)
    }

    /// Runs a scenario in a directory of the guest; each failed check becomes an issue.
    func run(
        _ name: String, in directory: String, _ words: [String] = [], seconds: Int32 = 300,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        report(name, try output(of: name, in: directory, words, seconds: seconds), directory, sourceLocation)
    }

    func output(
        of name: String, in directory: String, _ words: [String] = [], seconds: Int32 = 300
    ) throws -> GuestResult {
        let arguments = ([directory] + words).map { GuestScripts.quoted($0) }.joined(separator: " ")
        return try debian("exec python3 - \(arguments)", input: try Scenario(name).code, seconds: seconds)
    }

    private func report(
        _ name: String, _ result: GuestResult, _ directory: String, _ location: SourceLocation
    ) {
        if environmentVariable("VERBOSE") != nil {
            let lines = result.text.split(separator: "\n").map { "\(name) in \(directory): \($0)\n" }
            _ = try? Files.writeAll(STDERR_FILENO, Array(lines.joined().utf8))
        }
        var failures = Scenario.failures(in: result.text)
        if result.exitStatus != 0 { failures.append(("exit status \(result.exitStatus)", result.errorText)) }
        for failure in failures {
            Issue.record(
                "\(name).\(failure.check) in \(directory) of \(stack.rawValue):\(failure.why)\n\(tails)",
                sourceLocation: location)
        }
    }

    /// The guest's kernel log and the daemons' messages, their last lines.
    var tails: String {
        func tail(_ title: String, _ text: String, _ count: Int) -> String {
            let lines = text.split(separator: "\n").suffix(count)
            return lines.isEmpty ? "" : "--- \(title)\n\(lines.joined(separator: "\n"))\n"
        }
        let log = String(decoding: machine.kernelLog, as: UTF8.self)
        return tail("the guest's log", log, 8)
            + daemons.map { tail("virtiofsd for \($0.configuration.tag)", $0.messageText, 4) }.joined()
            + devices.map { tail("virtiofs device for \($0.share.tag)", $0.messageText, 4) }.joined()
    }

    /// Both sides must see the same below `path` of a share: types, modes, owners, times, links, attributes, contents.
    /// With --writeback the time of a file is the guest's, which sends it before the data, whose writing changes it.
    func expectSameOnBothSides(
        _ share: TestShare, _ path: String = "", sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        // Linux has statx(2) over FUSE since 6.6.
        var words = stack == .lab ? ["births"] : []
        if share.options.contains("--writeback") { words.append("no-times") }
        let arguments = (["/mnt/\(share.tag)/\(path)"] + words).map { GuestScripts.quoted($0) }.joined(
            separator: " ")
        let guest = try debian("sync; exec python3 - \(arguments)", input: Scenario.manifest().code)
        let host = try Scenario.manifest().runOnHost("\(share.directory)/\(path)", words)
        expectSame(
            (guest.text + guest.errorText, "the guest"), (host, "the host"), "\(share.tag)/\(path)",
            sourceLocation)
    }

    func end() { machine.shutDown() }
}

/// Compares two manifests and shows the first lines that differ.
func expectSame(
    _ one: (text: String, name: String), _ other: (text: String, name: String), _ what: String,
    _ sourceLocation: SourceLocation = #_sourceLocation
) {
    if one.text == other.text && one.text.contains("\n") { return }
    let ones = Set(one.text.split(separator: "\n"))
    let others = Set(other.text.split(separator: "\n"))
    func start(_ lines: Set<Substring>, _ name: String) -> String {
        lines.sorted().prefix(6).map { "\n\(name): \($0)" }.joined()
    }
    let count = ones.symmetricDifference(others).count
    let mine = start(ones.subtracting(others), one.name)
    let theirs = start(others.subtracting(ones), other.name)
    Issue.record("\(what) differs in \(count) lines:\(mine)\(theirs)", sourceLocation: sourceLocation)
}
