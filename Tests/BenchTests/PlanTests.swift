// SPDX-License-Identifier: Apache-2.0
import HostOS
import Testing

@testable import Bench

@Suite struct PlanTests {
    @Test func daemonsTakeTurns() {
        let scripts = ["getattr", "statfs"].flatMap { Catalogue.select([$0]).scripts }
        let plan = Plan(scripts: scripts, depths: [1, 4], rounds: 3, seconds: 1)
        let turns = plan.turns(daemons: 3)
        #expect(turns.count == 2 * 2 * 3 * 3)
        // All of a test and a depth, round by round, each round beginning with another.
        #expect(turns.prefix(9).map(\.daemon) == [0, 1, 2, 1, 2, 0, 2, 0, 1])
        #expect(turns.prefix(9).allSatisfy { $0.script == 0 && $0.depth == 1 })
        #expect(turns.prefix(9).map(\.round) == [0, 0, 0, 1, 1, 1, 2, 2, 2])
        #expect(turns[9].depth == 4 && turns[18].script == 1)
        #expect(Set(turns.map { "\($0)" }).count == turns.count)
    }

    @Test func oneRunMeasuresAllAndNotesWhatIsMissing() throws {
        let (good, lacking) = (
            try ScriptedBackend(), try ScriptedBackend { $0.opcode == .statfs ? .error(38) : nil }
        )
        var options = SessionOptions()
        options.lanes = 2
        let sessions = try [("ours", good), ("other", lacking)].map {
            (name: $0.0, session: try BenchSession(socketPath: $0.1.socketPath, options))
        }
        let scripts = Catalogue.select(["getattr", "statfs"]).scripts
        let plan = Plan(scripts: scripts, depths: [1, 2], rounds: 2, seconds: 0.001)
        var steps: [String] = []
        let results = try plan.run(sessions) { what, number, count in
            steps.append("\(number)/\(count) \(what)")
        }
        #expect(results.map(\.test) == ["getattr", "getattr", "statfs", "statfs"])
        #expect(results.map(\.depth) == [1, 2, 1, 2])
        #expect(
            results.flatMap { $0.daemons.map(\.daemon) }
                == Array(repeating: ["ours", "other"], count: 4).flatMap { $0 })
        #expect(results.map { $0.daemons[0].rounds.count } == [2, 2, 2, 2])
        #expect(results.map { $0.daemons[1].rounds.count } == [2, 2, 0, 0])
        #expect(results.map { $0.daemons[1].missing } == [nil, nil, "STATFS", "STATFS"])
        #expect(results[0].ratio != nil && results[2].ratio == nil)
        #expect(results.allSatisfy { $0.bare.isEmpty })
        #expect(steps.count == 16)
        #expect(steps.first == "1/16 getattr, depth 1, round 1/2: ours")
        #expect(steps.last == "16/16 statfs, depth 2, round 2/2: ours")
    }

    @Test func aNumberOfOperationsEndsAMeasurement() throws {
        let backend = try ScriptedBackend()
        let session = try BenchSession(socketPath: backend.socketPath, SessionOptions())
        let plan = Plan(
            scripts: Catalogue.select(["getattr"]).scripts, depths: [1], rounds: 2, seconds: 3600,
            operations: 5)
        let parent = try TemporaryDirectory(prefix: "plan-test.")
        let results = try plan.run(
            [("ours", session)], bare: nil
        ) { _, _, _ in }
        #expect(results[0].daemons[0].rounds.map(\.operations) == [5, 5])
        // The bare calls of each round come last, and as long as the plan says.
        let quick = Plan(scripts: plan.scripts, depths: [1], rounds: 2, seconds: 0, operations: 5)
        let both = try quick.run([("ours", session)], bare: BareCalls(in: parent.path)) { _, _, _ in }
        #expect(both[0].bare.count == 2 && both[0].daemons[0].rounds.count == 2)
    }

    @Test func aFailureNamesItsDaemon() throws {
        let (good, bad) = (
            try ScriptedBackend(), try ScriptedBackend { $0.opcode == .statfs ? .error(5) : nil }
        )
        let sessions = try [("ours", good), ("other", bad)].map {
            (name: $0.0, session: try BenchSession(socketPath: $0.1.socketPath, SessionOptions()))
        }
        let plan = Plan(
            scripts: Catalogue.select(["statfs"]).scripts, depths: [1], rounds: 1, seconds: 0.001)
        let error = #expect(throws: PlanFailure.self) { try plan.run(sessions) { _, _, _ in } }
        #expect(error?.daemon == 1)
        #expect(error?.failure == .failed("test statfs: STATFS: Input/output error (error 5)"))
    }
}
