// SPDX-License-Identifier: Apache-2.0

/// What to measure: every test at every depth, all daemons in each round.
package struct Plan: Sendable {
    package var scripts: [Script]
    package var depths: [Int]
    package var rounds: Int
    package var seconds: Double
    /// Ends a measurement in place of `seconds`: so many operations after the first.
    package var operations: Int?

    package init(scripts: [Script], depths: [Int], rounds: Int, seconds: Double, operations: Int? = nil) {
        self.scripts = scripts
        self.depths = depths
        self.rounds = rounds
        self.seconds = seconds
        self.operations = operations
    }

    /// One measurement of the plan.
    struct Turn: Equatable {
        let script: Int
        let depth: Int
        let round: Int
        let daemon: Int
    }

    /// All measurements in order. The daemons take turns within a round, and each round another one begins: what the machine
    /// does beside us meets all of them alike.
    func turns(daemons: Int) -> [Turn] {
        scripts.indices.flatMap { script in
            depths.flatMap { depth in
                (0..<rounds).flatMap { round in
                    (0..<daemons).map { number in
                        Turn(script: script, depth: depth, round: round, daemon: (number + round) % daemons)
                    }
                }
            }
        }
    }

    /// Carries the plan out.
    ///
    /// - Parameters:
    ///   - sessions: the daemons; in a comparison ours is the first.
    ///   - bare: makes the tests' system calls without a daemon, a quarter as long at the end of each round.
    ///   - progress: is told what comes next, and which of how many measurements that is.
    package func run(
        _ sessions: [(name: String, session: BenchSession)], bare: BareCalls? = nil,
        progress: (String, Int, Int) -> Void
    ) throws(PlanFailure) -> [TestResult] {
        var results = scripts.flatMap { script in
            depths.map { depth in
                TestResult(
                    test: script.name, depth: depth, daemons: sessions.map { DaemonResult(daemon: $0.name) })
            }
        }
        let turns = turns(daemons: sessions.count)
        for (number, turn) in turns.enumerated() {
            let script = scripts[turn.script]
            let place = turn.script * depths.count + (depths.firstIndex(of: turn.depth) ?? 0)
            let name = sessions[turn.daemon].name
            progress(
                "\(script.name), depth \(turn.depth), round \(turn.round + 1)/\(rounds): \(name)", number + 1,
                turns.count)
            defer {
                if (number + 1) % sessions.count == 0,
                    let result = try? bare?.measure(script, depth: turn.depth, seconds: seconds / 4)
                {
                    results[place].bare.append(result)
                }
            }
            if results[place].daemons[turn.daemon].missing != nil { continue }
            do throws(BenchFailure) {
                let window =
                    operations.map { WindowOptions(warmUp: 0, duration: 0, minimumOperations: $0) }
                    ?? WindowOptions(seconds: seconds, depth: turn.depth)
                let measurement = try sessions[turn.daemon].session.measure(
                    script, depth: turn.depth, window)
                results[place].daemons[turn.daemon].rounds.append(measurement)
            } catch {
                guard case .unsupported(let what) = error else {
                    throw PlanFailure(daemon: turn.daemon, failure: error)
                }
                results[place].daemons[turn.daemon].missing = what
            }
        }
        return results
    }
}

/// Which daemon ended a plan, and how.
package struct PlanFailure: Error {
    package let daemon: Int
    package let failure: BenchFailure
}
