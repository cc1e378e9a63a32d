// SPDX-License-Identifier: Apache-2.0

/// When the guest is told of answers while more requests wait in its ring: in halves, so that it takes one half while we make
/// the other, for a few interrupts instead of one for each answer; and no later than `longest` after an answer, as far as the
/// last requests say how long the next one takes.
///
/// Times are in nanoseconds on one monotonic clock. Used by one thread.
struct Holdback {
    /// When the first answer was made that the guest was not told of.
    private var began: Int64 = 0
    /// When the last answer was made, if another request was begun at once; else 0.
    private var last: Int64 = 0
    /// How long the next request may take: the slowest of the last ones, forgotten by an eighth with each one that is quicker.
    private var slowest: Int64 = 0

    /// The longest time for which an answer is held back: a guest takes no less to wake up.
    static let longest: Int64 = 20_000

    /// Whether the guest is not told yet of what was answered, if more than that waits; asked after each answer.
    ///
    /// - Parameters:
    ///   - answered: that it was not told of, at least one.
    ///   - now: when the last of them was made.
    mutating func holds(_ answered: Int, now: Int64) -> Bool {
        let forgotten = slowest - slowest / 8
        slowest = last > 0 ? max(now - last, forgotten) : forgotten
        last = now
        if answered == 1 { began = now }
        return now - began + slowest <= Self.longest
    }

    /// The guest is told because no more waits than was answered: how long the next answer is in coming says nothing.
    mutating func rests() { last = 0 }
}
