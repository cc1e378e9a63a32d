// SPDX-License-Identifier: Apache-2.0
import HostOS

// How an id map is written: a rule is a kind, two ids or one, and a count, with colons between them. The guest's ids come
// first where the kind says "guest", the host's where it says "host".
extension IdMap {
    /// Reads rules, one a line, of any bytes.
    package init(parsing text: [UInt8]) throws(MapError) {
        var (toHost, toGuest) = (Direction(), Direction())
        for line in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true) {
            let rule = try IdRule(parsing: line)
            try toHost.add(rule.toHost, of: line)
            try toGuest.add(rule.toGuest, of: line)
        }
        self.init(toHost: toHost.ranges.map(\.range), toGuest: toGuest.ranges.map(\.range))
    }

    /// The ranges of one direction, each with the rule that made it.
    private struct Direction {
        var ranges: [(range: IdRange, rule: ArraySlice<UInt8>)] = []

        mutating func add(_ range: IdRange?, of rule: ArraySlice<UInt8>) throws(MapError) {
            guard let range else { return }
            let other = ranges.first { $0.range.first <= range.last && range.first <= $0.range.last }
            if let other {
                throw MapError(
                    rule, "it overlaps \(escaped(other.rule))",
                    hint: "give each id one rule for each direction")
            }
            ranges.append((range, rule))
        }
    }
}

/// One rule, and what it says of either direction.
private struct IdRule {
    private enum Kind: String, CaseIterable {
        case guest, host
        case squashGuest = "squash-guest"
        case squashHost = "squash-host"
        case forbidGuest = "forbid-guest"
        case map

        /// How such a rule is written.
        var form: String {
            switch self {
            case .guest, .map: "\(rawValue):GUEST-ID:HOST-ID:COUNT"
            case .squashGuest: "\(rawValue):GUEST-ID:ONE-HOST-ID:COUNT"
            case .host: "\(rawValue):HOST-ID:GUEST-ID:COUNT"
            case .squashHost: "\(rawValue):HOST-ID:ONE-GUEST-ID:COUNT"
            case .forbidGuest: "\(rawValue):GUEST-ID:COUNT"
            }
        }

        var numberCount: Int { self == .forbidGuest ? 2 : 3 }
    }

    var toHost: IdRange?
    var toGuest: IdRange?

    init(parsing rule: ArraySlice<UInt8>) throws(MapError) {
        let fields = rule.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard let word = fields.first, let kind = Kind(rawValue: String(decoding: word, as: UTF8.self)) else {
            throw MapError(
                rule, "no such kind of rule",
                hint: "begin with " + Kind.allCases.map(\.rawValue).joined(separator: ", "))
        }
        guard fields.count == 1 + kind.numberCount else {
            throw MapError(rule, "it has \(fields.count) fields", hint: "write \(kind.form)")
        }
        var numbers: [UInt32] = []
        for field in fields.dropFirst() {
            guard let number = Self.number(field) else {
                throw MapError(
                    rule, "one of the fields is not a number from 0 to 4294967295",
                    hint: "write \(kind.form)")
            }
            numbers.append(number)
        }
        try self.init(kind, numbers, rule)
    }

    /// `numbers` are as many as the kind has.
    private init(_ kind: Kind, _ numbers: [UInt32], _ rule: ArraySlice<UInt8>) throws(MapError) {
        let (first, second, count) = (numbers[0], numbers[1], numbers[numbers.count - 1])
        guard count > 0 else { throw MapError(rule, "the range is empty", hint: "write \(kind.form)") }
        // −1 is what system calls take for "no id", so a range ends before it.
        func range(_ first: UInt32, _ fate: IdRange.Fate) throws(MapError) -> IdRange {
            let (last, overflow) = first.addingReportingOverflow(count - 1)
            guard !overflow, last < .max else { throw Self.beyond(rule) }
            return IdRange(first: first, last: last, fate: fate)
        }
        switch kind {
        case .guest:
            _ = try range(second, .forbidden)
            toHost = try range(first, .shifted(second))
        case .host:
            _ = try range(second, .forbidden)
            toGuest = try range(first, .shifted(second))
        case .map:
            toHost = try range(first, .shifted(second))
            toGuest = try range(second, .shifted(first))
        case .squashGuest, .squashHost:
            guard second < .max else { throw Self.beyond(rule) }
            let squashed = try range(first, .squashed(second))
            if kind == .squashGuest { toHost = squashed } else { toGuest = squashed }
        case .forbidGuest: toHost = try range(first, .forbidden)
        }
    }

    private static func beyond(_ rule: ArraySlice<UInt8>) -> MapError {
        MapError(rule, "it goes beyond the last id", hint: "end at 4294967294")
    }

    /// Digits only.
    private static func number(_ digits: ArraySlice<UInt8>) -> UInt32? {
        guard !digits.isEmpty, digits.count <= 10 else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            guard 0x30...0x39 ~= digit else { return nil }
            value = value * 10 + UInt64(digit - 0x30)
        }
        return UInt32(exactly: value)
    }
}
