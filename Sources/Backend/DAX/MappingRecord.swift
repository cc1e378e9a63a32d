// SPDX-License-Identifier: Apache-2.0

/// How long the VMM took for what it was asked, for people.
struct MappingRecord {
    struct Times {
        private(set) var count = 0
        private var total: Int64 = 0
        private var longest: Int64 = 0

        mutating func add(_ nanoseconds: Int64) {
            count += 1
            total += nanoseconds
            longest = max(longest, nanoseconds)
        }

        /// "12 in 340 us each, at most 2100"
        var text: String {
            count == 0 ? "0" : "\(count) in \(total / Int64(count) / 1000) us each, at most \(longest / 1000)"
        }
    }

    var maps = Times()
    var unmaps = Times()

    /// nil: nothing was asked.
    var text: String? {
        maps.count + unmaps.count == 0 ? nil : "the VMM mapped \(maps.text); unmapped \(unmaps.text)"
    }
}
