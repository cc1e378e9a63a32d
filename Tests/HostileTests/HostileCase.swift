// SPDX-License-Identifier: Apache-2.0

/// One attack, by the number that reports about such daemons give it.
struct HostileCase: Sendable {
    let name: String
    /// What must hold.
    let title: String
    /// Tries it on `opponent`; what should not have been goes into the verdict.
    let attempt: @Sendable (_ opponent: Opponent, _ verdict: Verdict) throws -> Void

    static let all: [HostileCase] = [
        t01, t02, t03, t04, t05, t06, t07, t08, t09, t10, t11, t12, t13, t14, t15, t16, t17, t18, t19, t20,
        fileSizeLimit,
    ]

    func run(_ opponent: Opponent) -> Verdict {
        let verdict = Verdict(isStrict: opponent.daemon == .ours)
        do { try attempt(opponent, verdict) } catch {
            verdict.fail("could not be tried to its end: \(error)")
        }
        return verdict
    }
}
