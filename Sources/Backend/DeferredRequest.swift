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
    private let head: UInt16
    private let ring: Int
    private let unique: Unique
    /// Room for the reply header. Used once, by whoever completes.
    private let room: IOVectorList
    private let memory: GuestMemory
    private let worker: QueueWorker
    private let completed = Atomic<Bool>(false)

    /// The reply of a deferred request is a bare header.
    static let replyByteCount = MemoryLayout<OutHeader>.size

    init(chain: Chain, unique: Unique, memory: GuestMemory, ring: Int, worker: QueueWorker) {
        head = chain.head
        self.ring = ring
        self.unique = unique
        self.memory = memory
        self.worker = worker
        room = IOVectorList(copying: chain.writableVectors(from: 0, atMost: Self.replyByteCount))
    }

    /// Writes the answer and hands the chain to the worker that owns the ring. A second completion is ignored.
    func complete(_ error: Errno?) {
        if completed.exchange(true, ordering: .acquiringAndReleasing) { return }
        let reply = FuseServer.headerOnlyReply(to: unique, error: error)
        let written = unsafe withUnsafeBytes(of: reply) { unsafe room.copyIn($0, at: 0) }
        worker.finish(FinishedRequest(ring: ring, head: head, written: written))
    }

    /// The request was answered in the ordinary way after all: nothing may come back.
    func abandon() { completed.store(true, ordering: .releasing) }
}
