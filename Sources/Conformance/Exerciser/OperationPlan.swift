// SPDX-License-Identifier: Apache-2.0

/// Chooses what to do next with a file, by chance.
struct OperationPlan {
    static let pageByteCount = 4096
    /// Bytes to write are taken from a pool of this many.
    static let poolByteCount = 1 << 20

    /// Where operations may read and write.
    let window: Range<Int>
    /// Whether the file belongs to this plan alone, so that its size and its name may change.
    let ownsFile: Bool
    /// With repetitions: what is more often in it is chosen more often.
    private let kinds: [FileOperation.Kind]
    private var random: SplitMix

    init(window: Range<Int>, ownsFile: Bool, without missing: Set<FileOperation.Kind>, random: SplitMix) {
        self.window = window
        self.ownsFile = ownsFile
        self.random = random
        kinds = FileOperation.Kind.allCases.flatMap { kind in
            let possible = !missing.contains(kind) && (ownsFile || !kind.changesSizeOrName)
            return Array(repeating: kind, count: possible ? kind.weight : 0)
        }
    }

    /// The next operation on a file of `size` bytes, which `hasName` or not.
    mutating func next(size: Int, hasName: Bool) -> FileOperation {
        let kind = kinds.randomElement(using: &random) ?? .pread
        switch kind {
        case .truncate: return FileOperation(kind: kind, offset: offset(below: window.upperBound))
        case .append:
            let count = min(length(), window.upperBound - size)
            return FileOperation(kind: kind, offset: size, count: max(0, count), other: poolOffset())
        case .mapRead, .mapWrite, .mapWriteSynchronously, .heldMapRead, .heldMapWrite:
            return range(kind, below: min(size, window.upperBound))
        case .directRead, .directWrite: return aligned(kind)
        case .copyRange: return copy(size: size)
        case .holes: return FileOperation(kind: kind, offset: offset(below: min(size, window.upperBound)))
        case .rename, .unlink, .replace: return FileOperation(kind: hasName ? kind : .reopen)
        case .synchronize, .synchronizeData, .status, .links, .reopen: return FileOperation(kind: kind)
        default: return range(kind, below: window.upperBound)
        }
    }

    /// Small, about pages, or large.
    private mutating func length() -> Int {
        let page = Self.pageByteCount
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return Int.random(in: 1..<512, using: &random)
        case 1: return page * Int.random(in: 1...4, using: &random) + Int.random(in: -1...1, using: &random)
        case 2: return Int.random(in: 1..<2 * page, using: &random)
        default: return Int.random(in: 1..<16 * page, using: &random)
        }
    }

    /// In the window and below `end`; the edge of a page every fourth time.
    private mutating func offset(below end: Int) -> Int {
        guard end > window.lowerBound else { return window.lowerBound }
        var offset = Int.random(in: window.lowerBound..<end, using: &random)
        if Int.random(in: 0..<4, using: &random) == 0 { offset -= offset % Self.pageByteCount }
        return max(window.lowerBound, offset)
    }

    private mutating func poolOffset() -> Int { Int.random(in: 0..<Self.poolByteCount / 2, using: &random) }

    private mutating func range(_ kind: FileOperation.Kind, below end: Int) -> FileOperation {
        let start = offset(below: end)
        let count = max(0, min(length(), end - start))
        return FileOperation(kind: kind, offset: start, count: count, other: poolOffset())
    }

    private mutating func aligned(_ kind: FileOperation.Kind) -> FileOperation {
        let page = Self.pageByteCount
        let start = offset(below: window.upperBound) / page * page
        let count = min(Int.random(in: 1...8, using: &random) * page, window.upperBound - start)
        return FileOperation(kind: kind, offset: start, count: count, other: poolOffset())
    }

    /// Two ranges of the file that do not overlap, as copy_file_range(2) demands.
    private mutating func copy(size: Int) -> FileOperation {
        var operation = range(.copyRange, below: min(size, window.upperBound))
        operation.other = offset(below: window.upperBound)
        let distance = abs(operation.other - operation.offset)
        operation.count = min(operation.count, distance, window.upperBound - operation.other)
        return operation
    }
}

extension FileOperation.Kind {
    fileprivate var weight: Int {
        switch self {
        case .read, .pread, .write, .pwrite, .mapRead, .mapWrite: 8
        case .truncate, .append, .heldMapRead, .heldMapWrite, .punchHole, .directRead, .directWrite: 5
        case .allocate, .zeroRange, .copyRange, .mapWriteSynchronously, .status, .holes: 3
        case .allocateKeepingSize, .synchronize, .synchronizeData, .reopen: 2
        case .links, .rename, .unlink, .replace: 1
        }
    }

    fileprivate var changesSizeOrName: Bool {
        switch self {
        case .append, .truncate, .rename, .unlink, .replace: true
        default: false
        }
    }
}
