// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire

/// The guest's end of one FuseServer: sends the requests of an input as a worker would hand them over, and checks every
/// reply.
final class FuseEnd {
    private let server: FuseServer
    private let session: FuseSession
    private let record: UnsafeMutableRawPointer
    private let pages: UnsafeMutableRawBufferPointer
    private let iovecs: UnsafeMutableRawPointer
    private let deferrals = IgnoredReplies()
    private static let pagesByteCount = 64 * 1024

    private final class IgnoredReplies: DeferralSource {
        final class Reply: DeferredReply {
            func complete(_ error: Errno?) {}
        }
        func deferReply() -> any DeferredReply { Reply() }
    }

    init(_ fileSystem: any FileSystem) {
        record = .allocate(byteCount: FuseSession.byteCount, alignment: 8)
        record.initializeMemory(as: UInt8.self, repeating: 0, count: FuseSession.byteCount)
        session = FuseSession(record: record)
        server = FuseServer(fileSystem: fileSystem, session: session)
        pages = .allocate(byteCount: Self.pagesByteCount, alignment: 8)
        iovecs = .allocate(byteCount: Self.pagesByteCount * 16, alignment: 8)
    }

    deinit {
        record.deallocate()
        pages.deallocate()
        iovecs.deallocate()
    }

    /// A session from INIT to its end:
    /// ```
    /// u64 what the guest does not offer of what Linux does, and offers besides; then RequestRecords
    /// ```
    /// - Parameter beside: called before each request.
    func run(_ input: inout FuzzInput, beside: (RequestRecord) throws -> Void = { _ in }) throws {
        session.stop()
        var known = KnownObjects()
        let offer = 0x7ff_7fff_fffb ^ input.number(UInt64.self)
        try send(Self.initialize(offer: offer), capacity: 16 + 64, piece: 4096, &known)
        var unique: UInt64 = 4
        while !input.isEmpty {
            let record = RequestRecord(&input)
            let message = record.message(unique: unique, known: known)
            unique += 2
            try beside(record)
            try send(message, capacity: record.replyCapacity, piece: record.pieceByteCount, &known)
        }
    }

    private static func initialize(offer: UInt64) -> [UInt8] {
        var bytes = FuzzBytes()
        for field: UInt32 in [104, 26, 2, 0, 0, 0, 0, 0, 0, 0] { bytes.append(field) }
        for field: UInt32 in [7, 45, 131_072, UInt32(truncatingIfNeeded: offer)] { bytes.append(field) }
        bytes.append(UInt32(truncatingIfNeeded: offer >> 32))
        bytes.append([UInt8](repeating: 0, count: 44))
        return bytes.bytes
    }

    private func send(
        _ bytes: [UInt8], capacity: Int, piece: Int, _ known: inout KnownObjects
    ) throws {
        let prefix = min(bytes.count, FuseServer.writeDataOffset)
        let inline = bytes.withUnsafeBytes {
            FuseServer.inlineByteCount(
                prefix: UnsafeRawBufferPointer(rebasing: $0.prefix(prefix)), totalByteCount: bytes.count)
        }
        // Copies of just the right size, so that the sanitizer sees whoever goes behind an end.
        let message = UnsafeMutableRawBufferPointer.allocate(byteCount: inline, alignment: 8)
        defer { message.deallocate() }
        message.copyBytes(from: bytes.prefix(inline))
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 8)
        defer { scratch.deallocate() }
        let isWrite = inline < bytes.count
        if isWrite { pages.copyBytes(from: bytes.dropFirst(prefix).prefix(pages.count)) }
        let outcome = server.handle(
            message: UnsafeRawBufferPointer(message), totalByteCount: bytes.count,
            data: isWrite ? vector(bytes.count - prefix, piece) : .empty, replyScratch: scratch,
            replyCapacity: capacity,
            replyData: isWrite ? .empty : vector(max(0, capacity - 16), piece), deferrals: deferrals)
        let check = ReplyCheck(message: bytes, capacity: capacity)
        if let reply = try check.check(outcome, scratch: UnsafeRawBufferPointer(scratch)) {
            known.learn(reply.opcode, reply.body)
        }
    }

    /// The front of the pages as entries of `piece` bytes.
    private func vector(_ byteCount: Int, _ piece: Int) -> DataVector {
        let byteCount = min(byteCount, Self.pagesByteCount)
        var (count, offset) = (0, 0)
        while offset < byteCount, count < 1024 {
            let length = min(piece, byteCount - offset)
            let base = UInt(bitPattern: pages.baseAddress) + UInt(offset)
            iovecs.storeBytes(of: base, toByteOffset: count * 16, as: UInt.self)
            iovecs.storeBytes(of: length, toByteOffset: count * 16 + 8, as: Int.self)
            offset += length
            count += 1
        }
        return DataVector(iovecs: iovecs, count: count, byteCount: offset)
    }
}

/// FUSE requests against a file system that needs no host: `u64 flags; RequestRecord…`.
final class FuseTarget: FuzzTarget {
    private let end = FuseEnd(NullFS())

    func run(_ input: UnsafeRawBufferPointer) throws {
        var input = FuzzInput(input)
        try end.run(&input)
    }
}
