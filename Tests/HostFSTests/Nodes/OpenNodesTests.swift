// SPDX-License-Identifier: Apache-2.0
import FuseWire
import Testing

@testable import HostFS

@Suite struct OpenNodesTests {
    private func node(_ number: UInt64) -> NodeID { NodeID(rawValue: number) }

    @Test func takesHalfOfTheQuotaAtMost() throws {
        #expect(try OpenNodes(quota: 16).capacity == 8)
        #expect(try OpenNodes(quota: 1000).capacity == 256)
        #expect(try OpenNodes(quota: 1_000_000).capacity == 4096)
    }

    @Test func eachNodeHasOneHandle() throws {
        let table = try OpenNodes(quota: 100)
        #expect(table.find(node(5)) == nil)
        #expect(table.insert(node(5), 70) == nil)
        #expect(table.find(node(5)) == 70)
        #expect(table.insert(node(5), 71) == 70)
        #expect(table.find(node(5)) == 71)
        // The same slot, used again for another object.
        #expect(table.find(node(5 | 1 << 32)) == nil)
        #expect(table.remove(node(5)) == 71)
        #expect(table.remove(node(5)) == nil && table.find(node(5)) == nil)
    }

    @Test func theUnusedGiveWay() throws {
        let table = try OpenNodes(quota: 16)
        // All of one set, which has four places.
        let nodes = (1...5).map { node(UInt64($0) * UInt64(table.capacity)) }
        for (index, node) in nodes.prefix(4).enumerated() {
            #expect(table.insert(node, UInt64(index)) == nil)
        }
        let first = try #require(table.insert(nodes[4], 4))
        #expect(first < 4)
        let rest = nodes.enumerated().filter { $0.offset != first }
        // The one that is used stays while others come and go.
        let used = try #require(rest.first)
        for round in 0..<20 {
            #expect(table.find(used.element) == UInt64(used.offset))
            _ = table.insert(node(UInt64(100 + round) * UInt64(table.capacity)), UInt64(100 + round))
        }
    }

    @Test func allCanBeTakenOut() throws {
        let table = try OpenNodes(quota: 100)
        var handles: Set<UInt64> = []
        for number in 1...20 {
            if table.insert(node(UInt64(number)), UInt64(number)) == nil { handles.insert(UInt64(number)) }
        }
        while let handle = table.removeAny() { #expect(handles.remove(handle) != nil) }
        #expect(handles.isEmpty)
        #expect((1...20).allSatisfy { table.find(node($0)) == nil })
    }
}
