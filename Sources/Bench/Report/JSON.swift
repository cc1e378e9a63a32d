// SPDX-License-Identifier: Apache-2.0

/// A JSON value; keys keep their order.
enum JSON {
    case object([(String, JSON)])
    case array([JSON])
    case string(String)
    /// Three digits behind the point at most; null when it is no number.
    case number(Double)
    case integer(Int)
    case null

    static func optional(_ value: Double?) -> JSON { value.map { .number($0) } ?? .null }
    static func optional(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }

    /// Objects and arrays that hold others begin a line for each; the rest stays on one.
    func text(indent: String = "") -> String {
        switch self {
        case .null: return "null"
        case .integer(let value): return String(value)
        case .number(let value): return value.isFinite && abs(value) < 1e15 ? fixed(value, 3) : "null"
        case .string(let value): return Self.quoted(value)
        case .array(let items):
            return Self.block("[", items.map { ("", $0) }, "]", indent)
        case .object(let members):
            return Self.block("{", members.map { (Self.quoted($0) + ": ", $1) }, "}", indent)
        }
    }

    private static func block(_ open: String, _ items: [(String, JSON)], _ close: String, _ indent: String)
        -> String
    {
        if items.allSatisfy({ !$0.1.isCompound }) {
            return open + items.map { $0.0 + $0.1.text() }.joined(separator: ", ") + close
        }
        let inner = indent + "  "
        let lines = items.map { inner + $0.0 + $0.1.text(indent: inner) }
        return open + "\n" + lines.joined(separator: ",\n") + "\n" + indent + close
    }

    private var isCompound: Bool {
        switch self {
        case .object, .array: true
        case .string, .number, .integer, .null: false
        }
    }

    /// RFC 8259 §7.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

extension Report {
    /// One object; docs/bench.md lists its keys, which stay as they are.
    package var jsonText: String {
        let machineFacts: [(String, JSON)] = [
            ("kernel", .string(machine.kernel)), ("cpus", .integer(machine.processors)),
            ("cpu_model", .string(machine.processorModel)),
            ("memory_mib", .integer(machine.memoryMebibytes)),
            ("file_system", .optional(machine.fileSystem)),
        ]
        let options: [(String, JSON)] = [
            ("seconds", .number(seconds)), ("rounds", .integer(rounds)),
            ("queue_size", .integer(BenchSession.queueSize)),
            ("halt_poll_us", .integer(Int(haltPoll / 1000))),
        ]
        let daemonFacts: [JSON] = daemons.map { daemon in
            .object([
                ("name", .string(daemon.name)), ("version", .optional(daemon.version)),
                ("command", daemon.command.map { .array($0.map { .string($0) }) } ?? .null),
                ("request_queues", .integer(daemon.requestQueues)),
            ])
        }
        return JSON.object([
            ("format", .integer(1)), ("machine", .object(machineFacts)), ("options", .object(options)),
            ("daemons", .array(daemonFacts)), ("rows", .array(tests.flatMap(rows))),
            ("geometric_mean_ops_ratio", .optional(geometricMeanRatio)),
            ("geometric_mean_cpu_ratio", .optional(geometricMeanProcessorRatio)),
        ]).text() + "\n"
    }

    private func rows(_ test: TestResult) -> [JSON] {
        test.daemons.enumerated().map { index, result in
            // The ratios are ours, so they stand in our row.
            let isOurs = index == 0 && daemons.count > 1
            return .object([
                ("test", .string(test.test)), ("queue_depth", .integer(test.depth)),
                ("daemon", .string(result.daemon)),
                ("ops_per_second", .optional(result.operationsPerSecond)),
                ("p50_us", .optional(result.p50.map { $0 / 1e3 })),
                ("p99_us", .optional(result.p99.map { $0 / 1e3 })),
                ("cpu_us_per_op", .optional(result.processorTime.map { $0 / 1e3 })),
                ("requests_per_op", .optional(result.requestsPerOperation)),
                ("ops", .integer(result.rounds.reduce(0) { $0 + $1.operations })),
                ("ops_ratio_to_best_peer", isOurs ? .optional(test.ratio) : .null),
                ("cpu_ratio_to_best_peer", isOurs ? .optional(test.processorRatio) : .null),
                ("bare_cpu_us_per_op", isOurs ? .optional(test.bareProcessorTime.map { $0 / 1e3 }) : .null),
                ("bare_cpu_ratio_to_best_peer", isOurs ? .optional(test.bareProcessorRatio) : .null),
                ("ops_ratio_to_bare", isOurs ? .optional(test.ratioToBare) : .null),
                ("missing", .optional(result.missing)),
                ("ops_per_second_rounds", .array(result.rounds.map { .number($0.operationsPerSecond) })),
            ])
        }
    }
}
