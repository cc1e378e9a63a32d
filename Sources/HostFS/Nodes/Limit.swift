// SPDX-License-Identifier: Apache-2.0
import HostOS

/// How many of something a guest may have: one more is ENFILE. Counts how often it wanted one more.
final class Limit: Sendable {
    let maximum: Int
    private let name: String
    private let reached = RecurringEvent()

    /// - Parameters:
    ///   - chosen: what the option `option` says, if it is given.
    ///   - possible: how many there is room for.
    init(_ option: String, _ chosen: Int?, possible: Int, of what: String) {
        maximum = min(chosen ?? possible, possible)
        name = chosen.map { "\(option) \($0)" } ?? "the most \(what) that there is room for, \(possible)"
    }

    /// The guest wanted one more.
    func note() { Log.once(reached, .warning, "the guest has reached \(name): it gets ENFILE") }

    var reachedCount: UInt64 { reached.count }
}
