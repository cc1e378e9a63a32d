// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire

final class NoDeferrals: DeferralSource {
    final class Reply: DeferredReply {
        func complete(_ error: Errno?) {}
    }
    func deferReply() -> any DeferredReply { Reply() }
}

struct Reply {
    var outcome: Outcome
    var header: OutHeader
    /// The scratch behind the header.
    var body: [UInt8]
    /// What READ put into the guest's pages.
    var direct: [UInt8]
    var error: Int32 { header.error }
}

/// A worker without a queue: copies a message to scratch as a worker does, and reads the reply.
final class Harness {
    let fileSystem: any FileSystem
    let session: FuseSession
    let server: FuseServer
    private let record: UnsafeMutableRawPointer
    private let request: UnsafeMutableRawBufferPointer
    private let scratch: UnsafeMutableRawBufferPointer
    private let pages: UnsafeMutableRawBufferPointer
    private let iovecs: UnsafeMutableRawPointer
    private let deferrals = NoDeferrals()
    private static let maximumDataByteCount = 8 << 20
    private static let entryStep = 4096

    init(_ fileSystem: any FileSystem, sharing shared: FuseSession? = nil) {
        self.fileSystem = fileSystem
        record = .allocate(byteCount: FuseSession.byteCount, alignment: 8)
        record.initializeMemory(as: UInt8.self, repeating: 0, count: FuseSession.byteCount)
        session = shared ?? FuseSession(record: record)
        server = FuseServer(fileSystem: fileSystem, session: session)
        request = .allocate(byteCount: FuseServer.maximumInlineByteCount, alignment: 8)
        scratch = .allocate(byteCount: FuseServer.replyScratchByteCount, alignment: 8)
        pages = .allocate(byteCount: Self.maximumDataByteCount, alignment: 8)
        iovecs = .allocate(byteCount: Self.maximumDataByteCount / Self.entryStep * 16, alignment: 8)
    }

    deinit {
        record.deallocate()
        request.deallocate()
        scratch.deallocate()
        pages.deallocate()
        iovecs.deallocate()
    }

    /// The guest's pages as entries of 4 KiB.
    private func vector(_ byteCount: Int) -> DataVector {
        precondition(byteCount <= Self.maximumDataByteCount)
        var (count, offset) = (0, 0)
        while offset < byteCount {
            let length = min(Self.entryStep, byteCount - offset)
            iovecs.storeBytes(
                of: UInt(bitPattern: pages.baseAddress) + UInt(offset), toByteOffset: count * 16,
                as: UInt.self)
            iovecs.storeBytes(of: length, toByteOffset: count * 16 + 8, as: Int.self)
            offset += length
            count += 1
        }
        return DataVector(iovecs: iovecs, count: count, byteCount: byteCount)
    }

    /// `capacity` is how many writable bytes the chain has.
    @discardableResult
    func send(_ bytes: [UInt8], capacity: Int = 16 + 4096) -> Reply {
        let prefix = min(bytes.count, FuseServer.writeDataOffset)
        let inline = bytes.withUnsafeBytes {
            FuseServer.inlineByteCount(
                prefix: UnsafeRawBufferPointer(rebasing: $0.prefix(prefix)), totalByteCount: bytes.count)
        }
        precondition(inline <= request.count)
        request.copyBytes(from: bytes.prefix(inline))
        // Stale bytes behind the message must not be taken for a part of it.
        for index in inline..<min(inline + 64, request.count) { request[index] = 0x61 }
        for index in 0..<256 { scratch[index] = 0xee }
        pages.copyBytes(from: bytes.dropFirst(prefix).prefix(pages.count))
        let isWrite = bytes.count >= 8 && bytes.load(UInt32.self, at: 4) == Opcode.write.rawValue
        let outcome = server.handle(
            message: UnsafeRawBufferPointer(rebasing: request.prefix(inline)), totalByteCount: bytes.count,
            data: isWrite ? vector(bytes.count - prefix) : .empty,
            replyScratch: scratch, replyCapacity: capacity,
            replyData: isWrite ? .empty : vector(max(0, min(capacity - 16, pages.count))),
            deferrals: deferrals)
        guard case .reply(let inScratch, let direct) = outcome else {
            return Reply(outcome: outcome, header: OutHeader(), body: [], direct: [])
        }
        return Reply(
            outcome: outcome, header: scratch.loadUnaligned(as: OutHeader.self),
            body: Array(scratch[16..<inScratch]), direct: Array(pages.prefix(direct)))
    }

    /// Begins a session in which everything is agreed on.
    @discardableResult
    func start(flags: UInt32 = 0x7fff_fffb, flags2: UInt32 = 0x7ff) -> Reply {
        send(message(26, nodeID: 0, initBody(flags: flags, flags2: flags2), unique: 2))
    }
}
