// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Backend

/// The policy of watching, with a clock of the test's own.
@Suite struct AdaptivePollingTests {
    private static let second: Int64 = 1_000_000_000
    private static let longest: Int64 = 200_000

    private func polling(_ mode: PollingOptions.Mode = .automatic, cpus: Int = 2) -> AdaptivePolling {
        AdaptivePolling(PollingOptions(mode, cpus: cpus), now: 0)
    }

    @Test func nothingIsWatchedBeforeItHasPaid() {
        var automatic = polling()
        #expect(automatic.length(now: Self.second) == 0)
    }

    @Test func oneCPUIsLeftToTheGuest() {
        var alone = polling(cpus: 1)
        alone.waited(for: 1000)
        #expect(alone.length(now: Self.second) == 0)
    }

    @Test func offAndFixedDoNotLearn() {
        var off = polling(.off)
        var fixed = polling(.fixed(70_000), cpus: 1)
        for _ in 0..<10 {
            off.waited(for: 1000)
            fixed.waited(for: Self.second)
        }
        #expect(off.length(now: Self.second) == 0)
        #expect(fixed.length(now: 0) == 70_000)
    }

    @Test func shortSleepsOpenTheWindowByDoubling() {
        var automatic = polling()
        var seen: [Int64] = []
        for _ in 0..<7 {
            automatic.waited(for: 190_000)
            seen.append(automatic.length(now: Self.second))
        }
        #expect(seen == [10_000, 20_000, 40_000, 80_000, 160_000, 200_000, 200_000])
    }

    @Test func theWindowGrowsOnlyPastWhatIsWaitedFor() {
        var automatic = polling()
        for _ in 0..<10 { automatic.waited(for: 30_000) }
        #expect(automatic.length(now: Self.second) == 40_000)
    }

    @Test func aLongSleepClosesTheWindow() {
        var automatic = polling()
        for _ in 0..<5 { automatic.waited(for: 100_000) }
        automatic.waited(for: Self.longest + 1)
        #expect(automatic.length(now: Self.second) == 0)
    }

    /// However often a sleep is just short enough to open the window again.
    @Test func whatIsWatchedInVainStaysWithinTheBudget() {
        var automatic = polling()
        var now: Int64 = 0
        var watched: Int64 = 0
        while now < 10 * Self.second {
            let length = automatic.length(now: now)
            now += length
            watched += length
            if length > 0 { automatic.watched(found: false, for: length, longestGap: 100, now: now) }
            now += 50_000
            automatic.waited(for: 50_000)
        }
        #expect(watched > 0)
        #expect(watched <= 10 * Self.second * 5 / 100 + Self.longest)
    }

    @Test func whatIsFoundIsNotChargedForAndCounted() {
        var automatic = polling()
        for _ in 0..<5 { automatic.waited(for: 100_000) }
        var now = Self.second
        for _ in 0..<10_000 {
            #expect(automatic.length(now: now) == 160_000)
            now += 100_000
            automatic.watched(found: true, for: 100_000, longestGap: 100, now: now)
        }
        #expect(automatic.record.watches == 10_000 && automatic.record.hits == 10_000)
        #expect(automatic.record.nanoseconds == Self.second)
        #expect(automatic.record.text.contains("found a request in 100 %"))
    }

    /// The thread was not running: others want the CPU.
    @Test func anIntrusionEndsWatchingForAWhile() {
        var automatic = polling()
        for _ in 0..<5 { automatic.waited(for: 100_000) }
        automatic.watched(found: true, for: 120_000, longestGap: 110_000, now: Self.second)
        for _ in 0..<5 { automatic.waited(for: 100_000) }
        #expect(automatic.length(now: Self.second + 19_000_000) == 0)
        #expect(automatic.length(now: Self.second + 21_000_000) == 160_000)
    }

    @Test func atMostHalfOfTheCPUsWatch() {
        for (cpus, limit) in [(1, 1), (2, 1), (3, 1), (4, 2), (16, 8)] {
            let watchers = Watchers(cpus: cpus)
            for _ in 0..<limit { #expect(watchers.enter()) }
            #expect(!watchers.enter())
            watchers.leave()
            #expect(watchers.enter())
        }
    }
}
