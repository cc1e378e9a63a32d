// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Frontend

@Suite struct KnownNodesTests {
    @Test func nodesAreKnownUntilAllLookupsAreForgotten() {
        var known = KnownNodes()
        known.add(7, slot: 3, isDirectory: false)
        known.add(7, slot: 3, isDirectory: false)
        known.add(8, slot: 3, isDirectory: true)
        #expect(known.inSlot(3) == [7, 8])
        known.forget(7, count: 1)
        #expect(known[7]?.slot == 3 && known[7]?.isDirectory == false)
        known.forget(7, count: 1)
        #expect(known[7] == nil && known.inSlot(3) == [8])
        known.forget(8, count: 5)
        known.forget(9, count: 1)
        #expect(known.inSlot(3) == [] && known.all.isEmpty)
    }

    @Test func pagesFromBeforeAChangeAreNotKept() {
        var known = KnownNodes()
        func mayKeep(_ now: Int64) -> Bool { known.mayKeepPages(of: 7, now: now) }
        let unknown = mayKeep(5)
        #expect(!unknown)
        known.add(7, slot: 3, isDirectory: false)
        let untouched = mayKeep(5)
        #expect(untouched)
        known.noteChange(of: 7, now: 1000)
        // The first one a second later drops them.
        let answers = [1001, 1_000_001_000, 1_000_001_001, 1_000_001_002].map { mayKeep($0) }
        #expect(answers == [false, false, false, true])
    }
}
