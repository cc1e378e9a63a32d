// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import GuestMemory
import Synchronization
import Virtqueue

/// A request that left its worker without an answer: what is needed to answer it later, from any thread.
///
/// Its chain stays in flight. The guest memory under the reply's first bytes stays mapped as long as this lives.
@safe final class DeferredRequest: DeferredReply, @unchecked Sendable {
    let head: UInt16
    let unique: Unique
    /// Room for the reply header. Used by the worker's thread only, after the completion came back to it.
    private let room: IOVectorList
    private let memory: GuestMemory
    private let worker: QueueWorker
    private let completed = Atomic<Bool>(false)

    /// The reply of a deferred request is a bare header.
    static let replyByteCount = MemoryLayout<OutHeader>.size

    init(chain: Chain, unique: Unique, memory: GuestMemory, worker: QueueWorker) {
        head = chain.head
        self.unique = unique
        self.memory = memory
        self.worker = worker
        var room = IOVectorList(capacity: Self.replyByteCount)
        let vectors = chain.writableVectors(from: 0, atMost: Self.replyByteCount)
        for i in 0..<vectors.count {
            // SAFETY: i is below the list's count, and every entry of a window has an address.
            if let entry = unsafe vectors.base?[i], let base = unsafe entry.iov_base {
                _ = unsafe room.append(base, byteCount: entry.iov_len)
            }
        }
        self.room = room
    }

    /// Hands the answer to the worker that owns the ring. A second completion is ignored.
    func complete(_ error: Errno?) {
        if completed.exchange(true, ordering: .acquiringAndReleasing) { return }
        worker.finish(FinishedRequest(request: self, error: error))
    }

    /// The request was answered in the ordinary way after all: nothing may come back.
    func abandon() { completed.store(true, ordering: .releasing) }

    /// Writes the reply into guest memory.
    /// - Returns: how many bytes there was room for.
    func write(_ reply: OutHeader) -> Int {
        unsafe withUnsafeBytes(of: reply) { unsafe room.copyIn($0, at: 0) }
    }
}

/// A deferred request with its outcome, on the way back to its worker.
struct FinishedRequest: Sendable {
    let request: DeferredRequest
    /// nil is success.
    let error: Errno?
}
