// SPDX-License-Identifier: Apache-2.0

/// Why the text of a map cannot be used, for a person: the rule at fault, what is wrong, and what to write instead.
package struct MapError: Error, Equatable, Sendable {
    /// As it was written: any bytes.
    package let rule: [UInt8]
    package let reason: String
    package let hint: String

    init(_ rule: some Sequence<UInt8>, _ reason: String, hint: String) {
        self.rule = Array(rule)
        self.reason = reason
        self.hint = hint
    }
}
