// SPDX-License-Identifier: Apache-2.0

// How an xattr map is written: rules with spaces or line ends between them. The first byte of a rule is the separator that
// stands before, between and behind its fields: type, scope, key and prepend.
extension XattrMap {
    /// Reads rules of any bytes.
    ///
    /// - Throws: also where a name could match no rule.
    package init(parsing text: [UInt8]) throws(MapError) {
        var rules: [Rule] = []
        var rest = text[...]
        var mapRule: ArraySlice<UInt8>?
        while let fields = try RuleFields(from: &rest) {
            if let mapRule {
                throw MapError(
                    mapRule, "rules follow it",
                    hint: "a map rule is the last one: write what precedes it before it")
            }
            if let effect = fields.type.effect {
                rules.append(try Rule(effect, fields))
            } else {
                rules += Self.expanded(fields)
                mapRule = fields.whole
            }
        }
        guard !rules.isEmpty else {
            throw MapError(
                text, "there is no rule", hint: "write :map::user.virtiofs.: to put that before all names")
        }
        let isWhole =
            rules.contains { $0.isForGuest && $0.key.isEmpty }
            && rules.contains { $0.isForHost && $0.prepend.isEmpty }
        guard isWhole else {
            throw MapError(
                text, "there are names that no rule matches",
                hint: "end with :ok:all::: to let them through, or :bad:all::: to hide them")
        }
        self.rules = rules
    }

    /// What `map` stands for. The host's own attributes with such names are hidden from the guest, and so is the place where
    /// the guest's are kept.
    private static func expanded(_ fields: RuleFields) -> [Rule] {
        let (key, prepend) = (fields.values[0], fields.values[1])
        func rule(_ effect: Effect, guest: [UInt8]?, host: [UInt8]?) -> Rule {
            Rule(
                effect: effect, isForGuest: guest != nil, isForHost: host != nil, key: guest ?? [],
                prepend: host ?? [])
        }
        let prefix = rule(.prefix, guest: key, host: prepend)
        if key.isEmpty { return [prefix, rule(.bad, guest: [], host: [])] }
        return [
            prefix, rule(.bad, guest: prepend, host: nil), rule(.bad, guest: nil, host: key),
            rule(.ok, guest: [], host: []),
        ]
    }
}

extension XattrMap.Rule {
    fileprivate init(_ effect: XattrMap.Effect, _ fields: RuleFields) throws(MapError) {
        let scopes = [("client", true, false), ("server", false, true), ("all", true, true)]
        guard let scope = scopes.first(where: { Array($0.0.utf8) == fields.values[0] }) else {
            throw MapError(fields.whole, "no such scope", hint: "give client, server or all")
        }
        self.init(
            effect: effect, isForGuest: scope.1, isForHost: scope.2, key: fields.values[1],
            prepend: fields.values[2])
    }
}

private enum RuleType: String, CaseIterable {
    case prefix, ok, bad, unsupported, map

    /// nil: the rule stands for others.
    var effect: XattrMap.Effect? {
        switch self {
        case .prefix: .prefix
        case .ok: .ok
        case .bad: .bad
        case .unsupported: .unsupported
        case .map: nil
        }
    }

    /// How many fields follow the type.
    var valueCount: Int { self == .map ? 2 : 3 }

    var form: String { self == .map ? ":map:KEY:PREPEND:" : ":\(rawValue):SCOPE:KEY:PREPEND:" }
}

/// One rule, cut into its fields.
private struct RuleFields {
    let whole: ArraySlice<UInt8>
    let type: RuleType
    /// As many as the type has.
    let values: [[UInt8]]

    /// Takes the next rule from `text`; nil if only space is left.
    ///
    /// How many fields a rule has depends on its type, because the next one may begin right behind it.
    init?(from text: inout ArraySlice<UInt8>) throws(MapError) {
        text = text.drop { Self.isSpace($0) }
        guard let separator = text.first else { return nil }
        let start = text
        var rest = text.dropFirst()
        func next() -> [UInt8]? {
            guard let end = rest.firstIndex(of: separator) else { return nil }
            defer { rest = rest[end...].dropFirst() }
            return Array(rest[..<end])
        }
        guard let word = next(), let type = RuleType(rawValue: String(decoding: word, as: UTF8.self)) else {
            throw MapError(
                start, "it begins with no type of rule",
                hint: "write one of " + RuleType.allCases.map(\.form).joined(separator: " "))
        }
        var values: [[UInt8]] = []
        while values.count < type.valueCount {
            guard let field = next() else {
                throw MapError(start, "it does not end", hint: "write \(type.form)")
            }
            guard !field.contains(0) else {
                throw MapError(start, "a name holds a zero byte", hint: "leave it out")
            }
            values.append(field)
        }
        whole = start[..<rest.startIndex]
        (self.type, self.values) = (type, values)
        text = rest
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0D ~= byte }
}
