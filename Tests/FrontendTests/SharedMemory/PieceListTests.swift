// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Frontend

@Suite struct PieceListTests {
    @Test func cutting() {
        var list = PieceList()
        list.insert(10..<20)
        list.insert(30..<40)
        list.insert(20..<30)
        #expect(list.pieces == [10..<20, 20..<30, 30..<40])
        #expect(list.overlaps(0..<11) && list.overlaps(39..<50) && !list.overlaps(0..<10))
        #expect(!list.overlaps(40..<50))
        list.cut(15..<35)
        #expect(list.pieces == [10..<15, 35..<40])
        list.cut(11..<13)
        #expect(list.pieces == [10..<11, 13..<15, 35..<40])
        let removed = [35..<39, 34..<40, 35..<40].map { list.remove(exactly: $0) }
        #expect(removed == [false, false, true])
        #expect(list.pieces == [10..<11, 13..<15])
        list.removeAll()
        #expect(list.pieces.isEmpty && !list.overlaps(0..<100))
    }

    /// Against an array of cells.
    @Test func likeAModel() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var list = PieceList()
            var cells = [Int](repeating: 0, count: 24)
            for step in 1...40 {
                let start = Int.random(in: 0..<24, using: &generator)
                let range = start..<Int.random(in: start + 1...24, using: &generator)
                let taken = range.contains { cells[$0] != 0 }
                if list.overlaps(range) != taken { Issue.record("\(list.pieces) and \(range)") }
                switch Int.random(in: 0..<3, using: &generator) {
                case 0:
                    list.cut(range)
                    for cell in range { cells[cell] = 0 }
                case 1:
                    let whole =
                        range.allSatisfy { cells[$0] != 0 && cells[$0] == cells[range.lowerBound] }
                        && !(range.lowerBound > 0 && cells[range.lowerBound - 1] == cells[range.lowerBound])
                        && !(range.upperBound < 24 && cells[range.upperBound] == cells[range.lowerBound])
                    if list.remove(exactly: range) != whole { Issue.record("\(list.pieces) and \(range)") }
                    if whole { for cell in range { cells[cell] = 0 } }
                default:
                    if taken { continue }
                    list.insert(range)
                    for cell in range { cells[cell] = step }
                }
                // Ends that a cut left behind are pieces of their own.
                for (index, piece) in list.pieces.enumerated() {
                    for cell in piece where cells[cell] != 0 { cells[cell] = 1000 + index }
                }
                let mapped = cells.indices.filter { cells[$0] != 0 }
                if list.pieces.flatMap(Array.init) != mapped { Issue.record("\(list.pieces)") }
            }
        }
    }
}
