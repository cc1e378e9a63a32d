// SPDX-License-Identifier: Apache-2.0
import Glibc
import HostOS
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

@Suite struct ProcessorClockTests {
    @Test func ofThisProcess() throws {
        let clock = ProcessorClock(process: getpid())
        let before = try #require(clock.read())
        var sum: UInt64 = 0
        for value in 0..<3_000_000 as Range<UInt64> { sum = sum &* 31 &+ value }
        #expect(sum != 1)
        #expect(try #require(clock.read()) > before)
    }

    @Test func ofChildrenToo() throws {
        // A shell that starts another one, which works until it is killed.
        let child = try ChildProcess(
            program: "/bin/sh", arguments: ["-c", "(while :; do :; done) & wait"], descriptors: [])
        defer { child.signal(SIGKILL) }
        let deadline = Deadline(milliseconds: 20_000)
        // Our own family has it: seen from here the clocks must grow although this process only waits.
        while !deadline.hasPassed {
            let clock = ProcessorClock(process: getpid())
            let own = ProcessorClock.ownOnly()
            let (family, mine) = (try #require(clock.read()), own)
            if family - mine > 50_000_000 { return }
            _ = waitReadable(child.endDescriptor, timeoutMilliseconds: 20)
        }
        Issue.record("the child's time is not counted")
    }

    @Test func ofNobody() {
        #expect(ProcessorClock(process: 0).read() == nil)
        #expect(ProcessorClock(process: -1).read() == nil)
    }
}

extension ProcessorClock {
    /// The processor time of this process alone, in nanoseconds.
    fileprivate static func ownOnly() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

@Suite struct WindowTests {
    @Test func warmUpThenCountThenOver() throws {
        var window = Window(
            WindowOptions(warmUp: 100, duration: 1000, minimumOperations: 2),
            clock: ProcessorClock(process: 0),
            now: 0)
        func note(began: Int64, ended: Int64) -> Bool { window.note(began: began, ended: ended) }
        #expect(note(began: 0, ended: 50))
        // The first that ends after the warm-up starts the window and does not count.
        #expect(note(began: 50, ended: 200))
        #expect(note(began: 200, ended: 210))
        // Long enough, and enough of them.
        #expect(!note(began: 210, ended: 1400))
        // Of another lane that was still at it.
        #expect(!note(began: 0, ended: 1500))
        let measurement = window.measurement(requests: 5)
        #expect(measurement.operations == 2 && measurement.operationsOfRun == 5 && measurement.requests == 5)
        #expect(measurement.seconds == 1.2e-6)
        #expect(measurement.p50 == 10)
        #expect(measurement.processorTimePerOperation == nil)
    }

    @Test func slowOperationsAreWaitedFor() {
        var window = Window(
            WindowOptions(warmUp: 0, duration: 10, minimumOperations: 2), clock: ProcessorClock(process: 0),
            now: 0)
        func note(began: Int64, ended: Int64) -> Bool { window.note(began: began, ended: ended) }
        #expect(note(began: 0, ended: 100))
        #expect(note(began: 0, ended: 200))
        #expect(!note(began: 0, ended: 300))
    }

    @Test func secondsAreNanoseconds() {
        let options = WindowOptions(seconds: 0.5, depth: 8)
        #expect(options.duration == 500_000_000 && options.warmUp == 100_000_000)
        #expect(options.minimumOperations == 16)
    }
}
