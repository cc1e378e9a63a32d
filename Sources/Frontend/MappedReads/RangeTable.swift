// SPDX-License-Identifier: Apache-2.0

/// Which pieces of which files lie in a DAX window: its ranges of 2 MiB, as Linux's fs/fuse/dax.c keeps them.
///
/// Pure: what has to be said to the daemon comes out as tasks, whose ends are told back. One thread at a time uses it.
struct RangeTable {
    static let rangeByteCount: UInt64 = 2 << 20
    /// How long a size that was seen counts.
    static let trustNanoseconds: Int64 = 1_000_000_000
    /// REMOVEMAPPING of so many ranges at a time.
    static let batch = 32

    /// free → mapping → mapped → unmapping → free.
    private enum State { case free, mapping, mapped, unmapping }
    private struct Range {
        var state = State.free
        /// To be taken away as soon as it can be.
        var isDoomed = false
        /// Copies under way.
        var pins = 0
        var piece: UInt64 = 0
        var node: MappedNode?
    }

    /// What the daemon is to be asked.
    enum Task: Equatable, Sendable {
        case map(range: Int, node: UInt64, fileOffset: UInt64)
        /// The ranges that `unmapping` lists; all of one node.
        case unmap(batch: Int, node: UInt64)
        case attributes(node: UInt64)
        case forget(node: UInt64, count: UInt64)
    }

    /// Bytes of the window that are the answer to a READ; their ranges stay as they are until `unpin`.
    struct Pieces: Equatable, Sendable {
        var first: Swift.Range<UInt64> = 0..<0
        /// Empty unless the READ goes on in another range.
        var second: Swift.Range<UInt64> = 0..<0
    }

    var counts = WindowCounts()
    /// Changes of all files that have ended.
    var clock: UInt64 = 0
    var nodes: [UInt64: MappedNode] = [:]
    private var ranges: [Range]
    private var free: [Int]
    private var order: UseOrder
    private var tasks: [Task] = []
    private var toUnmap: [Int] = []
    private var batches: [Int: [Int]] = [:]
    private var nextBatch = 0
    /// Ranges on their way to be free.
    private var leaving = 0

    init(rangeCount: Int) {
        ranges = [Range](repeating: Range(), count: rangeCount)
        free = Array((0..<rangeCount).reversed())
        order = UseOrder(count: rangeCount)
        counts.ranges = rangeCount
    }

    /// So many are kept free, so that a READ need not wait for two requests until its piece is mapped.
    private var reserve: Int { max(1, ranges.count / 8) }

    // MARK: Reading

    /// Where the window has the bytes of a READ, now pinned; nil when the daemon must be asked.
    ///
    /// - Parameter count: at most the size of a range.
    mutating func read(_ id: UInt64, offset: UInt64, count: Int, now: Int64) -> Pieces? {
        guard let node = nodes[id], node.isDAX, count > 0, UInt64(count) <= Self.rangeByteCount else {
            return nil
        }
        let (end, overflow) = offset.addingReportingOverflow(UInt64(count))
        let isSequential = offset == node.nextOffset
        if !overflow { node.nextOffset = end }
        guard !overflow, !node.isRefused, node.changes == 0, end <= node.size, isTrusted(node, now) else {
            counts.misses += 1
            return nil
        }
        let (first, last) = (offset / Self.rangeByteCount, (end - 1) / Self.rangeByteCount)
        let start = mappedRange(of: node, first)
        let rest = last == first ? start : mappedRange(of: node, last)
        if isSequential && ranges.count >= 4 { mapAhead(node, last + 1) }
        guard let start, let rest else {
            counts.misses += 1
            return nil
        }
        counts.hits += 1
        pin(start)
        let from = UInt64(start) * Self.rangeByteCount + offset % Self.rangeByteCount
        if last == first { return Pieces(first: from..<from + UInt64(count)) }
        pin(rest)
        let begin = UInt64(rest) * Self.rangeByteCount
        return Pieces(
            first: from..<UInt64(start + 1) * Self.rangeByteCount,
            second: begin..<begin + end % Self.rangeByteCount)
    }

    /// A copy has ended; with `isFault` without all bytes.
    mutating func unpin(_ pieces: Pieces, isFault: Bool = false) {
        for piece in [pieces.first, pieces.second] where !piece.isEmpty {
            let range = Int(piece.lowerBound / Self.rangeByteCount)
            ranges[range].pins -= 1
            if ranges[range].isDoomed { doom(range) }
        }
        if isFault {
            counts.hits -= 1
            counts.misses += 1
            counts.faults += 1
        }
    }

    private mutating func pin(_ range: Int) {
        ranges[range].pins += 1
        order.touch(range)
    }

    private mutating func isTrusted(_ node: MappedNode, _ now: Int64) -> Bool {
        if now < node.trustedUntil { return true }
        if !node.isAsked {
            node.isAsked = true
            tasks.append(.attributes(node: node.id))
        }
        return false
    }

    /// The range that has a piece; nil if there is none yet, and then it is on its way, if that is possible.
    private mutating func mappedRange(of node: MappedNode, _ piece: UInt64) -> Int? {
        guard let range = node.ranges[piece] else {
            map(node, piece)
            return nil
        }
        return ranges[range].state == .mapped && !ranges[range].isDoomed ? range : nil
    }

    private mutating func mapAhead(_ node: MappedNode, _ piece: UInt64) {
        if piece * Self.rangeByteCount < node.size, node.ranges[piece] == nil { map(node, piece) }
    }

    // MARK: Ranges

    private mutating func map(_ node: MappedNode, _ piece: UInt64) {
        if let range = free.popLast() {
            ranges[range] = Range(state: .mapping, piece: piece, node: node)
            node.ranges[piece] = range
            tasks.append(.map(range: range, node: node.id, fileOffset: piece * Self.rangeByteCount))
        }
        while free.count + leaving < reserve, reclaim() {}
    }

    /// Takes back the range that was used longest ago; false when all are in use.
    private mutating func reclaim() -> Bool {
        var range = order.oldest
        while range >= 0 {
            if ranges[range].pins == 0 {
                doom(range)
                counts.reclaims += 1
                return true
            }
            range = order.next(after: range)
        }
        return false
    }

    /// Takes a range away, now or when its copies have ended or it has become mapped.
    private mutating func doom(_ range: Int) {
        ranges[range].isDoomed = true
        guard ranges[range].state == .mapped, ranges[range].pins == 0 else { return }
        ranges[range].state = .unmapping
        order.remove(range)
        counts.mapped -= 1
        leaving += 1
        toUnmap.append(range)
    }

    mutating func doomAll(of node: MappedNode) {
        for range in node.ranges.values { doom(range) }
    }

    /// The daemon has answered SETUPMAPPING.
    mutating func mapEnded(_ range: Int, success: Bool) {
        guard ranges[range].state == .mapping else { return }
        if success {
            counts.mappings += 1
            counts.mapped += 1
            ranges[range].state = .mapped
            order.append(range)
            if ranges[range].isDoomed { doom(range) }
            return
        }
        counts.refusals += 1
        let node = ranges[range].node
        release(range)
        guard let node else { return }
        node.isRefused = true
        doomAll(of: node)
    }

    /// The daemon has answered REMOVEMAPPING. What it refuses to take away is not there.
    mutating func unmapEnded(_ batch: Int) {
        for range in batches.removeValue(forKey: batch) ?? [] {
            leaving -= 1
            release(range)
        }
    }

    private mutating func release(_ range: Int) {
        let node = ranges[range].node
        if let node { node.ranges[ranges[range].piece] = nil }
        ranges[range] = Range()
        free.append(range)
        if let node { settle(node) }
    }

    /// Whatever had to wait until nothing of a file is mapped any more.
    mutating func settle(_ node: MappedNode) {
        guard node.ranges.isEmpty else { return }
        if node.forgets > 0 {
            tasks.append(.forget(node: node.id, count: node.forgets))
            node.forgets = 0
        }
        if !node.isDAX && node.changes == 0 && nodes[node.id] === node { nodes[node.id] = nil }
    }

    // MARK: Tasks

    var hasTasks: Bool { !tasks.isEmpty || !toUnmap.isEmpty }

    /// Something that the daemon is to be asked; whoever takes it reports its end.
    mutating func nextTask() -> Task? {
        guard let range = toUnmap.popLast() else { return tasks.popLast() }
        var all = [range]
        let node = ranges[range].node
        while all.count < Self.batch, let other = toUnmap.last, ranges[other].node === node {
            all.append(toUnmap.removeLast())
        }
        nextBatch += 1
        batches[nextBatch] = all
        return .unmap(batch: nextBatch, node: node?.id ?? 0)
    }

    /// The ranges of a batch.
    func unmapping(_ batch: Int) -> [Int] { batches[batch] ?? [] }

    /// A task could not be sent now.
    mutating func putBack(_ task: Task) {
        if case .unmap(let batch, _) = task {
            toUnmap += batches.removeValue(forKey: batch) ?? []
        } else {
            tasks.append(task)
        }
    }
}
