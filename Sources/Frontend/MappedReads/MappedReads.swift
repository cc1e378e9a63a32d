// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import HostOS
import Synchronization

/// READs of a mount that are answered from the daemon's DAX window, without the daemon: its table of ranges, shared by the
/// mount's threads.
final class MappedReads: Sendable {
    let window: SharedMemoryWindow
    private let table: Mutex<RangeTable>
    /// Copies of what the table knows, for those who only want to look.
    private let clock = Atomic<UInt64>(0)
    private let hasTasksNow = Atomic<Bool>(false)
    private let uniques = Atomic<UInt64>(MappedReads.firstUnique)

    /// Even, as uniques are, and none that the kernel gets to.
    private static let firstUnique: UInt64 = 1 << 61

    /// - Parameter byteCount: uses so much of the window at most; nil when that is less than a range.
    init?(_ window: SharedMemoryWindow, atMost byteCount: Int) {
        let count = min(window.byteCount, byteCount) / Int(RangeTable.rangeByteCount)
        guard count > 0 else { return nil }
        self.window = window
        table = Mutex(RangeTable(rangeCount: count))
    }

    var counts: WindowCounts { table.withLock { $0.counts } }

    /// A name for a request of our own.
    func makeUnique() -> UInt64 { uniques.add(2, ordering: .relaxed).newValue }

    private func change<Result: Sendable>(_ body: (inout RangeTable) -> Result) -> Result {
        table.withLock { table in
            defer {
                clock.store(table.clock, ordering: .relaxed)
                hasTasksNow.store(table.hasTasks, ordering: .relaxed)
            }
            return body(&table)
        }
    }

    // MARK: Reading

    func pieces(of read: ReadIn, _ node: UInt64) -> RangeTable.Pieces? {
        let now = monotonicNanoseconds()
        return change { $0.read(node, offset: read.offset, count: Int(read.size), now: now) }
    }

    /// Fills `target`, which is as long as the pieces; false when some byte cannot be read. The pieces are not pinned any more.
    func copy(_ pieces: RangeTable.Pieces, into target: UnsafeMutableRawBufferPointer) -> Bool {
        let start = pieces.first.count
        var isDone = false
        do throws(Errno) {
            try unsafe window.read(
                pieces.first.lowerBound, into: UnsafeMutableRawBufferPointer(rebasing: target[..<start]))
            if !pieces.second.isEmpty {
                try unsafe window.read(
                    pieces.second.lowerBound, into: UnsafeMutableRawBufferPointer(rebasing: target[start...]))
            }
            isDone = true
        } catch {}
        change { $0.unpin(pieces, isFault: !isDone) }
        return isDone
    }

    // MARK: What passes through

    /// The moment at which a request is sent, for `note`.
    var moment: UInt64 { clock.load(ordering: .relaxed) }

    func note(_ node: UInt64, _ attributes: Attributes, askedAt moment: UInt64) {
        let isRegular = attributes.mode & 0o170_000 == 0o100_000
        let isDAX = isRegular && attributes.flags & AttributeFlags.dax != 0
        let now = monotonicNanoseconds()
        change { $0.note(node, size: attributes.size, isDAX: isDAX, askedAt: moment, now: now) }
    }

    func changeBegan(_ node: UInt64, cutsToZero: Bool) -> Bool {
        change { $0.changeBegan(node, cutsToZero: cutsToZero) }
    }

    func changeEnded(_ node: UInt64, size: UInt64?, writtenTo end: UInt64) {
        change { $0.changeEnded(node, size: size, writtenTo: end) }
    }

    /// A request of the kernel has been answered by an error, or by nobody.
    func ended(_ watched: WatchedRequest) {
        if watched.isChange { changeEnded(watched.node, size: nil, writtenTo: 0) }
    }

    /// True: it must not be told to the daemon now.
    func forget(_ node: UInt64, count: UInt64) -> Bool { change { $0.forget(node, count: count) } }

    // MARK: Tasks

    /// Whether `nextTask` has something; asked often.
    var hasTasks: Bool { hasTasksNow.load(ordering: .relaxed) }
    func nextTask() -> RangeTable.Task? { change { $0.nextTask() } }
    func putBack(_ task: RangeTable.Task) { change { $0.putBack(task) } }
    func unmapping(_ batch: Int) -> [Int] { table.withLock { $0.unmapping(batch) } }

    /// A request of our own has been answered.
    func ended(_ own: OwnRequest, success: Bool) {
        switch own {
        case .none: break
        case .map(let range): change { $0.mapEnded(Int(range), success: success) }
        case .unmap(let batch): change { $0.unmapEnded(Int(batch)) }
        case .attributes(let node): change { $0.attributesEnded(node) }
        }
    }
}

/// What a request of ours on a lane is for.
enum OwnRequest: Sendable {
    /// It is the kernel's, or an INTERRUPT.
    case none
    case map(range: Int32)
    case unmap(batch: Int32)
    case attributes(node: UInt64)
}
