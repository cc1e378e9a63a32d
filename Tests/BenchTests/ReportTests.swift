// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Bench

@Suite struct ReportTests {
    private func measurement(
        _ operations: Int, p50: Double = 25_000, p99: Double = 1_250_000, cpu: Double? = 9_960,
        requests: Int = 3
    ) -> Measurement {
        Measurement(
            operations: operations, seconds: 2, p50: p50, p99: p99, processorTimePerOperation: cpu,
            requests: requests * operations, operationsOfRun: operations)
    }

    private func result(_ name: String, _ rounds: [Measurement], missing: String? = nil) -> DaemonResult {
        var result = DaemonResult(daemon: name)
        result.rounds = rounds
        result.missing = missing
        return result
    }

    private var machine: MachineFacts {
        MachineFacts(
            kernel: "6.18.1", processors: 2, processorModel: "Some \"CPU\"", memoryMebibytes: 2048,
            fileSystem: "ext4")
    }

    /// Ours is twice as fast in one test and half as fast in the other, which one peer does not have.
    private var comparison: Report {
        var report = Report(
            machine: machine, seconds: 2, rounds: 3, haltPoll: 200_000,
            daemons: [
                DaemonFacts(name: "ours", version: "1.0", command: ["/o", "x"], requestQueues: 2),
                DaemonFacts(name: "rust", version: nil, command: ["/r"], requestQueues: 1),
                DaemonFacts(name: "c", version: "7.2", command: ["/c"], requestQueues: 1),
            ])
        report.tests = [
            TestResult(
                test: "open", depth: 1,
                daemons: [
                    result("ours", [measurement(80_000), measurement(40_000), measurement(20_000)]),
                    result("rust", [measurement(10_000), measurement(10_000), measurement(10_000)]),
                    result(
                        "c",
                        [
                            measurement(20_000, cpu: 4_980), measurement(20_000, cpu: 4_980),
                            measurement(20_000, cpu: 4_980),
                        ]),
                ]),
            TestResult(
                test: "xattr", depth: 16,
                daemons: [
                    result("ours", [measurement(5), measurement(5), measurement(5)]),
                    result("rust", [], missing: "SETXATTR"),
                    result(
                        "c",
                        [measurement(10, cpu: nil), measurement(10, cpu: nil), measurement(10, cpu: nil)]),
                ]),
        ]
        // 2.49 µs: half of what the most frugal peer uses; 80, 40 and 20 thousand of 160.
        report.tests[0].bare = Array(
            repeating: BareMeasurement(operations: 40_000, seconds: 0.5, processorTimePerOperation: 2_490),
            count: 3)
        return report
    }

    @Test func ratiosAreMediansOverTheRounds() {
        // 80/20, 40/20, 20/20: the best peer of each round.
        #expect(comparison.tests[0].ratio == 2)
        // 9.96 by 4.98: the most frugal peer.
        #expect(comparison.tests[0].processorRatio == 2)
        #expect(comparison.tests[1].ratio == 0.5)
        #expect(comparison.tests[1].processorRatio == nil)
        // 40,000 operations in two seconds by 80,000 a second.
        #expect(comparison.tests[0].bareProcessorRatio == 0.5 && comparison.tests[0].ratioToBare == 0.25)
        #expect(comparison.tests[1].bareProcessorRatio == nil && comparison.tests[1].ratioToBare == nil)
        #expect(comparison.geometricMeanRatio == 1)
        #expect(comparison.geometricMeanProcessorRatio == 2)
        // Without peers there is nothing to compare with.
        let alone = TestResult(test: "open", depth: 1, daemons: [result("daemon", [measurement(1)])])
        #expect(alone.ratio == nil && alone.processorRatio == nil)
        #expect(TestResult(test: "open", depth: 1, daemons: []).ratio == nil)
    }

    @Test func theTable() {
        #expect(
            comparison.tableText == """
                test   depth  daemon  ops/s      p50      p99   CPU/op  ops/s ratio  CPU ratio
                open       1  ours    20000  25.0 µs  1.25 ms  9.96 µs        2.00x      2.00x
                              rust     5000  25.0 µs  1.25 ms  9.96 µs
                              c       10000  25.0 µs  1.25 ms  4.98 µs
                              bare    80000        -        -  2.49 µs                   0.50x
                xattr     16  ours     2.50  25.0 µs  1.25 ms  9.96 µs        0.50x          -
                              rust        -        -        -        -
                              c        5.00  25.0 µs  1.25 ms        -

                geometric mean over the best peer: 1.00x in ops/s, 2.00x in CPU per op

                xattr: rust does not offer SETXATTR

                """)
    }

    @Test func theTableOfOneDaemon() {
        var report = Report(
            machine: machine, seconds: 2, rounds: 1, haltPoll: 0,
            daemons: [DaemonFacts(name: "daemon", version: nil, command: nil, requestQueues: 1)])
        report.tests = [
            TestResult(test: "open", depth: 1, daemons: [result("daemon", [measurement(8)])])
        ]
        #expect(
            report.tableText == """
                test  depth  daemon  ops/s      p50      p99   CPU/op
                open      1  daemon   4.00  25.0 µs  1.25 ms  9.96 µs

                """)
    }

    @Test func theDocument() {
        #expect(
            comparison.markdownText == """
                * Machine: 2 CPUs (Some "CPU"), 2048 MiB, Linux 6.18.1, ext4
                * Each figure: median of 3 rounds of 2.00 s; the guest halts awake for up to 200 µs
                * ours: 1.0, 2 request queues
                * rust: says no version, 1 request queue
                * c: 7.2, 1 request queue

                | test | depth | ours ops/s | rust ops/s | c ops/s | ratio | ours CPU/op | rust CPU/op | c CPU/op | ratio | bare CPU/op | bare ratio | ours by bare ops/s |
                |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
                | open | 1 | 20000 | 5000 | 10000 | 2.00x | 9.96 µs | 9.96 µs | 4.98 µs | 2.00x | 2.49 µs | 0.50x | 0.25x |
                | xattr | 16 | 2.50 | - | 5.00 | 0.50x | 9.96 µs | - | - | - | - | - | - |

                Geometric mean by the best peer: **1.00x** in ops/s, **2.00x** in CPU/op

                * xattr: rust does not offer SETXATTR

                """)
    }

    @Test func theJSON() {
        #expect(
            comparison.jsonText == """
                {
                  "format": 1,
                  "machine": {"kernel": "6.18.1", "cpus": 2, "cpu_model": "Some \\"CPU\\"", "memory_mib": 2048, "file_system": "ext4"},
                  "options": {"seconds": 2.000, "rounds": 3, "queue_size": 1024, "halt_poll_us": 200},
                  "daemons": [
                    {
                      "name": "ours",
                      "version": "1.0",
                      "command": ["/o", "x"],
                      "request_queues": 2
                    },
                    {
                      "name": "rust",
                      "version": null,
                      "command": ["/r"],
                      "request_queues": 1
                    },
                    {
                      "name": "c",
                      "version": "7.2",
                      "command": ["/c"],
                      "request_queues": 1
                    }
                  ],
                  "rows": [

                """
                + jsonRow(
                    "open", 1, "ours", 20_000, cpu: "9.960", ops: 140_000, "2.000", "2.000", "null",
                    [40_000, 20_000, 10_000], bare: ("2.490", "0.500", "0.250"), last: false)
                + jsonRow(
                    "open", 1, "rust", 5_000, cpu: "9.960", ops: 30_000, "null", "null", "null",
                    [5_000, 5_000, 5_000], last: false)
                + jsonRow(
                    "open", 1, "c", 10_000, cpu: "4.980", ops: 60_000, "null", "null", "null",
                    [10_000, 10_000, 10_000], last: false)
                + jsonRow(
                    "xattr", 16, "ours", 2.5, cpu: "9.960", ops: 15, "0.500", "null", "null",
                    [2.5, 2.5, 2.5], last: false)
                + jsonRow(
                    "xattr", 16, "rust", nil, cpu: "null", ops: 0, "null", "null", "\"SETXATTR\"", [],
                    last: false)
                + jsonRow(
                    "xattr", 16, "c", 5, cpu: "null", ops: 30, "null", "null", "null", [5, 5, 5], last: true)
                    + """
                      ],
                      "geometric_mean_ops_ratio": 1.000,
                      "geometric_mean_cpu_ratio": 2.000
                    }

                    """)
    }

    private func jsonRow(
        _ test: String, _ depth: Int, _ daemon: String, _ rate: Double?, cpu: String, ops: Int,
        _ ratio: String, _ processorRatio: String, _ missing: String, _ rounds: [Double],
        bare: (cpu: String, ratio: String, ops: String) = ("null", "null", "null"), last: Bool
    ) -> String {
        let isThere = rate != nil
        return """
                {
                  "test": "\(test)",
                  "queue_depth": \(depth),
                  "daemon": "\(daemon)",
                  "ops_per_second": \(rate.map { fixed($0, 3) } ?? "null"),
                  "p50_us": \(isThere ? "25.000" : "null"),
                  "p99_us": \(isThere ? "1250.000" : "null"),
                  "cpu_us_per_op": \(cpu),
                  "requests_per_op": \(isThere ? "3.000" : "null"),
                  "ops": \(ops),
                  "ops_ratio_to_best_peer": \(ratio),
                  "cpu_ratio_to_best_peer": \(processorRatio),
                  "bare_cpu_us_per_op": \(bare.cpu),
                  "bare_cpu_ratio_to_best_peer": \(bare.ratio),
                  "ops_ratio_to_bare": \(bare.ops),
                  "missing": \(missing),
                  "ops_per_second_rounds": [\(rounds.map { fixed($0, 3) }.joined(separator: ", "))]
                }\(last ? "" : ",")

            """
    }

    @Test func textsInJSON() {
        #expect(JSON.string("a\"b\\c\n\t\u{1}é").text() == #""a\"b\\c\n\t\u0001é""#)
        #expect(JSON.number(.nan).text() == "null" && JSON.number(.infinity).text() == "null")
        #expect(JSON.array([]).text() == "[]" && JSON.object([]).text() == "{}")
    }

    @Test func thePlot() {
        let lines = comparison.plotText.split(separator: "\n").map(String.init)
        #expect(
            lines.first
                == #"<svg xmlns="http://www.w3.org/2000/svg" width="690" height="116" font-family="sans-serif" font-size="12">"#
        )
        #expect(lines.last == "</svg>")
        // From a half to two; 1 in the middle.
        #expect(lines.contains(#"<line x1="390.0" y1="42.0" x2="390.0" y2="91.0" stroke="black"/>"#))
        #expect(lines.contains(#"<text x="150.0" y="106.0" text-anchor="middle">0.5</text>"#))
        #expect(lines.contains(#"<text x="630.0" y="106.0" text-anchor="middle">2</text>"#))
        // Ours twice as fast: from the middle to the right end; half as fast: to the left end, in red.
        #expect(lines.contains(##"<rect x="390.0" y="50.0" width="240.0" height="14" fill="#4f81bd"/>"##))
        #expect(lines.contains(##"<rect x="150.0" y="68.0" width="240.0" height="14" fill="#c0504d"/>"##))
        #expect(lines.contains(#"<text x="142.0" y="79.0" text-anchor="end">xattr, depth 16</text>"#))
        #expect(lines.contains(#"<text x="635.0" y="61.0">2.00</text>"#))
    }

    @Test func aPlotWithoutBars() {
        let report = Report(machine: machine, seconds: 2, rounds: 1, haltPoll: 0, daemons: [])
        #expect(report.plotText.contains(#"stroke="black""#))
        #expect(report.tableText == "test  depth  daemon  ops/s  p50  p99  CPU/op\n")
    }

    @Test func numbersForPeople() {
        #expect(fixed(0, 2) == "0.00" && fixed(-0.004, 2) == "0.00" && fixed(-1.5, 1) == "-1.5")
        #expect(fixed(1.005, 0) == "1" && fixed(0.0456, 3) == "0.046" && fixed(.nan, 1) == "-")
        #expect(fixed(1e20, 1) == "-")
        #expect(significant(9.994) == "9.99" && significant(12.34) == "12.3" && significant(1234.5) == "1235")
        #expect(duration(100) == "0.10 µs" && duration(999_400) == "999 µs" && duration(999_600) == "1.00 ms")
        #expect(duration(1.5e9) == "1.50 s")
    }

    @Test func thisMachine() {
        let machine = MachineFacts(directory: "/proc")
        #expect(!machine.kernel.isEmpty && machine.processors > 0 && machine.memoryMebibytes > 0)
        // Not one with a name here: its magic number.
        #expect(machine.fileSystem == "0x9fa0")
        #expect(MachineFacts(directory: nil).fileSystem == nil)
    }
}
