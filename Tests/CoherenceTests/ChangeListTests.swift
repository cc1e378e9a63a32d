// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Coherence

@Suite struct ChangeListTests {
    private func sample() -> ChangeList {
        var list = ChangeList(next: 0x0102_0304_0506, state: [.missed])
        var change = Change(.movedHere, sequence: 7)
        (change.type, change.pair, change.object, change.parent) = (8, 5, 0x1_0000_0002, 1)
        change.name = Array("new".utf8)
        list.changes = [change, Change(.attributes, sequence: 9)]
        return list
    }

    @Test func bytes() {
        let bytes = sample().encoded()
        #expect(bytes.count == 24 + 2 * 296)
        #expect(bytes[..<4].elementsEqual("vchg".utf8))
        #expect(bytes[4..<8] == [1, 0, 0, 0])  // version
        #expect(bytes[8..<16] == [6, 5, 4, 3, 2, 1, 0, 0])  // next
        #expect(bytes[16..<24] == [2, 0, 0, 0, 1, 0, 0, 0])  // count, state
        #expect(bytes[24..<32] == [4, 8, 3, 0, 0, 0, 0, 0])  // kind, type, name length
        #expect(bytes[32..<48] == [7, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0])  // sequence, pair + 1
        #expect(bytes[48..<64] == [2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])  // object, parent
        #expect(bytes[64..<68].elementsEqual(Array("new".utf8) + [0]))
        #expect(ChangeList(ArraySlice(bytes)) == sample())
    }

    @Test func longestName() {
        var list = ChangeList(next: 1)
        var change = Change(.created, sequence: 0)
        change.name = [UInt8](repeating: 97, count: 255)
        list.changes = [change]
        #expect(ChangeList(ArraySlice(list.encoded())) == list)
    }

    @Test func nonsense() {
        let bytes = sample().encoded()
        #expect(ChangeList([]) == nil)
        #expect(ChangeList(bytes.dropLast()) == nil)
        for (place, value) in [(0, 0), (4, 2), (16, 3), (19, 255), (24, 99), (26 + 1, 1)] {
            var wrong = bytes
            wrong[place] = UInt8(value)
            #expect(ChangeList(ArraySlice(wrong)) == nil, "\(place)")
        }
    }

    @Test func room() {
        #expect(ChangeList.capacity(byteCount: 24 + 296) == 1)
        #expect(ChangeList.capacity(byteCount: 24 + 295) == 0)
        #expect(ChangeList.capacity(byteCount: 0) <= 0)
    }
}
