// SPDX-License-Identifier: Apache-2.0

/// What one daemon did in one test at one queue depth, round by round.
package struct DaemonResult: Sendable {
    package let daemon: String
    package var rounds: [Measurement] = []
    /// What the daemon lacks for this test.
    package var missing: String?

    package init(daemon: String) { self.daemon = daemon }

    package var operationsPerSecond: Double? { median(rounds.map(\.operationsPerSecond)) }
    /// In nanoseconds.
    package var p50: Double? { median(rounds.map(\.p50)) }
    package var p99: Double? { median(rounds.map(\.p99)) }
    /// In nanoseconds of the daemon's processor time per operation.
    package var processorTime: Double? { median(rounds.compactMap(\.processorTimePerOperation)) }
    /// FORGETs too.
    package var requestsPerOperation: Double? {
        median(rounds.map { Double($0.requests) / Double(max(1, $0.operationsOfRun)) })
    }
}

/// One test at one queue depth.
package struct TestResult: Sendable {
    package let test: String
    package let depth: Int
    /// In a comparison ours is the first.
    package var daemons: [DaemonResult]
    /// The test's system calls alone, round by round; none where the file system refuses one of them.
    package var bare: [BareMeasurement] = []

    package init(test: String, depth: Int, daemons: [DaemonResult]) {
        self.test = test
        self.depth = depth
        self.daemons = daemons
    }

    /// Our operations per second by those of the fastest peer of the same round: the median over the rounds.
    package var ratio: Double? {
        ratio(of: { $0.operationsPerSecond }) { $0.max() }
    }

    /// Our processor time per operation by that of the most frugal peer of the same round: the median over the rounds.
    package var processorRatio: Double? {
        ratio(of: { $0.processorTimePerOperation }) { $0.min() }
    }

    package var bareOperationsPerSecond: Double? { median(bare.map(\.operationsPerSecond)) }
    /// In nanoseconds.
    package var bareProcessorTime: Double? { median(bare.map(\.processorTimePerOperation)) }

    /// The processor time of the bare calls by that of the most frugal peer of the same round: below this no daemon's
    /// `processorRatio` can fall.
    package var bareProcessorRatio: Double? {
        median(
            bare.indices.compactMap { round in
                peers(in: round) { $0.processorTimePerOperation }.min().flatMap {
                    $0 > 0 ? bare[round].processorTimePerOperation / $0 : nil
                }
            })
    }

    /// Our operations per second by those of the bare calls in the same round.
    package var ratioToBare: Double? {
        guard let ours = daemons.first else { return nil }
        return median(
            zip(ours.rounds, bare).map { $0.operationsPerSecond / $1.operationsPerSecond })
    }

    private func peers(in round: Int, _ value: (Measurement) -> Double?) -> [Double] {
        daemons.dropFirst().compactMap { peer in
            peer.rounds.indices.contains(round) ? value(peer.rounds[round]) : nil
        }
    }

    private func ratio(
        of value: (Measurement) -> Double?, best: ([Double]) -> Double?
    ) -> Double? {
        guard let ours = daemons.first else { return nil }
        return median(
            ours.rounds.indices.compactMap { round in
                guard let mine = value(ours.rounds[round]), let theirs = best(peers(in: round, value)),
                    theirs > 0
                else { return nil }
                return mine / theirs
            })
    }
}

/// A daemon that was measured.
package struct DaemonFacts: Sendable {
    package let name: String
    /// What it says of itself; nil when it was not asked.
    package let version: String?
    /// How it was started; nil when somebody else did.
    package let command: [String]?
    package let requestQueues: Int

    package init(name: String, version: String?, command: [String]?, requestQueues: Int) {
        self.name = name
        self.version = version
        self.command = command
        self.requestQueues = requestQueues
    }
}

/// Everything that one call of `virtiofs bench` found out.
package struct Report: Sendable {
    package let machine: MachineFacts
    package let seconds: Double
    package let rounds: Int
    /// How long the guest waits awake for an interrupt, in nanoseconds.
    package let haltPoll: Int64
    package let daemons: [DaemonFacts]
    package var tests: [TestResult] = []

    package init(
        machine: MachineFacts, seconds: Double, rounds: Int, haltPoll: Int64, daemons: [DaemonFacts]
    ) {
        self.machine = machine
        self.seconds = seconds
        self.rounds = rounds
        self.haltPoll = haltPoll
        self.daemons = daemons
    }

    /// Over all tests and depths that have a ratio.
    package var geometricMeanRatio: Double? { geometricMean(tests.compactMap(\.ratio)) }
    package var geometricMeanProcessorRatio: Double? {
        // A daemon that used no measurable time has no place on a logarithmic scale.
        geometricMean(tests.compactMap(\.processorRatio).filter { $0 > 0 })
    }
}
