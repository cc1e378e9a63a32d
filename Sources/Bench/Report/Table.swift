// SPDX-License-Identifier: Apache-2.0

/// Columns of text, as wide as they need to be.
struct TextTable {
    private let headings: [String]
    /// Which columns hold numbers, and are aligned to the right.
    private let numeric: Set<Int>
    private var rows: [[String]] = []

    init(_ headings: [String], numeric: Set<Int>) {
        self.headings = headings
        self.numeric = numeric
    }

    mutating func add(_ cells: [String]) { rows.append(cells) }

    var text: String {
        let all = [headings] + rows
        let widths = headings.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            let cells = row.indices.map { column in
                let blanks = String(repeating: " ", count: widths[column] - row[column].count)
                return numeric.contains(column) ? blanks + row[column] : row[column] + blanks
            }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}

extension Report {
    /// The table that a person reads.
    package var tableText: String {
        var headings = ["test", "depth", "daemon", "ops/s", "p50", "p99", "CPU/op"]
        if compares { headings += ["ops/s ratio", "CPU ratio"] }
        var table = TextTable(headings, numeric: [1, 3, 4, 5, 6, 7, 8])
        for test in tests {
            for (index, result) in test.daemons.enumerated() {
                var row = index == 0 ? [test.test, String(test.depth)] : ["", ""]
                row += [
                    result.daemon, cell(result.operationsPerSecond, significant), cell(result.p50, duration),
                    cell(result.p99, duration), cell(result.processorTime, duration),
                ]
                if compares {
                    row +=
                        index == 0 ? [cell(test.ratio, times), cell(test.processorRatio, times)] : ["", ""]
                }
                table.add(row)
            }
            if !test.bare.isEmpty {
                table.add([
                    "", "", "bare", cell(test.bareOperationsPerSecond, significant), "-", "-",
                    cell(test.bareProcessorTime, duration), "", cell(test.bareProcessorRatio, times),
                ])
            }
        }
        var lines = [table.text]
        if let ratio = geometricMeanRatio {
            var line = "geometric mean over the best peer: \(times(ratio)) in ops/s"
            if let processor = geometricMeanProcessorRatio { line += ", \(times(processor)) in CPU per op" }
            lines += ["", line]
        }
        if !notes.isEmpty { lines += [""] + notes }
        return lines.joined(separator: "\n") + "\n"
    }

    var compares: Bool { daemons.count > 1 }

    /// What daemons lack, each once.
    var notes: [String] {
        let reasons = tests.flatMap { test in
            test.daemons.compactMap { result in
                result.missing.map { "\(test.test): \(result.daemon) does not offer \($0)" }
            }
        }
        var seen: Set<String> = []
        return reasons.filter { seen.insert($0).inserted }
    }

    func cell(_ value: Double?, _ format: (Double) -> String) -> String { value.map(format) ?? "-" }

    func times(_ ratio: Double) -> String { fixed(ratio, 2) + "x" }
}
