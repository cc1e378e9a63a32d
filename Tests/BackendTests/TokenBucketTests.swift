// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Backend

/// Times are made up: nothing here waits.
@Suite struct TokenBucketTests {
    private static let second: Int64 = 1_000_000_000

    /// How many units a taker of `each` gets in `seconds` who asks again as soon as he may.
    private func taken(_ bucket: TokenBucket, each: Int, from start: Int64, for time: Int64) -> Int {
        var now = start
        var count = 0
        while true {
            let delay = bucket.delay(now: now)
            now += delay
            if now >= start + time { return count }
            #expect(bucket.delay(now: now) == 0, "the delay is enough")
            bucket.charge(each, now: now)
            count += each
        }
    }

    @Test(arguments: [(1000, 1), (1000, 7), (1 << 30, 1 << 20), (3, 1), (100, 250)] as [(UInt64, Int)])
    func theRateIsKept(rate: UInt64, each: Int) {
        let bucket = TokenBucket(perSecond: rate)
        let count = taken(bucket, each: each, from: 5 * Self.second, for: 100 * Self.second)
        // A tenth of a second's worth at once, and what overdraws it.
        let most = 100 * Int(rate) + Int(rate) / 10 + each
        #expect(count <= most && count >= 99 * Int(rate) - each)
    }

    @Test func aPauseSavesNoMoreThanATenth() {
        let bucket = TokenBucket(perSecond: 1000)
        bucket.charge(50, now: 0)
        var now = 3600 * Self.second
        for _ in 0..<100 {
            #expect(bucket.delay(now: now) == 0)
            bucket.charge(1, now: now)
        }
        let delay = bucket.delay(now: now)
        #expect(delay > 0 && delay <= Self.second / 1000)
        now += delay
        #expect(bucket.delay(now: now) == 0)
    }

    @Test func aLargeRequestIsPaidForAfterwards() {
        let bucket = TokenBucket(perSecond: 1 << 20)
        bucket.charge(10 << 20, now: 0)
        // Ten seconds' worth, of which a tenth of a second was free.
        #expect(bucket.delay(now: 0) == 99 * Self.second / 10 + 1)
        #expect(bucket.delay(now: 99 * Self.second / 10) == 1)
        #expect(bucket.delay(now: 99 * Self.second / 10 + 1) == 0)
    }

    @Test func whateverIsChargedIsForgivenSometime() {
        let bucket = TokenBucket(perSecond: 1)
        for units in [0, -1, Int.min, Int.max, 1 << 33, Int.max] { bucket.charge(units, now: 0) }
        #expect(bucket.delay(now: 0) > 0)
        #expect(bucket.delay(now: 3600 * Self.second) == 0)
    }

    @Test func nothingIsLimitedByDefault() {
        #expect(Throttle(RequestLimits()) == nil)
    }
}
