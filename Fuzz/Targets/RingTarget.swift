// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import GuestMemory
import HostOS
import Virtqueue

/// A guest's whole memory, with a ring at its start, drained as a worker drains it:
/// ```
/// u8 ring features; u8 size of the ring as a power of two; u16 next available; u8 memory[…]
/// ```
/// Every chain lies in guest memory, every reply is in order, and what is written stays within its room.
final class RingTarget: FuzzTarget {
    private static let memoryByteCount = 1 << 16
    /// Guest memory is in two regions, so that a buffer may cross from one into the other.
    private static let border = 0x8000

    private let memory: GuestMemory
    private let pieces: [ClosedRange<UInt>]
    private let image: UnsafeMutableRawBufferPointer
    private let layouts: [RingLayout]
    private let server: FuseServer
    private let session: FuseSession
    private let record: UnsafeMutableRawPointer
    private let chain = Chain()
    private let request: UnsafeMutableRawBufferPointer
    private let reply: UnsafeMutableRawBufferPointer
    private let deferrals = NoDeferrals()

    private final class NoDeferrals: DeferralSource {
        final class Reply: DeferredReply {
            func complete(_ error: Errno?) {}
        }
        func deferReply() -> any DeferredReply { Reply() }
    }

    init() throws {
        let (whole, border) = (Self.memoryByteCount, Self.border)
        func region(_ start: Int, _ byteCount: Int) throws -> MemoryRegion {
            try MemoryRegion(
                adopting: makeSealedMemoryFile(name: "fuzz", byteCount: byteCount),
                guestAddress: GuestAddress(UInt64(start)),
                byteCount: UInt64(byteCount), userAddress: UInt64(start), mmapOffset: 0)
        }
        let memory = try GuestMemory(regions: [region(0, border), region(border, whole - border)])
        self.memory = memory
        var pieces: [ClosedRange<UInt>] = []
        for (start, byteCount) in [(0, border), (border, whole - border)] {
            let list = IOVectorList(capacity: 1)
            try memory.append(GuestAddress(UInt64(start)), byteCount: byteCount, to: list)
            let base = UInt(bitPattern: list.window(from: 0, atMost: 1).base?.pointee.iov_base)
            pieces.append(base...base + UInt(byteCount))
        }
        self.pieces = pieces
        image = .allocate(byteCount: whole, alignment: 8)
        layouts = try (0...6).map { power in
            try RingLayout(size: 1 << power, contiguousAt: GuestAddress(0), memory: memory)
        }
        record = .allocate(byteCount: FuseSession.byteCount, alignment: 8)
        record.initializeMemory(as: UInt8.self, repeating: 0, count: FuseSession.byteCount)
        session = FuseSession(record: record)
        server = FuseServer(fileSystem: NullFS(), session: session)
        request = .allocate(byteCount: FuseServer.maximumInlineByteCount, alignment: 16)
        reply = .allocate(byteCount: FuseServer.replyScratchByteCount, alignment: 16)
    }

    deinit {
        image.deallocate()
        record.deallocate()
        request.deallocate()
        reply.deallocate()
    }

    func run(_ input: UnsafeRawBufferPointer) throws {
        var input = FuzzInput(input)
        let features = RingFeatures(rawValue: UInt64(input.byte() & 3) << 28)
        let layout = layouts[Int(input.byte()) % layouts.count]
        let position = input.number(UInt16.self)
        let content = input.take(image.count)
        image.copyMemory(from: content)
        UnsafeMutableRawBufferPointer(rebasing: image[content.count...])
            .initializeMemory(as: UInt8.self, repeating: 0)
        try memory.copy(UnsafeRawBufferPointer(image), to: GuestAddress(0))
        session.stop()

        let queue = DeviceQueue(layout: layout, nextAvailable: position, features: features)
        // A reply that is written into the ring may make more of it; a worker goes on with that too, but we do not.
        for _ in 0..<4 {
            queue.disableNotifications()
            var taken = 0
            do {
                while try taken < queue.size && queue.pop(into: chain, memory: memory) {
                    taken += 1
                    try serve(queue)
                }
            } catch is RingFault {
                return
            }
            queue.publish()
            _ = queue.needsNotification()
            if !queue.enableNotifications() { break }
        }
    }

    private func serve(_ queue: DeviceQueue) throws {
        try checkPlace(chain.readableVectors(from: 0))
        try checkPlace(chain.writableVectors(from: 0))
        let prefix = copy(from: 0, to: FuseServer.writeDataOffset)
        let needed = FuseServer.inlineByteCount(
            prefix: UnsafeRawBufferPointer(rebasing: request[..<prefix]),
            totalByteCount: chain.readableByteCount)
        let length = prefix + copy(from: prefix, to: needed)
        try demand(length == needed, "\(length) bytes came of a request of \(needed)")
        let message = UnsafeRawBufferPointer(rebasing: request[..<length])
        let capacity = chain.writableByteCount
        let outcome = server.handle(
            message: message, totalByteCount: chain.readableByteCount,
            data: DataVector(of: chain.readableVectors(from: FuseServer.writeDataOffset)),
            replyScratch: reply, replyCapacity: capacity,
            replyData: DataVector(of: chain.writableVectors(from: MemoryLayout<OutHeader>.size)),
            deferrals: deferrals)
        _ = try ReplyCheck(message: Array(message.prefix(256)), capacity: capacity)
            .check(outcome, scratch: UnsafeRawBufferPointer(reply))
        var written = 0
        if case .reply(let inScratch, let direct) = outcome {
            let copied = chain.copyToWritable(UnsafeRawBufferPointer(rebasing: reply[..<inScratch]), at: 0)
            try demand(copied == inScratch, "\(copied) bytes of a reply of \(inScratch) fitted")
            written = copied + direct
        }
        queue.push(head: chain.head, written: UInt32(written))
    }

    /// Copies the bytes [start, end) of the chain's request into the scratch.
    private func copy(from start: Int, to end: Int) -> Int {
        guard end > start else { return 0 }
        return chain.copyReadable(
            from: start, into: UnsafeMutableRawBufferPointer(rebasing: request[start..<end]))
    }

    private func checkPlace(_ vectors: IOVectors) throws(Broken) {
        for entry in UnsafeBufferPointer(start: vectors.base, count: vectors.count) {
            let start = UInt(bitPattern: entry.iov_base)
            let end = start + UInt(entry.iov_len)
            // The two regions may happen to be mapped side by side, and a piece then crosses from one into the other.
            guard let first = pieces.first(where: { $0.contains(start) && start < $0.upperBound }) else {
                throw Broken("a piece of a chain outside guest memory")
            }
            let next = pieces.first { $0.lowerBound == first.upperBound }
            let limit = next?.upperBound ?? first.upperBound
            try demand(end <= limit, "a piece of a chain that leaves guest memory")
        }
    }
}

extension DataVector {
    fileprivate init(of vectors: IOVectors) {
        self.init(
            iovecs: UnsafeMutableRawPointer(vectors.base), count: vectors.count, byteCount: vectors.byteCount)
    }
}
