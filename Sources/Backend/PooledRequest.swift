// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import GuestMemory
import Synchronization
import Virtqueue

/// A request on its way through the `WaitingPool`: all that is needed to carry it out and to reply, on another thread than its
/// ring's. Its chain stays in flight, and the guest memory that it names stays mapped.
///
/// Allocated: it is made for requests that wait for a disk.
@safe final class PooledRequest: DeferralSource, @unchecked Sendable {
    // SAFETY: @unchecked because one thread has it at a time: the worker that makes it, then one thread of the pool.
    private let message: [UInt8]
    private let totalByteCount: Int
    private let data: IOVectorList
    private let room: IOVectorList
    private let memory: GuestMemory
    private let ring: Int
    private let head: UInt16
    private let worker: QueueWorker

    /// - Parameter message: the private copy of the request's first bytes.
    init(
        _ message: UnsafeRawBufferPointer, chain: Chain, memory: GuestMemory, ring: Int, worker: QueueWorker
    ) {
        self.message = unsafe Array(message)
        totalByteCount = chain.readableByteCount
        data = IOVectorList(copying: chain.readableVectors(from: FuseServer.writeDataOffset))
        room = IOVectorList(copying: chain.writableVectors(from: 0))
        self.memory = memory
        self.ring = ring
        head = chain.head
        self.worker = worker
    }

    /// Answers the request. Without a server it is an I/O error.
    func carryOut(_ server: FuseServer?, _ scratch: ReplyScratch) {
        let written = server.map { carryOut($0, scratch) } ?? fail()
        worker.finish(FinishedRequest(ring: ring, head: head, written: written))
    }

    private func carryOut(_ server: FuseServer, _ scratch: ReplyScratch) -> Int {
        let capacity = room.byteCount
        let outcome = unsafe message.withUnsafeBytes { message in
            unsafe server.handle(
                message: message, totalByteCount: totalByteCount,
                data: DataVector(data.window(from: 0, atMost: .max)),
                replyScratch: scratch.bytes, replyCapacity: capacity,
                replyData: DataVector(room.window(from: MemoryLayout<OutHeader>.size, atMost: .max)),
                deferrals: self)
        }
        switch outcome {
        case .reply(let scratchByteCount, let directByteCount):
            return unsafe room.copyIn(
                UnsafeRawBufferPointer(rebasing: scratch.bytes[..<scratchByteCount]), at: 0) + directByteCount
        case .noReply: return 0
        // A file system that may wait does so.
        case .deferred, .mustWait: return fail()
        }
    }

    private func fail() -> Int {
        let unique = unsafe message.withUnsafeBytes {
            $0.count < MemoryLayout<InHeader>.size ? 0 : unsafe $0.loadUnaligned(as: InHeader.self).unique
        }
        let header = FuseServer.headerOnlyReply(to: Unique(rawValue: unique), error: .EIO)
        return unsafe withUnsafeBytes(of: header) { unsafe room.copyIn($0, at: 0) }
    }

    /// Lock requests, which ask for this, never come here: they have threads of their own.
    func deferReply() -> any DeferredReply { NoReply() }

    private final class NoReply: DeferredReply {
        func complete(_ error: Errno?) {}
    }
}

extension IOVectorList {
    /// A list of its own with the same pieces, which must stay mapped.
    convenience init(copying vectors: IOVectors) {
        self.init(capacity: max(1, vectors.count))
        for index in 0..<vectors.count {
            // SAFETY: index is below the count, and every entry of a window has an address.
            if let entry = unsafe vectors.base?[index], let base = unsafe entry.iov_base {
                _ = unsafe append(base, byteCount: entry.iov_len)
            }
        }
    }
}
