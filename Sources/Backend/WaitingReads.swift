// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import GuestMemory
import HostOS
import Synchronization
import Virtqueue

/// The READs of one worker that wait for a disk, where the host lets us have an io_uring: the kernel reads straight into the
/// guest's pages, and no thread waits. The worker's thread only.
///
/// The ring is made with the worker, which may not make one later: a filter of system calls sees nothing of what is asked of a
/// ring, so a worker has the one that only reads. Nothing is allocated for a READ when as many have waited before.
final class WaitingReads {
    private let worker: QueueWorker
    /// nil where the host lets us have none.
    private let ring: ReadRing?
    /// By token.
    private var slots: [Slot] = []
    /// Tokens that no read has.
    private var free: [Int] = []

    private struct Slot {
        var request: WaitingRequest
        var read: HostRead
    }

    init(of worker: QueueWorker, _ permission: ReadRingPermission) {
        self.worker = worker
        ring = permission.makeRing(event: worker.wake.descriptor.rawValue)
    }

    /// Starts a read into the reply of the request in `chain`. False: it has to wait somewhere else.
    func start(
        _ read: HostRead, _ message: UnsafeRawBufferPointer, _ chain: Chain, _ memory: GuestMemory, queue: Int
    ) -> Bool {
        guard let ring, ring.underWay < ReadRing.capacity else { return false }
        let token = free.popLast() ?? slots.count
        if token == slots.count { slots.append(Slot(request: WaitingRequest(of: worker), read: read)) }
        let request = slots[token].request
        unsafe request.fill(message, chain, memory, ring: queue)
        let room = request.roomForData(read.byteCount)
        slots[token].read = HostRead(
            descriptor: read.descriptor, offset: read.offset, byteCount: room.byteCount)
        do throws(Errno) {
            guard let vectors = unsafe room.base else { throw .EINVAL }
            try unsafe ring.start(
                read.descriptor, vectors, count: Int32(room.count), at: read.offset, token: UInt64(token))
            return true
        } catch {
            request.letGo()
            free.append(token)
            return false
        }
    }

    /// Some may have ended. One load while none waits.
    var haveNews: Bool { ring?.hasCompletions ?? false }

    /// Has the next that ends wake the worker. Returns true when one has ended already.
    func awaitNews() -> Bool { ring?.awaitCompletions() ?? false }

    /// A read that has ended; nil if none has. Without a count the request is still to be carried out: the read failed, or
    /// stopped where the file need not end, or the kernel would not wait (EAGAIN). A thread repeats it, and knows.
    func next() -> (request: WaitingRequest, count: Int?)? {
        guard let completion = ring?.next() else { return nil }
        let token = Int(completion.token)
        let (slot, count) = (slots[token], Int(completion.result))
        free.append(token)
        if count >= 0, !slot.read.mayGoOn(after: count) { return (slot.request, count) }
        slots[token].request = WaitingRequest(of: worker)
        return (slot.request, nil)
    }
}

/// Whether this host lets the device have io_urings: what the first worker finds out.
final class ReadRingPermission: Sendable {
    private let given: Atomic<Bool>

    init(_ given: Bool) { self.given = Atomic(given) }

    /// The calling thread's ring.
    func makeRing(event: Int32) -> ReadRing? {
        guard given.load(ordering: .relaxed) else { return nil }
        do throws(Errno) { return try ReadRing(event: event) } catch {
            if given.exchange(false, ordering: .relaxed) {
                Log.info("no io_uring (\(describe(error))): reads that wait for a disk have threads")
            }
            return nil
        }
    }
}
