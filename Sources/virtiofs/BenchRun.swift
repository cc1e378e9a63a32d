// SPDX-License-Identifier: Apache-2.0
import Bench
import Coherence
import Errors
import Glibc
import Guest
import HostOS

/// One run of `virtiofs bench`: sessions, plan, table, end.
struct BenchRun {
    private let options: BenchCommand

    init(_ options: BenchCommand) { self.options = options }

    /// The exit status for our caller.
    func run() -> Int32 {
        if options.listsTests { return list() }
        if let path = options.versionTable { return timeTable(path) }
        // Before any thread is made, so that every thread has them blocked and only the signalfd sees them.
        guard let signals = try? SignalDescriptor(collecting: [SIGINT, SIGTERM, SIGHUP, SIGQUIT]) else {
            say("cannot collect signals")
            return 1
        }
        ignoreBrokenPipes()
        var session = SessionOptions()
        session.stopDescriptor = signals.descriptor.rawValue
        session.lanes = options.queueDepth.values.max() ?? 1
        session.patience = options.timeout * 1000
        session.haltPoll = options.haltPollUs * 1000
        do throws(BenchFailure) {
            let report = try options.compare ? compare(session) : measure(session)
            return finish(report)
        } catch {
            clearProgress()
            if error == .stopped { return 128 + (signals.next() ?? SIGTERM) }
            say("\(error)")
            return 1
        }
    }

    private func list() -> Int32 {
        let width = Catalogue.all.map(\.name.count).max() ?? 0
        for script in Catalogue.all {
            let blanks = String(repeating: " ", count: width - script.name.count)
            print("\(script.name)\(blanks)  \(script.summary)")
        }
        return 0
    }

    private func timeTable(_ path: String) -> Int32 {
        do {
            let cost = try TableCost.measure(try VersionTable(path: path))
            for (name, value) in [
                ("check", cost.check), ("bump", cost.bump), ("change", cost.change), ("record", cost.record),
            ] { print(name, (value * 10).rounded() / 10, "ns") }
            return 0
        } catch let error as Errno {
            say("cannot write the version table \(path): \(describe(error))")
        } catch { say("\(error)") }
        return 1
    }

    // MARK: Measuring

    private func plan(rounds: Int) -> Plan {
        let scripts = options.tests.map { Catalogue.select($0.words).scripts } ?? Catalogue.all
        return Plan(
            scripts: scripts, depths: options.queueDepth.values, rounds: options.rounds ?? rounds,
            seconds: options.seconds, operations: options.operations)
    }

    /// A daemon that somebody else has started.
    private func measure(_ sessionOptions: SessionOptions) throws(BenchFailure) -> Report {
        var sessionOptions = sessionOptions
        sessionOptions.requestQueues = options.queues
        let session = try BenchSession(socketPath: options.socketPath ?? "", sessionOptions)
        let plan = plan(rounds: 1)
        var report = Report(
            machine: MachineFacts(directory: nil), seconds: plan.seconds, rounds: plan.rounds,
            haltPoll: sessionOptions.haltPoll,
            daemons: [
                DaemonFacts(name: "daemon", version: nil, command: nil, requestQueues: options.queues)
            ])
        do throws(PlanFailure) {
            report.tests = try plan.run([("daemon", session)], progress: showProgress)
        } catch {
            clearProgress()
            let failure = error.failure
            do throws(BenchFailure) { try session.removeTree() } catch let left {
                throw .failed("\(failure); \(left)")
            }
            throw failure
        }
        clearProgress()
        try session.removeTree()
        return report
    }

    private func compare(_ sessionOptions: SessionOptions) throws(BenchFailure) -> Report {
        let ours: PeerCommand
        var peers: [PeerCommand] = []
        do throws(StartupError) {
            ours = .ours(program: try DaemonProcess.program(options.daemon), queues: options.queues)
            for text in options.peers { peers.append(try PeerCommand(parsing: text)) }
        } catch {
            throw .failed("\(error)")
        }
        // A peer that was named replaces the one of that name.
        let found = PeerCommand.found().filter { one in !peers.contains { $0.name == one.name } }
        let comparison = try Comparison(
            ours: ours, peers: peers, found: found, in: options.sharedDir, queues: options.queues,
            sessionOptions, note: say)
        let report = try comparison.run(plan(rounds: 3), progress: showProgress)
        clearProgress()
        return report
    }

    private func finish(_ report: Report) -> Int32 {
        for case (let path?, let text) in [
            (options.plot, report.plotText), (options.markdown, report.markdownText),
        ] {
            do throws(Errno) { try Files.replace(path, with: Array(text.utf8)) } catch {
                say("cannot write \(path): \(describe(error))")
                return 1
            }
        }
        let text = options.json ? report.jsonText : report.tableText
        do throws(Errno) { try Files.writeAll(STDOUT_FILENO, Array(text.utf8)) } catch { return 1 }
        return 0
    }

    // MARK: Saying

    private func showProgress(_ what: String, _ number: Int, _ count: Int) {
        guard isatty(STDERR_FILENO) == 1 else { return }
        _ = try? Files.writeAll(STDERR_FILENO, Array("\r\u{1b}[K[\(number)/\(count)] \(what)".utf8))
    }

    private func clearProgress() {
        guard isatty(STDERR_FILENO) == 1 else { return }
        _ = try? Files.writeAll(STDERR_FILENO, Array("\r\u{1b}[K".utf8))
    }

    private func say(_ text: String) {
        _ = try? Files.writeAll(STDERR_FILENO, Array("virtiofs bench: \(text)\n".utf8))
    }
}
