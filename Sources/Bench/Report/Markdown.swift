// SPDX-License-Identifier: Apache-2.0

extension Report {
    /// What was measured where, and a table with a line for each test and depth, for a document: nothing in it names this
    /// machine or a place on it.
    package var markdownText: String {
        var lines = [
            "* Machine: \(machine.processors) CPUs (\(machine.processorModel)), \(machine.memoryMebibytes) MiB, "
                + "Linux \(machine.kernel), \(machine.fileSystem ?? "an unknown file system")",
            "* Each figure: median of \(rounds) rounds of \(fixed(seconds, 2)) s; the guest halts awake for up to \(haltPoll / 1000) µs",
        ]
        for daemon in daemons {
            let queues =
                daemon.requestQueues == 1 ? "1 request queue" : "\(daemon.requestQueues) request queues"
            lines.append("* \(daemon.name): \(daemon.version ?? "says no version"), \(queues)")
        }
        lines += ["", row(headings), "|---|" + String(repeating: "---:|", count: headings.count - 1)]
        lines += tests.map { row(cells($0)) }
        if let ratio = geometricMeanRatio {
            lines += ["", "Geometric mean by the best peer: **\(times(ratio))** in ops/s"]
            if let processor = geometricMeanProcessorRatio {
                lines[lines.count - 1] += ", **\(times(processor))** in CPU/op"
            }
        }
        if !notes.isEmpty { lines += [""] + notes.map { "* " + $0 } }
        return lines.joined(separator: "\n") + "\n"
    }

    private func row(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }

    private var headings: [String] {
        let names = daemons.map(\.name)
        return ["test", "depth"] + names.map { "\($0) ops/s" } + (compares ? ["ratio"] : [])
            + names.map { "\($0) CPU/op" }
            + (compares ? ["ratio", "bare CPU/op", "bare ratio", "ours by bare ops/s"] : [])
    }

    private func cells(_ test: TestResult) -> [String] {
        [test.test, String(test.depth)]
            + test.daemons.map { cell($0.operationsPerSecond, significant) }
            + (compares ? [cell(test.ratio, times)] : [])
            + test.daemons.map { cell($0.processorTime, duration) }
            + (compares
                ? [
                    cell(test.processorRatio, times), cell(test.bareProcessorTime, duration),
                    cell(test.bareProcessorRatio, times), cell(test.ratioToBare, times),
                ] : [])
    }
}
