// SPDX-License-Identifier: Apache-2.0

/// Counts durations in buckets whose width grows with the value: below 64 ns each has one of its own, above, every power of
/// two is cut into 64. A quantile is the middle of its bucket, so it is at most 1/128 (0.8 %) away from the true one.
///
/// Its size is fixed; `record` takes nothing from the heap.
package struct Histogram: Sendable {
    private static let bits = 6
    private static let perOctave = 1 << bits
    /// The last bucket holds everything from about 18 minutes on.
    private static let octaves = 40 - bits
    private var buckets = [UInt32](repeating: 0, count: perOctave * (octaves + 1))
    package private(set) var count = 0

    package init() {}

    package mutating func removeAll() {
        for index in 0..<buckets.count { buckets[index] = 0 }
        count = 0
    }

    /// - Parameter nanoseconds: negative ones count as 0.
    package mutating func record(_ nanoseconds: Int64) {
        buckets[Self.bucket(of: nanoseconds)] &+= 1
        count &+= 1
    }

    /// The smallest recorded duration that at least `fraction` of all reach at most, in nanoseconds; nil when there is none.
    package func quantile(_ fraction: Double) -> Double? {
        if count == 0 { return nil }
        let rank = max(1, Int((fraction * Double(count)).rounded(.up)))
        var seen = 0
        for index in 0..<buckets.count {
            seen += Int(buckets[index])
            if seen >= rank { return Self.middle(of: index) }
        }
        return nil
    }

    static func bucket(of nanoseconds: Int64) -> Int {
        let value = UInt64(clamping: nanoseconds)
        if value < UInt64(perOctave) { return Int(value) }
        let octave = 63 - value.leadingZeroBitCount - bits
        if octave >= octaves { return perOctave * (octaves + 1) - 1 }
        // The highest bit is the octave; the six below it are the place in it.
        return perOctave * (octave + 1) + Int(value >> UInt64(octave)) - perOctave
    }

    /// The middle of a bucket, in nanoseconds.
    static func middle(of bucket: Int) -> Double {
        if bucket < perOctave { return Double(bucket) }
        let octave = bucket / perOctave - 1
        let start = (bucket % perOctave + perOctave) << octave
        return Double(start) + Double((1 << octave) - 1) / 2
    }
}
