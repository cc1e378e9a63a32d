// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A rate that several threads keep together: so many units a second, and a tenth of a second's worth at once.
///
/// What is taken is charged afterwards, when it is known how much it was, so a single large request may overdraw the bucket; the
/// next one waits until that is paid. The whole state is one time: when the bucket will be full again.
final class TokenBucket: Sendable {
    /// A tenth of a second.
    private static let burst: Int64 = 100_000_000
    /// A debt of more than an hour is forgiven, so that nothing overflows.
    private static let longestDebt: Int64 = 3_600_000_000_000
    private let perSecond: UInt64
    /// In nanoseconds of the monotonic clock.
    private let fullAt = Atomic<Int64>(0)

    /// - Parameter perSecond: at least 1.
    init(perSecond: UInt64) { self.perSecond = max(1, perSecond) }

    /// How many nanoseconds it takes until something may be taken; 0: now.
    func delay(now: Int64) -> Int64 {
        max(0, fullAt.load(ordering: .relaxed) - now - Self.burst + 1)
    }

    func charge(_ units: Int, now: Int64) {
        let (product, overflow) = UInt64(max(0, units)).multipliedReportingOverflow(by: 1_000_000_000)
        let cost = overflow ? Self.longestDebt : min(Int64(clamping: product / perSecond), Self.longestDebt)
        var seen = fullAt.load(ordering: .relaxed)
        while true {
            let next = min(max(seen, now) + cost, now + Self.longestDebt)
            let (exchanged, original) = fullAt.compareExchange(
                expected: seen, desired: next, ordering: .relaxed)
            if exchanged { return }
            seen = original
        }
    }
}
