// SPDX-License-Identifier: Apache-2.0

/// Ranges of a window that are mapped: sorted, never empty, never overlapping.
struct PieceList {
    private(set) var pieces: [Range<Int>] = []

    /// Whether some piece has a byte of `range`.
    func overlaps(_ range: Range<Int>) -> Bool {
        let index = firstIndex(endingAfter: range.lowerBound)
        return index < pieces.count && pieces[index].lowerBound < range.upperBound
    }

    /// Adds a piece that overlaps none.
    mutating func insert(_ range: Range<Int>) {
        pieces.insert(range, at: firstIndex(endingAfter: range.lowerBound))
    }

    /// Removes the piece that is exactly `range`; false when there is none.
    mutating func remove(exactly range: Range<Int>) -> Bool {
        let index = firstIndex(endingAfter: range.lowerBound)
        guard index < pieces.count, pieces[index] == range else { return false }
        pieces.remove(at: index)
        return true
    }

    /// Removes every byte of `range`, which may leave the ends of pieces behind.
    mutating func cut(_ range: Range<Int>) {
        let first = firstIndex(endingAfter: range.lowerBound)
        var end = first
        var rest: [Range<Int>] = []
        while end < pieces.count, pieces[end].lowerBound < range.upperBound {
            let piece = pieces[end]
            if piece.lowerBound < range.lowerBound { rest.append(piece.lowerBound..<range.lowerBound) }
            if piece.upperBound > range.upperBound { rest.append(range.upperBound..<piece.upperBound) }
            end += 1
        }
        pieces.replaceSubrange(first..<end, with: rest)
    }

    mutating func removeAll() { pieces.removeAll() }

    /// The first piece that has bytes at or after `offset`.
    private func firstIndex(endingAfter offset: Int) -> Int {
        var (low, high) = (0, pieces.count)
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].upperBound <= offset { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
