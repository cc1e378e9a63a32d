// SPDX-License-Identifier: Apache-2.0
import HostOS

/// Daemons side by side on this machine.
package final class Comparison {
    package let contestants: [Contestant]
    private let parent: String?
    private let haltPoll: Int64

    /// Starts ours and `peers`.
    ///
    /// - Parameters:
    ///   - found: peers to take along if they start here; `note` is told of those that do not.
    ///   - parent: where each gets a directory of its own; nil for the temporary directory.
    package init(
        ours: PeerCommand, peers: [PeerCommand], found: [PeerCommand], in parent: String?,
        queues: Int, _ options: SessionOptions, note: (String) -> Void
    ) throws(BenchFailure) {
        self.parent = parent
        haltPoll = options.haltPoll
        var mine = options
        mine.requestQueues = queues
        var theirs = options
        theirs.requestQueues = 1
        var all = [try Contestant(ours, in: parent, mine)]
        for peer in peers { all.append(try Contestant(peer, in: parent, theirs)) }
        for peer in found {
            do throws(BenchFailure) { all.append(try Contestant(peer, in: parent, theirs)) } catch {
                note("without \(peer.name): \(error)")
            }
        }
        contestants = all
    }

    /// Measures all of them by `plan`.
    package func run(_ plan: Plan, progress: (String, Int, Int) -> Void) throws(BenchFailure) -> Report {
        let directory = parent ?? environmentVariable("TMPDIR") ?? "/tmp"
        var report = Report(
            machine: MachineFacts(directory: directory), seconds: plan.seconds, rounds: plan.rounds,
            haltPoll: haltPoll,
            daemons: contestants.map(\.facts))
        do throws(PlanFailure) {
            report.tests = try plan.run(
                contestants.map { ($0.name, $0.session) },
                bare: BareCalls(in: directory, besideAwakeGuest: haltPoll > 0 && usableCPUs() > 1),
                progress: progress)
        } catch {
            throw contestants[error.daemon].explain(error.failure)
        }
        return report
    }
}
