// SPDX-License-Identifier: Apache-2.0

/// What came of a run, for people and for programs.
package struct Report: Sendable {
    private var passed = 0
    private var failures: [String] = []
    private var unsupported: [String] = []

    package init() {}

    package var hasFailures: Bool { !failures.isEmpty }

    /// Counts one and gives its line.
    package mutating func add(_ check: Check, _ outcome: Outcome) -> String {
        switch outcome {
        case .passed:
            passed += 1
            return "passed       \(check.name)"
        case .failed(let reason):
            failures.append(check.name)
            return "FAILED       \(check.name): \(reason)"
        case .unsupported(let reason):
            unsupported.append(check.name)
            return "unsupported  \(check.name): \(reason)"
        }
    }

    /// One line that leaves nothing out.
    package var summary: String {
        "\(passed + failures.count + unsupported.count) checks: \(passed) passed, \(failures.count) failed, "
            + "\(unsupported.count) unsupported"
    }

    /// One JSON object for each check, on a line of its own.
    package static func json(_ check: Check, _ outcome: Outcome) -> String {
        let (word, reason) =
            switch outcome {
            case .passed: ("passed", String?.none)
            case .failed(let reason): ("failed", reason)
            case .unsupported(let reason): ("unsupported", reason)
            }
        let tail = reason.map { ",\"reason\":\(quoted($0))" } ?? ""
        return "{\"name\":\(quoted(check.name)),\"outcome\":\"\(word)\"\(tail)}"
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case "\u{0}"..."\u{1F}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
