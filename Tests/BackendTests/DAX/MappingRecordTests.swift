// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Backend

@Suite struct MappingRecordTests {
    @Test func nothingIsSaidOfNothing() {
        #expect(MappingRecord().text == nil)
    }

    @Test func theMeanAndTheLongest() {
        var record = MappingRecord()
        for nanoseconds in [340_000, 2_100_999, 60_000] as [Int64] { record.maps.add(nanoseconds) }
        #expect(record.text == "the VMM mapped 3 in 833 us each, at most 2100; unmapped 0")
        record.unmaps.add(1_000)
        #expect(
            record.text == "the VMM mapped 3 in 833 us each, at most 2100; unmapped 1 in 1 us each, at most 1"
        )
    }

    @Test func unmappingAloneIsWorthSaying() {
        var record = MappingRecord()
        record.unmaps.add(2_500_000)
        #expect(record.text == "the VMM mapped 0; unmapped 1 in 2500 us each, at most 2500")
    }
}
