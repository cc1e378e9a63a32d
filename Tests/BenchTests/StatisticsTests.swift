// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Bench

@Suite struct StatisticsTests {
    @Test func medians() {
        #expect(median([]) == nil)
        #expect(median([3]) == 3)
        #expect(median([9, 1, 5]) == 5)
        #expect(median([4, 1, 2, 9]) == 3)
    }

    @Test func geometricMeans() throws {
        #expect(geometricMean([]) == nil)
        #expect(abs(try #require(geometricMean([2, 8])) - 4) < 1e-9)
        #expect(abs(try #require(geometricMean([0.5, 2, 1])) - 1) < 1e-9)
    }
}

@Suite struct HistogramTests {
    /// The exact quantile by the same definition.
    private func exact(_ sorted: [Int64], _ fraction: Double) -> Double {
        Double(sorted[max(1, Int((fraction * Double(sorted.count)).rounded(.up))) - 1])
    }

    @Test func emptyAndSmall() {
        var histogram = Histogram()
        #expect(histogram.quantile(0.5) == nil)
        for value in [Int64(-5), 0, 1, 63] { histogram.record(value) }
        #expect(histogram.quantile(0) == 0)
        #expect(histogram.quantile(0.75) == 1)
        #expect(histogram.quantile(1) == 63)
        #expect(histogram.count == 4)
        histogram.removeAll()
        #expect(histogram.count == 0 && histogram.quantile(1) == nil)
    }

    @Test func bucketsMeetWithoutGap() {
        var last = -1
        for value in 0..<100_000 as Range<Int64> {
            let bucket = Histogram.bucket(of: value)
            #expect(bucket == last || bucket == last + 1)
            last = bucket
        }
    }

    @Test func everyValueIsNearTheMiddleOfItsBucket() {
        var value: Int64 = 1
        while value < 1 << 39 {
            for offset in [-1, 0, 1] as [Int64] {
                let middle = Histogram.middle(of: Histogram.bucket(of: value + offset))
                #expect(abs(middle - Double(value + offset)) <= Double(value + offset) / 100)
            }
            value += value / 3 + 1
        }
    }

    @Test(arguments: [1, 7, 100, 20_000]) func quantilesAgreeWithSortedArrays(count: Int) throws {
        var generator = SystemRandomNumberGenerator()
        var histogram = Histogram()
        // From 100 ns to 100 ms, as many in each decade.
        let values = (0..<count).map { _ in
            let decade = Int64.random(in: 2...7, using: &generator)
            return (0..<decade).reduce(Int64.random(in: 1...9, using: &generator)) { value, _ in
                value * 10 + Int64.random(in: 0...9, using: &generator)
            }
        }
        for value in values { histogram.record(value) }
        let sorted = values.sorted()
        for fraction in [0, 0.01, 0.5, 0.9, 0.99, 1] {
            let wanted = exact(sorted, fraction)
            let got = try #require(histogram.quantile(fraction))
            #expect(abs(got - wanted) <= wanted * 0.02, "\(fraction) of \(count)")
        }
    }

    @Test func whatIsLongerThanTheLastBucketStaysInIt() throws {
        var histogram = Histogram()
        histogram.record(.max)
        histogram.record(1 << 40)
        #expect(Histogram.bucket(of: .max) == Histogram.bucket(of: 1 << 40))
        #expect(try #require(histogram.quantile(1)) > Double(1 << 39))
    }
}
