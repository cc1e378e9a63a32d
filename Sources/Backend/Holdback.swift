// SPDX-License-Identifier: Apache-2.0

/// When the guest is told of answers while more requests wait in its ring: in halves, so that it takes one half while we make
/// the other, for a few interrupts instead of one for each answer.
///
/// Times are in nanoseconds on one monotonic clock. Used by one thread.
struct Holdback {
    private var began: Int64 = 0
    /// So many answers more are told of at once.
    private var hasty = 0

    /// The longest time for which an answer is held back: a guest takes no less to wake up.
    static let longest: Int64 = 20_000
    /// Once it took longer, requests are slow here, and each might hold up the answers before it.
    static let hastyAfterwards = 64

    /// Whether the guest is not told yet of what was answered, if more than that waits; asked after each answer.
    ///
    /// - Parameters:
    ///   - answered: that it was not told of, at least one.
    ///   - now: when the last of them was made.
    mutating func holds(_ answered: Int, now: Int64) -> Bool {
        if hasty > 0 {
            hasty -= 1
            return false
        }
        if answered == 1 { began = now }
        if now - began <= Self.longest { return true }
        hasty = Self.hastyAfterwards
        return false
    }
}
