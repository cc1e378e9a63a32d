// SPDX-License-Identifier: Apache-2.0

/// What a file did otherwise than it had to.
package struct FileDifference: Error, CustomStringConvertible {
    /// The file's path.
    package let path: String
    package let seed: UInt64
    /// Counted from 1.
    package let operationNumber: Int
    package let what: String
    /// Of the first byte that differs.
    package let offset: Int?
    package let expected: [UInt8]
    package let seen: [UInt8]
    /// The last of them is the one that showed it.
    package let lastOperations: [FileOperation]
    /// Where what was expected is kept.
    package let referencePath: String

    package var description: String {
        var lines = ["\(path): operation \(operationNumber) of seed \(seed): \(what)"]
        if let offset {
            lines.append("  from byte \(offset) expected \(hexadecimal(expected))")
            lines.append("  from byte \(offset) seen     \(hexadecimal(seen))")
        }
        lines.append("  expected contents: \(referencePath)")
        let first = operationNumber - lastOperations.count + 1
        for (index, operation) in lastOperations.enumerated() {
            lines.append("  \(first + index): \(operation)")
        }
        return lines.joined(separator: "\n")
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }
}
