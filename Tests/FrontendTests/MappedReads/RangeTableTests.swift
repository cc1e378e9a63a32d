// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Frontend

@Suite struct RangeTableTests {
    private let piece = RangeTable.rangeByteCount
    private let second: Int64 = 1_000_000_000

    /// A table by reference: an expectation cannot change a value.
    @dynamicMemberLookup
    private final class Table {
        private var table: RangeTable
        init(_ ranges: Int) { table = RangeTable(rangeCount: ranges) }
        subscript<Value>(dynamicMember path: KeyPath<RangeTable, Value>) -> Value { table[keyPath: path] }

        func read(_ node: UInt64, offset: UInt64, count: Int, now: Int64) -> RangeTable.Pieces? {
            table.read(node, offset: offset, count: count, now: now)
        }
        func unpin(_ pieces: RangeTable.Pieces, isFault: Bool = false) {
            table.unpin(pieces, isFault: isFault)
        }
        func note(_ node: UInt64, size: UInt64, isDAX: Bool, askedAt: UInt64, now: Int64) {
            table.note(node, size: size, isDAX: isDAX, askedAt: askedAt, now: now)
        }
        func changeBegan(_ node: UInt64, cutsToZero: Bool = false) -> Bool {
            table.changeBegan(node, cutsToZero: cutsToZero)
        }
        func changeEnded(_ node: UInt64, size: UInt64? = nil, writtenTo end: UInt64 = 0) {
            table.changeEnded(node, size: size, writtenTo: end)
        }
        func forget(_ node: UInt64, count: UInt64) -> Bool { table.forget(node, count: count) }
        func mapEnded(_ range: Int, success: Bool) { table.mapEnded(range, success: success) }
        func unmapEnded(_ batch: Int) { table.unmapEnded(batch) }
        func attributesEnded(_ node: UInt64) { table.attributesEnded(node) }
        func nextTask() -> RangeTable.Task? { table.nextTask() }
        func putBack(_ task: RangeTable.Task) { table.putBack(task) }
        func unmapping(_ batch: Int) -> [Int] { table.unmapping(batch) }
    }

    /// A table that knows one file, node 7.
    private func table(ranges: Int = 32, size: UInt64 = 64 << 20) -> Table {
        let table = Table(ranges)
        table.note(7, size: size, isDAX: true, askedAt: 0, now: 0)
        return table
    }

    /// Carries out whatever the table wants, as a willing daemon, and says what that was.
    @discardableResult
    private func settle(_ table: Table) -> [RangeTable.Task] {
        var all: [RangeTable.Task] = []
        while let task = table.nextTask() {
            all.append(task)
            switch task {
            case .map(let range, _, _): table.mapEnded(range, success: true)
            case .unmap(let batch, _): table.unmapEnded(batch)
            case .attributes(let node): table.attributesEnded(node)
            case .forget: break
            }
        }
        return all
    }

    /// Maps a piece of node 7 and returns its range.
    private func map(_ number: UInt64, in table: Table) throws -> UInt64 {
        _ = table.read(7, offset: number * piece + 1, count: 1, now: 0)
        settle(table)
        let pieces = try #require(table.read(7, offset: number * piece + 1, count: 1, now: 0))
        table.unpin(pieces)
        return pieces.first.lowerBound / piece
    }

    @Test func aPieceIsMappedWhenItIsRead() throws {
        let table = table()
        #expect(table.read(7, offset: 3 * piece + 5, count: 10, now: 0) == nil)
        #expect(table.nextTask() == .map(range: 0, node: 7, fileOffset: 3 * piece))
        #expect(table.read(7, offset: 3 * piece, count: 10, now: 0) == nil, "it is not there yet")
        #expect(table.nextTask() == nil, "and is asked for once")
        table.mapEnded(0, success: true)
        let pieces = try #require(table.read(7, offset: 3 * piece + 5, count: 10, now: 0))
        #expect(pieces.first == 5..<15 && pieces.second.isEmpty)
        #expect(table.counts.hits == 1 && table.counts.misses == 2 && table.counts.mapped == 1)
    }

    @Test func aReadOverABorder() throws {
        let table = table()
        let (low, high) = (try map(1, in: table), try map(2, in: table))
        let pieces = try #require(table.read(7, offset: 2 * piece - 10, count: 30, now: 0))
        #expect(pieces.first == (low + 1) * piece - 10..<(low + 1) * piece)
        #expect(pieces.second == high * piece..<high * piece + 20)
        // Exactly up to it.
        let exact = try #require(table.read(7, offset: 2 * piece - 10, count: 10, now: 0))
        #expect(exact.first == (low + 1) * piece - 10..<(low + 1) * piece && exact.second.isEmpty)
    }

    @Test func onlyWhatIsBelowTheSize() throws {
        let table = table(size: piece + 100)
        _ = try map(1, in: table)
        #expect(table.read(7, offset: piece, count: 100, now: 0) != nil)
        #expect(table.read(7, offset: piece, count: 101, now: 0) == nil)
        #expect(table.read(7, offset: .max, count: 1, now: 0) == nil)
        #expect(table.read(7, offset: .max - 1, count: 1, now: 0) == nil)
        #expect(table.read(7, offset: 0, count: 0, now: 0) == nil)
        #expect(table.read(8, offset: 0, count: 1, now: 0) == nil)
        table.note(8, size: 100, isDAX: false, askedAt: 0, now: 0)
        #expect(table.read(8, offset: 0, count: 1, now: 0) == nil)
        #expect(settle(table) == [])
    }

    /// A reader who goes on finds the next piece mapped.
    @Test func theNextPieceIsMappedAhead() {
        let table = table()
        let half = Int(piece / 2)
        _ = table.read(7, offset: 0, count: half, now: 0)
        #expect(Set(settle(table).map { "\($0)" }).count == 2)
        #expect(table.read(7, offset: piece / 2, count: half, now: 0) != nil)
        #expect(table.read(7, offset: piece, count: half, now: 0) != nil)
        #expect(settle(table) == [.map(range: 2, node: 7, fileOffset: 2 * piece)])
        // Here and there: no.
        _ = table.read(7, offset: 20 * piece, count: half, now: 0)
        #expect(settle(table) == [.map(range: 3, node: 7, fileOffset: 20 * piece)])
    }

    // MARK: Sizes

    @Test func aSizeCountsForASecond() throws {
        let table = table()
        _ = try map(0, in: table)
        #expect(table.read(7, offset: 0, count: 1, now: second - 1) != nil)
        #expect(table.read(7, offset: 0, count: 1, now: second) == nil)
        #expect(table.read(7, offset: 0, count: 1, now: second) == nil)
        #expect(settle(table) == [.attributes(node: 7)], "asked for once")
        #expect(table.read(7, offset: 0, count: 1, now: second) == nil, "that answer had nothing")
        table.note(7, size: 1, isDAX: true, askedAt: 0, now: second)
        #expect(table.read(7, offset: 0, count: 1, now: second) != nil)
        #expect(table.read(7, offset: 0, count: 2, now: second) == nil)
    }

    /// A READ must not overtake a change that the kernel has sent before.
    @Test func changesOnTheirWay() throws {
        let table = table(size: 100)
        _ = try map(0, in: table)
        #expect(!table.changeBegan(8))
        #expect(table.changeBegan(7))
        #expect(table.changeBegan(7))
        #expect(table.read(7, offset: 0, count: 1, now: 0) == nil)
        table.changeEnded(7, writtenTo: 200)
        #expect(table.read(7, offset: 0, count: 1, now: 0) == nil)
        table.changeEnded(7)
        #expect(table.read(7, offset: 199, count: 1, now: 0) != nil)
        #expect(table.read(7, offset: 200, count: 1, now: 0) == nil)
        // One more end than beginnings, of a request from before we knew the file, changes nothing.
        table.changeEnded(7)
        #expect(table.read(7, offset: 199, count: 1, now: 0) != nil)
    }

    @Test func truncation() throws {
        let table = table(size: 100)
        _ = try map(0, in: table)
        let before = table.clock
        _ = table.changeBegan(7)
        table.changeEnded(7, size: 10)
        #expect(table.read(7, offset: 0, count: 11, now: 0) == nil)
        #expect(table.read(7, offset: 0, count: 10, now: 0) != nil)
        // Attributes that were asked for before may tell the old size; smaller ones are believed.
        table.note(7, size: 100, isDAX: true, askedAt: before, now: 0)
        #expect(table.read(7, offset: 0, count: 11, now: 0) == nil)
        table.note(7, size: 9, isDAX: true, askedAt: before, now: 0)
        #expect(table.read(7, offset: 0, count: 10, now: 0) == nil)
        table.note(7, size: 50, isDAX: true, askedAt: table.clock, now: 0)
        #expect(table.read(7, offset: 0, count: 50, now: 0) != nil)
        // O_TRUNC says no size.
        _ = table.changeBegan(7, cutsToZero: true)
        table.changeEnded(7)
        #expect(table.read(7, offset: 0, count: 1, now: 0) == nil)
    }

    // MARK: Ranges

    @Test func theLongestUnusedIsTakenBack() throws {
        let table = table(ranges: 8)
        // One is kept free.
        var used: [UInt64] = []
        for number in 0..<7 { used.append(try map(UInt64(number * 3), in: table)) }
        #expect(table.counts.reclaims == 0)
        let first = try #require(table.read(7, offset: 0, count: 1, now: 0))
        table.unpin(first)
        _ = table.read(7, offset: 30 * piece + 1, count: 1, now: 0)
        #expect(table.counts.reclaims == 1)
        guard case .unmap(let batch, 7) = table.nextTask() else {
            Issue.record("nothing is taken back")
            return
        }
        #expect(table.unmapping(batch) == [Int(used[1])], "the first was used after it")
        #expect(table.read(7, offset: 3 * piece, count: 1, now: 0) == nil)
    }

    @Test func whatIsBeingCopiedStays() throws {
        let table = table(ranges: 1)
        _ = try map(0, in: table)
        let copy = try #require(table.read(7, offset: 0, count: 1, now: 0))
        let other = try #require(table.read(7, offset: 1, count: 1, now: 0))
        _ = table.read(7, offset: 5 * piece, count: 1, now: 0)
        #expect(settle(table) == [], "there is no other range")
        table.note(7, size: 64 << 20, isDAX: false, askedAt: 0, now: 0)
        table.unpin(copy)
        #expect(settle(table) == [])
        table.unpin(other)
        #expect(settle(table) == [.unmap(batch: 1, node: 7)])
        #expect(table.counts.mapped == 0)
    }

    @Test func aRefusedFileIsLeftToTheDaemon() throws {
        let table = table()
        _ = try map(0, in: table)
        _ = table.read(7, offset: piece + 1, count: 1, now: 0)
        guard case .map(let range, 7, _) = table.nextTask() else {
            Issue.record("nothing is mapped")
            return
        }
        table.mapEnded(range, success: false)
        #expect(settle(table) == [.unmap(batch: 1, node: 7)])
        for number in 0..<3 as Swift.Range<UInt64> {
            #expect(table.read(7, offset: number * piece, count: 1, now: 0) == nil)
        }
        #expect(settle(table) == [])
        #expect(table.counts.refusals == 1)
        // Whoever looks it up anew may try again.
        #expect(!table.forget(7, count: 1))
        table.note(7, size: 100, isDAX: true, askedAt: 0, now: 0)
        _ = try map(0, in: table)
    }

    @Test func faults() throws {
        let table = table()
        _ = try map(0, in: table)
        let before = table.counts
        table.unpin(try #require(table.read(7, offset: 0, count: 1, now: 0)), isFault: true)
        #expect(table.counts.hits == before.hits && table.counts.misses == before.misses + 1)
        #expect(table.counts.faults == 1)
    }

    // MARK: FORGET

    /// The daemon forgets a file when nothing of it is mapped any more.
    @Test func forgettingWaits() throws {
        let table = table()
        #expect(!table.forget(8, count: 1))
        for number in 0..<3 { _ = try map(UInt64(number), in: table) }
        #expect(table.forget(7, count: 2))
        guard case .unmap(let batch, 7) = table.nextTask() else {
            Issue.record("nothing is taken away")
            return
        }
        #expect(table.unmapping(batch).count == 3, "all at once")
        #expect(table.nextTask() == nil)
        table.unmapEnded(batch)
        #expect(table.nextTask() == .forget(node: 7, count: 2))
        #expect(table.nodes.isEmpty && table.counts.mapped == 0)
    }

    @Test func forgettingWhatIsJustBeingMapped() throws {
        let table = table()
        _ = table.read(7, offset: 1, count: 1, now: 0)
        guard case .map(let range, 7, _) = table.nextTask() else {
            Issue.record("nothing is mapped")
            return
        }
        #expect(table.forget(7, count: 1))
        #expect(table.nextTask() == nil)
        // Looked up again meanwhile: known on, and forgotten as often as the kernel said.
        table.note(7, size: 100, isDAX: true, askedAt: 0, now: 0)
        #expect(table.forget(7, count: 3))
        table.note(7, size: 100, isDAX: true, askedAt: 0, now: 0)
        table.mapEnded(range, success: true)
        #expect(table.read(7, offset: 0, count: 1, now: 0) == nil)
        #expect(settle(table) == [.unmap(batch: 1, node: 7), .forget(node: 7, count: 4)])
        _ = try map(0, in: table)
    }

    @Test func aTaskThatCannotBeSentComesAgain() throws {
        let table = table()
        _ = table.read(7, offset: 1, count: 1, now: 0)
        let task = try #require(table.nextTask())
        table.putBack(task)
        #expect(table.hasTasks && table.nextTask() == task)
        table.mapEnded(0, success: true)
        #expect(table.forget(7, count: 1))
        let removal = try #require(table.nextTask())
        table.putBack(removal)
        #expect(settle(table).count == 2)
    }

    // MARK: All together

    /// Whatever happens in whatever order: a copy's ranges hold the piece that was asked for as long as it is under way.
    @Test func anyOrder() throws {
        var random = Numbers(state: 1)
        let table = Table(6)
        /// What the daemon has mapped, as it sees it: by range, the node and the offset.
        var window: [Int: (node: UInt64, offset: UInt64)] = [:]
        var sent: [RangeTable.Task] = []
        var copies: [(pieces: RangeTable.Pieces, node: UInt64, offset: UInt64)] = []
        func check(_ copy: (pieces: RangeTable.Pieces, node: UInt64, offset: UInt64)) {
            var offset = copy.offset
            for part in [copy.pieces.first, copy.pieces.second] where !part.isEmpty {
                let range = Int(part.lowerBound / piece)
                #expect(window[range]?.node == copy.node)
                #expect((window[range]?.offset ?? 1) + part.lowerBound % piece == offset)
                #expect(part.upperBound <= UInt64(range + 1) * piece)
                offset += UInt64(part.count)
            }
        }
        for step in 0..<20_000 {
            let node = 1 + random.next(3)
            switch random.next(12) {
            case 0...4:
                let (offset, count) = (random.next(8 << 20), 1 + random.next(1 << 20))
                if let pieces = table.read(node, offset: offset, count: Int(count), now: 0) {
                    #expect(UInt64(pieces.first.count + pieces.second.count) == count)
                    copies.append((pieces, node, offset))
                    check((pieces, node, offset))
                }
            case 5:
                if !copies.isEmpty {
                    let copy = copies.remove(at: Int(random.next(UInt64(copies.count))))
                    check(copy)
                    table.unpin(copy.pieces)
                }
            case 6, 7: if let task = table.nextTask() { sent.append(task) }
            case 8, 9:
                guard !sent.isEmpty else { continue }
                switch sent.remove(at: Int(random.next(UInt64(sent.count)))) {
                case .map(let range, let node, let offset):
                    let works = random.next(10) > 0
                    #expect(window[range] == nil, "step \(step): mapped over")
                    if works { window[range] = (node, offset) }
                    table.mapEnded(range, success: works)
                case .unmap(let batch, _):
                    for range in table.unmapping(batch) { window[range] = nil }
                    for copy in copies { check(copy) }
                    table.unmapEnded(batch)
                case .attributes(let node): table.attributesEnded(node)
                case .forget: break
                }
            case 10: table.note(node, size: 9 << 20, isDAX: random.next(8) > 0, askedAt: 0, now: 0)
            default: if random.next(4) == 0 { _ = table.forget(node, count: 1) }
            }
        }
        #expect(table.counts.hits > 500 && table.counts.reclaims > 50, "\(table.counts)")
    }

    private struct Numbers {
        var state: UInt64
        mutating func next(_ bound: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % bound
        }
    }
}
