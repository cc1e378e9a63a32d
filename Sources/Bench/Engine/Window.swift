// SPDX-License-Identifier: Apache-2.0
import HostOS

/// How long to measure.
package struct WindowOptions: Sendable {
    /// Operations that end before this much has passed count for nothing, in nanoseconds.
    package var warmUp: Int64
    /// How long to count after that, in nanoseconds.
    package var duration: Int64
    /// The fewest operations to count, however long that takes.
    package var minimumOperations: Int

    package init(warmUp: Int64, duration: Int64, minimumOperations: Int) {
        self.warmUp = warmUp
        self.duration = duration
        self.minimumOperations = minimumOperations
    }

    /// For a run of `depth` lanes: two operations of each are the fewest, or lanes that end theirs at the same moment would
    /// say more about the window than about the daemon.
    package init(seconds: Double, depth: Int) {
        duration = Int64((seconds * 1e9).rounded())
        warmUp = duration / 5
        minimumOperations = 2 * depth
    }
}

/// What was counted in one window.
package struct Measurement: Sendable {
    package let operations: Int
    package let seconds: Double
    /// In nanoseconds.
    package let p50: Double
    package let p99: Double
    /// Of the daemon, in nanoseconds; nil when it cannot be known.
    package let processorTimePerOperation: Double?
    /// Requests sent from the run's first to its last, FORGETs too, and operations in the same time.
    package let requests: Int
    package let operationsOfRun: Int

    package var operationsPerSecond: Double { Double(operations) / seconds }
}

/// Times operations: first the warm-up, then the window, then nothing more.
struct Window {
    private let options: WindowOptions
    private let clock: ProcessorClock
    private var histogram = Histogram()
    private let countsFrom: Int64
    private var start: Int64 = 0
    private var end: Int64 = 0
    private var processorStart: Int64?
    private var processorEnd: Int64?
    private var operationsOfRun = 0
    private enum Phase { case warmUp, counting, over }
    private var phase = Phase.warmUp

    /// Begins at `now` of the monotonic clock.
    init(_ options: WindowOptions, clock: ProcessorClock, now: Int64 = monotonicNanoseconds()) {
        self.options = options
        self.clock = clock
        countsFrom = now + options.warmUp
    }

    /// Takes note of an operation; false when it was the last one needed.
    mutating func note(began: Int64, ended: Int64) -> Bool {
        operationsOfRun += 1
        switch phase {
        case .warmUp:
            if ended < countsFrom { return true }
            start = ended
            processorStart = clock.read()
            phase = .counting
            return true
        case .counting:
            histogram.record(ended - began)
            if ended - start < options.duration || histogram.count < options.minimumOperations { return true }
            end = ended
            processorEnd = clock.read()
            phase = .over
            return false
        case .over: return false
        }
    }

    func measurement(requests: Int) -> Measurement {
        var perOperation: Double?
        if let processorStart, let processorEnd, histogram.count > 0 {
            perOperation = Double(max(0, processorEnd - processorStart)) / Double(histogram.count)
        }
        return Measurement(
            operations: histogram.count, seconds: Double(max(1, end - start)) / 1e9,
            p50: histogram.quantile(0.5) ?? 0, p99: histogram.quantile(0.99) ?? 0,
            processorTimePerOperation: perOperation, requests: requests, operationsOfRun: operationsOfRun)
    }
}
