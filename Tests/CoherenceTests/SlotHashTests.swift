// SPDX-License-Identifier: Apache-2.0
import HostOS
import Testing

@testable import Coherence

@Suite struct SlotHashTests {
    /// What the authors' program says to the bytes 00 01 … 0f with the key 00 01 … 0f.
    @Test func isSipHash24() {
        let hash = SlotHash(low: 0x0706_0504_0302_0100, high: 0x0f0e_0d0c_0b0a_0908, slots: 1)
        #expect(hash.hash(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908) == 0x3f2a_cc7f_57c2_9bdb)
    }

    @Test func slotsAreInRangeAndSpread() {
        let hash = SlotHash(low: 1, high: 2, slots: 1000)
        var counts = [Int](repeating: 0, count: 1000)
        for number in 0..<100_000 {
            counts[Int(hash.slot(of: FileKey(device: 0x8_0000_0001, number: UInt64(number))))] += 1
        }
        // A hundred each, give or take: seven standard deviations.
        #expect(counts.allSatisfy { (30...170).contains($0) })
    }

    @Test func anotherKeyGivesOtherSlots() {
        let key = FileKey(device: 1, number: 2)
        let slots = Set((0..<20).map { SlotHash(low: $0, high: 0, slots: 1 << 30).slot(of: key) })
        #expect(slots.count == 20)
    }
}
