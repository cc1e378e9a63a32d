// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS

/// Does random operations on a file and on a local one beside it, and compares both with a model in memory after each.
@safe package final class FileExerciser {
    package struct Options: Sendable {
        /// Where the file under test is.
        package var directory: String
        /// Where the local one is.
        package var referenceDirectory: String
        package var name: String
        package var seed: UInt64
        /// The part of the file that is this exerciser's; nil: all of it, with its size and its name.
        package var stripe: Range<Int>?

        package init(directory: String, referenceDirectory: String, name: String, seed: UInt64) {
            self.directory = directory
            self.referenceDirectory = referenceDirectory
            self.name = name
            self.seed = seed
        }
    }

    /// The size that a file of one exerciser never exceeds.
    package static let limit = 256 * 1024
    private static let historyCount = 20
    private static let comparisonPeriod = 32

    package private(set) var operationCount = 0
    /// What a file system here cannot do, and so is not done.
    package let missing: Set<FileOperation.Kind>
    private let options: Options
    private var plan: OperationPlan
    private var model: FileModel
    private let subject: ExercisedFile
    private let reference: ExercisedFile
    private let pool: Mapping
    /// The last twenty.
    package private(set) var lastOperations: [FileOperation] = []

    package init(_ options: Options) throws(Errno) {
        self.options = options
        var missing: Set<FileOperation.Kind> = []
        for directory in [options.directory, options.referenceDirectory] {
            missing.formUnion(try Self.missing(in: directory, options.name))
        }
        self.missing = missing
        var random = SplitMix(seed: options.seed)
        pool = try Mapping(anonymous: OperationPlan.poolByteCount)
        for word in 0..<OperationPlan.poolByteCount / 8 {
            unsafe pool.base.storeBytes(of: random.next(), toByteOffset: word * 8, as: UInt64.self)
        }
        let limit = max(Self.limit, options.stripe?.upperBound ?? 0)
        plan = OperationPlan(
            window: options.stripe ?? 0..<limit, ownsFile: options.stripe == nil, without: missing,
            random: random)
        subject = try ExercisedFile(directory: options.directory, name: options.name, limit: limit)
        reference = try ExercisedFile(
            directory: options.referenceDirectory, name: "\(options.name).\(options.seed)", limit: limit)
        var size = 0
        if options.stripe != nil {
            size = try unsafe subject.perform(FileOperation(kind: .status), data: pool.base)
            let resize = FileOperation(kind: .truncate, offset: size)
            _ = try unsafe reference.perform(resize, data: pool.base)
        }
        model = try FileModel(limit: limit, size: size)
    }

    /// Does one operation.
    package func step() throws(FileDifference) {
        operationCount += 1
        let operation = plan.next(size: model.size, hasName: model.hasName)
        lastOperations.append(operation)
        if lastOperations.count > Self.historyCount { lastOperations.removeFirst() }
        if operation.kind == .reopen && !model.hasName {
            for file in [reference, subject] { try recreate(file) }
        }
        let data = unsafe UnsafeRawPointer(pool.base + operation.other % OperationPlan.poolByteCount)
        let expected = unsafe model.perform(operation, data: data)
        for file in [reference, subject] {
            try unsafe perform(operation, on: file, data: data, expected: expected)
            if operation.kind.readsBytes { try compare(file, operation.offset..<operation.offset + expected) }
            if operation.kind == .holes { try checkHoles(file, operation.offset) }
        }
        if operationCount % Self.comparisonPeriod == 0 { try compareAll() }
    }

    /// Compares all that is this exerciser's.
    package func compareAll() throws(FileDifference) {
        let end = min(plan.window.upperBound, model.size)
        let range = plan.window.lowerBound..<max(end, plan.window.lowerBound)
        for file in [reference, subject] {
            let all = FileOperation(kind: .pread, offset: range.lowerBound, count: range.count)
            try unsafe perform(all, on: file, data: pool.base, expected: range.count)
            try compare(file, range)
        }
    }

    /// Removes the files; `keepingSubject` leaves the one under test.
    package func remove(keepingSubject: Bool) {
        if !keepingSubject { subject.remove() }
        reference.remove()
    }

    private func perform(
        _ operation: FileOperation, on file: ExercisedFile, data: UnsafeRawPointer, expected: Int
    ) throws(FileDifference) {
        let seen: Int
        do throws(Errno) { seen = try unsafe file.perform(operation, data: data) } catch {
            throw different(file, "\(operation) failed: \(describe(error))")
        }
        if seen != expected { throw different(file, "\(operation) gave \(seen), not \(expected)") }
    }

    private func recreate(_ file: ExercisedFile) throws(FileDifference) {
        do throws(Errno) { try unsafe file.recreate(model.bytes.base, size: model.size) } catch {
            throw different(file, "writing it anew failed: \(describe(error))")
        }
    }

    /// What `file` read last must be the bytes of `range`.
    private func compare(_ file: ExercisedFile, _ range: Range<Int>) throws(FileDifference) {
        let expected = unsafe model.bytes.base + range.lowerBound
        if unsafe memcmp(expected, file.bytes.base, range.count) == 0 { return }
        let first = (0..<range.count).first {
            unsafe expected.load(fromByteOffset: $0, as: UInt8.self)
                != file.bytes.base.load(fromByteOffset: $0, as: UInt8.self)
        }
        throw different(file, "wrong bytes", at: first ?? 0, in: range)
    }

    /// There is no data in what is called a hole, and both answers lie where they may.
    private func checkHoles(_ file: ExercisedFile, _ offset: Int) throws(FileDifference) {
        if offset >= model.size { return }
        let answer: (data: Int?, hole: Int)
        do throws(Errno) { answer = try file.holes(from: offset) } catch {
            throw different(file, "lseek failed: \(describe(error))")
        }
        let end = min(answer.data ?? model.size, plan.window.upperBound)
        if end < offset || !(offset...model.size).contains(answer.hole) {
            throw different(file, "data at \(answer.data ?? -1) and hole at \(answer.hole) of \(model.size)")
        }
        if let data = model.firstData(in: offset..<end) {
            throw different(file, "there is data at \(data), but SEEK_DATA gave \(end)")
        }
    }

    private func different(
        _ file: ExercisedFile, _ what: String, at first: Int? = nil, in range: Range<Int> = 0..<0
    ) -> FileDifference {
        let kept = "\(options.referenceDirectory)/\(options.name).\(options.seed)"
        unsafe ExercisedFile.save(model.bytes.base, size: model.size, to: "\(kept).expected")
        let shown = (first ?? 0)..<min(range.count, (first ?? 0) + 16)
        let expected = shown.map {
            unsafe model.bytes.base.load(fromByteOffset: range.lowerBound + $0, as: UInt8.self)
        }
        let seen = shown.map { unsafe file.bytes.base.load(fromByteOffset: $0, as: UInt8.self) }
        if !model.hasName {
            unsafe ExercisedFile.save(file.bytes.base, size: range.count, to: "\(kept).seen")
        }
        return FileDifference(
            path: file.path, seed: options.seed, operationNumber: operationCount, what: what,
            offset: first.map { range.lowerBound + $0 }, expected: expected, seen: seen,
            lastOperations: lastOperations,
            referencePath: "\(kept).expected")
    }
}

extension FileExerciser {
    /// Finds out by trying, on a file of its own.
    private static func missing(in directory: String, _ name: String) throws(Errno) -> Set<FileOperation.Kind>
    {
        let file = try ExercisedFile(
            directory: directory, name: "\(name).probe.\(getpid())", limit: Self.limit)
        defer { file.remove() }
        var missing: Set<FileOperation.Kind> = []
        let optional: [FileOperation.Kind] = [
            .allocate, .allocateKeepingSize, .punchHole, .zeroRange, .mapRead, .mapWrite, .heldMapRead,
            .directRead, .directWrite,
        ]
        let page = OperationPlan.pageByteCount
        for kind in optional {
            let resize = FileOperation(kind: .truncate, offset: 2 * page)
            let operation = FileOperation(kind: kind, offset: 0, count: page)
            do throws(Errno) {
                let zeros = try Mapping(anonymous: page)
                _ = try unsafe file.perform(resize, data: zeros.base)
                _ = try unsafe file.perform(operation, data: zeros.base)
            } catch {
                // ENODEV: no shared mapping; EINVAL: no O_DIRECT.
                guard [.EOPNOTSUPP, .ENODEV, .EINVAL].contains(error) else { throw error }
                missing.insert(kind)
            }
        }
        if missing.contains(.mapWrite) {
            missing.formUnion([.mapWriteSynchronously, .heldMapRead, .heldMapWrite])
        }
        return missing
    }
}

extension FileOperation.Kind {
    fileprivate var readsBytes: Bool {
        switch self {
        case .read, .pread, .directRead, .mapRead, .heldMapRead: true
        default: false
        }
    }
}
