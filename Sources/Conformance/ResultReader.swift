// SPDX-License-Identifier: Apache-2.0

/// What a run of `conformance --json` printed, for whoever has started it.
package struct ConformanceResults: Sendable, Equatable {
    package private(set) var passed: Set<String> = []
    /// Reasons by name.
    package private(set) var failed: [String: String] = [:]
    package private(set) var unsupported: [String: String] = [:]
    /// Lines that are no result.
    package private(set) var rest: [String] = []

    package init(_ text: String) {
        for line in text.split(separator: "\n") {
            let reason = Self.field("reason", of: line) ?? ""
            switch (Self.field("name", of: line), Self.field("outcome", of: line)) {
            case (let name?, "passed"): passed.insert(name)
            case (let name?, "failed"): failed[name] = reason
            case (let name?, "unsupported"): unsupported[name] = reason
            default: rest.append(String(line))
            }
        }
    }

    package var count: Int { passed.count + failed.count + unsupported.count }

    /// A field's text, in which control characters stay escaped.
    private static func field(_ name: String, of line: Substring) -> String? {
        guard let start = line.firstRange(of: "\"\(name)\":\"")?.upperBound else { return nil }
        var text = ""
        var isEscaped = false
        for character in line[start...] {
            if isEscaped || character != "\\" && character != "\"" {
                text.append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else {
                return text
            }
        }
        return nil
    }
}
