// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Bench

/// `virtiofs bench`.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Times any vhost-user-fs daemon, or several side by side.",
        discussion: """
            Plays the guest: no VM is needed. Everything happens in a directory of its own, made and removed through the \
            daemon. docs/bench.md says what each test sends and how to read the table. Status 1: a daemon could not be \
            measured.

            virtiofs bench --compare
            virtiofs bench --socket-path /run/fs.sock --tests lookup,read-4k --queue-depth 1,4,16
            """)

    @Option(
        help: ArgumentHelp(
            "Time the daemon that listens here; it must let us change the share.", valueName: "PATH"))
    var socketPath: String?

    @Flag(help: "Start our daemon and each peer of this machine, and time them in turn.")
    var compare = false

    @Flag(name: .customLong("list"), help: "Name the tests and end.")
    var listsTests = false

    @Option(
        help: ArgumentHelp(
            "Time the version table at this path instead: what a check, a bump, a change and a record cost. It is made if there is none.",
            valueName: "PATH"))
    var versionTable: String?

    @Option(help: ArgumentHelp("Where --compare makes a directory for each daemon.", valueName: "DIR"))
    var sharedDir: String?

    @Option(
        name: .customLong("peer"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "One more daemon for --compare; {socket} and {dir} in its command are filled in.",
            valueName: "NAME=COMMAND"))
    var peers: [String] = []

    @Option(help: ArgumentHelp("Our virtiofsd (default: the one beside this program).", valueName: "PATH"))
    var daemon: String?

    @Option(help: ArgumentHelp("Which tests (default: all).", valueName: "NAME,…"))
    var tests: ListArgument?

    @Option(
        help: ArgumentHelp("How many requests are on their way at a time, 1 to 256.", valueName: "N,…"))
    var queueDepth = DepthsArgument(values: [1, 16])

    @Option(help: ArgumentHelp("How long each measurement takes.", valueName: "S"))
    var seconds = 2.0

    @Option(
        help: ArgumentHelp("End each measurement after so many operations, not by time.", valueName: "N"))
    var operations: Int?

    @Option(help: ArgumentHelp("How often each measurement is made; the median counts.", valueName: "N"))
    var rounds: Int?

    @Option(help: ArgumentHelp("Request queues to use; with --compare of ours only.", valueName: "N"))
    var queues = 1

    @Option(
        help: ArgumentHelp(
            "How long the guest looks for an interrupt before it sleeps, in µs, as KVM does for a guest that halts.",
            valueName: "N"))
    var haltPollUs: Int64 = 200

    @Option(
        help: ArgumentHelp("How long a daemon may take to answer anything, in seconds.", valueName: "S"))
    var timeout: Int32 = 30

    @Flag(help: "Print JSON instead of the table.")
    var json = false

    @Option(help: ArgumentHelp("Draw the ratios of --compare.", valueName: "FILE.svg"))
    var plot: String?

    @Option(
        help: ArgumentHelp(
            "Write the table for a document as well, without names of this machine.",
            valueName: "FILE.md"))
    var markdown: String?

    func validate() throws {
        if listsTests || versionTable != nil { return }
        guard compare != (socketPath != nil) else {
            throw ValidationError("give either --socket-path or --compare")
        }
        if !compare && (sharedDir != nil || !peers.isEmpty || plot != nil || daemon != nil) {
            throw ValidationError("--shared-dir, --peer, --daemon and --plot belong to --compare")
        }
        guard seconds > 0, seconds <= 3600 else {
            throw ValidationError("--seconds: more than 0, at most 3600")
        }
        guard (1...1_000_000_000).contains(operations ?? 1) else {
            throw ValidationError("--operations: 1 to 1000000000")
        }
        guard (1...1000).contains(rounds ?? 1) else { throw ValidationError("--rounds: 1 to 1000") }
        guard (1...64).contains(queues) else { throw ValidationError("--queues: 1 to 64") }
        guard (0...1_000_000).contains(haltPollUs) else {
            throw ValidationError("--halt-poll-us: 0 to 1000000")
        }
        guard (1...3600).contains(timeout) else { throw ValidationError("--timeout: 1 to 3600") }
        if let unknown = tests.flatMap({ Catalogue.select($0.words).unknown }) {
            throw ValidationError("there is no test \(unknown); --list names them")
        }
    }

    func run() throws {
        throw ExitCode(BenchRun(self).run())
    }
}

/// Words between commas.
struct ListArgument: ExpressibleByArgument {
    let words: [String]

    init?(argument: String) {
        words = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        if words.contains("") { return nil }
    }
}

/// Queue depths between commas.
struct DepthsArgument: ExpressibleByArgument {
    let values: [Int]

    init(values: [Int]) { self.values = values }

    init?(argument: String) {
        let numbers = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        var values: [Int] = []
        for number in numbers {
            guard let number, (1...256).contains(number) else { return nil }
            if !values.contains(number) { values.append(number) }
        }
        self.values = values
    }

    var defaultValueDescription: String { values.map(String.init).joined(separator: ",") }
}
