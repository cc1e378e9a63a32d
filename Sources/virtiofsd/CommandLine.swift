// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Backend
import Errors
import HostFS
import HostOS
import Sandbox

/// What a command line asks for.
package enum Request {
    case serve(DaemonOptions)
    /// Say this on stdout and exit 0.
    case answer(String)
    /// Nothing was asked: say how to on stderr and exit 2.
    case help(String)
}

/// Reads the command line without the program's name.
///
/// - Parameters:
///   - cpus: what `--num-request-queues` defaults to, up to 8.
///   - user: as whom the daemon runs.
/// - Throws: a StartupError that names the options at fault.
package func readCommandLine(
    _ words: [[UInt8]], cpus: Int, user: DaemonUser = .current
) throws(StartupError) -> Request {
    if words.isEmpty { return .help(Arguments.helpMessage()) }
    let arguments: Arguments
    do {
        arguments = try Arguments.parse(spelledOut(words.map(ArgumentText.encode)))
    } catch {
        let full = Arguments.fullMessage(for: error)
        if Arguments.exitCode(for: error) == .success { return .answer(full) }
        throw StartupError(
            operation: "read", subject: "the command line", reason: firstLine(Arguments.message(for: error)),
            hint: "see virtiofsd --help")
    }
    if arguments.process.version { return .answer(versionLine) }
    if arguments.process.printCapabilities { return .answer(capabilities) }
    return .serve(try DaemonOptions(arguments, cpus: cpus, user: user))
}

private func firstLine(_ text: String) -> String {
    escaped(ArgumentText.decode(text.prefix { !$0.isNewline }))
}

extension DaemonOptions {
    init(_ arguments: Arguments, cpus: Int, user: DaemonUser) throws(StartupError) {
        try Unbuilt.refuse(arguments.unbuilt)
        let settings = try Settings(arguments)

        sandbox = try Sandbox(arguments.process, settings, user)
        share = try ShareOptions(arguments, settings)
        socket = try Socket(arguments.place, settings)
        tag = nil
        if let value = arguments.place.tag { tag = try parseTag(value) }
        numRequestQueues = min(max(cpus, 1), 8)
        if let value = arguments.process.numRequestQueues {
            numRequestQueues = try parseNumber(value, option: "--num-request-queues", in: 1...64)
        }
        share.hotDescriptors = ShareOptions.hotDescriptors(beside: numRequestQueues)
        waitingThreads = DeviceConfiguration.defaultWaitingThreads
        if let value = arguments.process.threadPoolSize {
            let number: Int32 = try parseNumber(value, option: "--thread-pool-size", in: 0...Int32.max)
            if number > 0 { waitingThreads = min(Int(number), 32) }
        }
        polling = PollingOptions(cpus: cpus)
        if let value = arguments.process.pollUs { polling = try parsePolling(value, cpus: cpus) }
        descriptorBudget = .automatic
        if let value = arguments.process.rlimitNofile {
            let number: UInt64 = try parseNumber(value, option: "--rlimit-nofile", in: 0...UInt64(Int64.max))
            descriptorBudget = number == 0 ? .unchanged : .exactly(number)
        }
        capabilities = CapabilityChanges()
        seccomp = .kill
        if let value = arguments.process.seccomp {
            seccomp = try parse(value, as: "action", spelled: spelling("--seccomp", value))
        }
        once = arguments.process.once
        syslog = arguments.process.syslog
        logLevel = .info
        if let (value, spelled) = settings[.logLevel] {
            let word: LogLevelWord = try parse(value, as: "log level", spelled: spelled)
            logLevel = word.level
        }
        requestLimits = RequestLimits()
        warnings = []
        try setLimits(arguments.limits)
        try setWindow(arguments.window)
        try setTable(arguments.table)
        if sandbox == .none {
            warnings.append("--sandbox none: whoever takes the daemon over can reach all that its user can")
        }
        if let (value, spelled) = settings[.modcaps] { try setCapabilities(value, spelled: spelled) }
        if arguments.place.socket != nil { warnings.append("--socket is deprecated: use --socket-path") }
        if arguments.process.debug { warnings.append("-d is deprecated: use --log-level debug") }
    }
}

extension DaemonOptions {
    /// File handles go with their capability, unless they are demanded.
    private mutating func setCapabilities(_ list: String, spelled: String) throws(StartupError) {
        capabilities = try CapabilityChanges(list, spelled: spelled)
        guard capabilities.removed.contains(.fileHandles), share.inodeFileHandles != .never else { return }
        if share.inodeFileHandles == .mandatory {
            throw contradiction("--inode-file-handles mandatory", spelled)
        }
        share.inodeFileHandles = .never
        warnings.append(
            "without dac_read_search no file handles: each inode that a guest knows takes a descriptor")
    }
}

/// The words of `--log-level`.
private enum LogLevelWord: String, CaseIterable {
    case error, warn, info, debug, trace, off

    var level: LogLevel {
        switch self {
        case .error: .error
        case .warn: .warning
        case .info: .info
        case .debug: .debug
        case .trace: .trace
        case .off: .off
        }
    }
}

extension DaemonOptions.Socket {
    fileprivate init(_ place: PlaceArguments, _ settings: Settings) throws(StartupError) {
        if let value = place.fd {
            let spelled = spelling("--fd", value)
            if let other = settings[.socket] { throw contradiction(spelled, other.spelling) }
            if let group = place.socketGroup {
                throw contradiction(spelled, spelling("--socket-group", group))
            }
            self = .listening(try parseNumber(value, option: "--fd", in: 0...Int32.max))
        } else if let (value, spelled) = settings[.socket] {
            self = .path(try parsePath(value, spelled: spelled), group: place.socketGroup)
        } else {
            throw StartupError(
                operation: "listen", subject: "for a VMM", reason: "neither --socket-path nor --fd is given",
                hint: "give a path: --socket-path PATH")
        }
    }
}
