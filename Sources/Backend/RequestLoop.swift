// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import GuestMemory
import HostOS
import StateArena
import Virtqueue

/// A worker's life: wait for the kick, drain the ring, answer every request, notify once, sleep.
///
/// Everything here belongs to one thread. Nothing is allocated after `init` but for deferred requests.
@safe final class RequestLoop: DeferralSource {
    private let worker: QueueWorker
    private let publication: MemoryPublication
    private let share: any FileSystemShare
    private let server: FuseServer
    private let record: QueueRecord
    private let chain = Chain()
    /// Private copies: the request's header and arguments, and the reply while it is built.
    private let request: UnsafeMutableRawBufferPointer
    private let reply: UnsafeMutableRawBufferPointer

    private var memory: GuestMemory
    private var memoryVersion: UInt64
    private var setup: RingSetup?
    /// nil while the ring is stopped or broken.
    private var queue: DeviceQueue?
    /// Of the ring that was stopped or broke.
    private var nextAvailable: UInt16 = 0
    /// Requests pushed and not yet announced to the guest.
    private var unannounced = 0
    /// Deferred requests that have not come back.
    private var deferred = 0
    private var currentDeferral: DeferredRequest?

    /// The thread's body.
    static func run(
        worker: QueueWorker, memory: MemoryPublication, session: FuseSession, share: any FileSystemShare,
        record: QueueRecord
    ) {
        let fileSystem: any FileSystem
        do throws(Errno) {
            fileSystem = try share.makeFileSystem()
        } catch {
            worker.acknowledge(failure: error)
            return
        }
        let loop = RequestLoop(
            worker: worker, memory: memory, session: session, share: share, record: record,
            fileSystem: fileSystem)
        worker.acknowledge()
        loop.run()
    }

    private init(
        worker: QueueWorker, memory: MemoryPublication, session: FuseSession, share: any FileSystemShare,
        record: QueueRecord, fileSystem: any FileSystem
    ) {
        self.worker = worker
        publication = memory
        self.share = share
        self.record = record
        server = FuseServer(fileSystem: fileSystem, session: session)
        unsafe request = .allocate(byteCount: FuseServer.maximumInlineByteCount, alignment: 16)
        unsafe reply = .allocate(byteCount: FuseServer.replyScratchByteCount, alignment: 16)
        memoryVersion = memory.version
        self.memory = memory.latest
    }

    deinit {
        unsafe request.deallocate()
        unsafe reply.deallocate()
    }

    private func run() {
        while true {
            if worker.needsAttention, !attend() { return }
            guard let queue else {
                _ = waitReadable(worker.wake.descriptor.rawValue, timeoutMilliseconds: -1)
                continue
            }
            do throws(RingFault) {
                try drain(queue)
                if !worker.needsAttention, !queue.enableNotifications() { sleep() }
            } catch {
                breakRing(error)
            }
        }
    }

    /// Waits for a kick or the mailbox.
    private func sleep() {
        let kick = worker.kick.rawValue
        let isPolled = setup?.polled ?? false
        let ready = waitReadable(
            worker.wake.descriptor.rawValue, kick, timeoutMilliseconds: isPolled ? 1 : -1)
        if ready & 0b10 != 0, !clearEvent(kick) {
            // Readable for ever without anything to read: a hung-up pipe. Look at the ring now and then instead.
            _ = waitReadable(worker.wake.descriptor.rawValue, timeoutMilliseconds: 1)
        }
    }

    // MARK: Mailbox

    /// Does what the mailbox says. Returns false when the thread is to end.
    private func attend() -> Bool {
        let (commands, finished) = worker.collect()
        answer(finished)
        for command in commands {
            switch command {
            case .start(let setup): start(setup)
            case .stop: stop()
            case .exit: return false
            }
        }
        return true
    }

    private func start(_ setup: RingSetup) {
        memoryVersion = publication.version
        memory = publication.latest
        self.setup = setup
        nextAvailable = setup.base
        do throws(Errno) {
            let layout = try setup.layout(in: memory)
            queue = DeviceQueue(layout: layout, nextAvailable: setup.base, features: setup.features)
            record.start(
                descriptorTable: setup.addresses.descriptorTable,
                availableRing: setup.addresses.availableRing,
                usedRing: setup.addresses.usedRing, size: setup.size, nextAvailable: setup.base)
        } catch {
            Log.error("queue \(worker.index): the ring does not lie in guest memory: \(describe(error))")
            signalError()
        }
    }

    /// vhost-user GET_VRING_BASE: everything in flight is answered before the ring counts as stopped.
    private func stop() {
        while deferred > 0 {
            share.cancelWaiters()
            _ = waitReadable(worker.wake.descriptor.rawValue, timeoutMilliseconds: 10)
            answer(worker.collectFinished())
        }
        if let queue {
            nextAvailable = queue.nextAvailable
            self.queue = nil
        }
        record.stop()
        setup = nil
        worker.acknowledge(nextAvailable: nextAvailable)
    }

    /// Answers deferred requests that have come back.
    private func answer(_ finished: [FinishedRequest]) {
        guard !finished.isEmpty else { return }
        for item in finished {
            deferred -= 1
            guard let queue else { continue }
            let written = item.request.write(
                FuseServer.headerOnlyReply(to: item.request.unique, error: item.error))
            push(queue, item.request.head, written: written)
        }
        if let queue { announce(queue) }
    }

    // MARK: Ring

    /// Answers everything in the ring, until it is empty or the mailbox wants something.
    private func drain(_ queue: DeviceQueue) throws(RingFault) {
        try followMemory(queue)
        queue.disableNotifications()
        do throws(RingFault) {
            // A guest that keeps the ring full must not keep the notifications from itself.
            var budget = queue.size
            while budget > 0, !worker.needsAttention, try queue.pop(into: chain, memory: memory) {
                record.took(chain.head, nextAvailable: queue.nextAvailable)
                serve(queue)
                budget -= 1
            }
        } catch {
            announce(queue)
            throw error
        }
        announce(queue)
    }

    /// Takes a new memory table into use, between two batches.
    private func followMemory(_ queue: DeviceQueue) throws(RingFault) {
        guard publication.version != memoryVersion, let setup else { return }
        memoryVersion = publication.version
        memory = publication.latest
        do throws(Errno) {
            queue.relocate(to: try setup.layout(in: memory))
        } catch {
            throw .addressOutsideMemory
        }
    }

    /// Answers the request in `chain`.
    private func serve(_ queue: DeviceQueue) {
        let prefix = copyRequest(from: 0, to: FuseServer.writeDataOffset)
        let needed = unsafe FuseServer.inlineByteCount(
            prefix: UnsafeRawBufferPointer(rebasing: request[..<prefix]),
            totalByteCount: chain.readableByteCount)
        let length = prefix + copyRequest(from: prefix, to: needed)
        let message = unsafe UnsafeRawBufferPointer(rebasing: request[..<length])
        // What is done must not wait for what may take long.
        if unannounced > 0, unsafe mayTakeLong(message) { announce(queue) }

        let outcome = unsafe server.handle(
            message: message, totalByteCount: chain.readableByteCount,
            data: DataVector(chain.readableVectors(from: FuseServer.writeDataOffset)),
            replyScratch: reply, replyCapacity: chain.writableByteCount,
            replyData: DataVector(chain.writableVectors(from: MemoryLayout<OutHeader>.size)), deferrals: self)
        switch outcome {
        case .reply(let scratchByteCount, let directByteCount):
            let copied = unsafe chain.copyToWritable(
                UnsafeRawBufferPointer(rebasing: reply[..<scratchByteCount]), at: 0)
            push(queue, chain.head, written: copied + directByteCount)
        case .noReply:
            push(queue, chain.head, written: 0)
        case .deferred:
            break
        }
        settleDeferral(outcome)
        if let refusal = server.lastRefusal { RefusalLog.note(refusal) }
    }

    /// Copies the bytes [start, end) of the request in `chain` into the scratch, as far as they exist.
    private func copyRequest(from start: Int, to end: Int) -> Int {
        guard end > start else { return 0 }
        return unsafe chain.copyReadable(
            from: start, into: UnsafeMutableRawBufferPointer(rebasing: request[start..<end]))
    }

    /// Whether `message` asks for something that waits for a disk.
    private func mayTakeLong(_ message: UnsafeRawBufferPointer) -> Bool {
        guard message.count >= MemoryLayout<InHeader>.size else { return false }
        switch unsafe Opcode(rawValue: message.loadUnaligned(as: InHeader.self).opcode) {
        case .fsync, .fsyncdir, .syncfs, .fallocate, .copyFileRange, .copyFileRange64: return true
        default: return false
        }
    }

    private func push(_ queue: DeviceQueue, _ head: UInt16, written: Int) {
        queue.push(head: head, written: UInt32(truncatingIfNeeded: written))
        record.completed(head)
        unannounced += 1
    }

    /// Publishes what was pushed, and notifies the guest if it wants that.
    private func announce(_ queue: DeviceQueue) {
        guard unannounced > 0 else { return }
        unannounced = 0
        queue.publish()
        if queue.needsNotification() {
            let call = worker.call.rawValue
            if call >= 0 { signalEvent(call) }
        }
    }

    /// A broken ring costs its queue and nothing else (virtio 1.3 §2.1.2 DEVICE_NEEDS_RESET is the VMM's to set).
    private func breakRing(_ fault: RingFault) {
        RefusalLog.note(fault, queue: worker.index)
        if let queue { nextAvailable = queue.nextAvailable }
        queue = nil
        signalError()
    }

    private func signalError() {
        let descriptor = worker.error.rawValue
        if descriptor >= 0 { signalEvent(descriptor) }
    }

    // MARK: Deferral

    func deferReply() -> any DeferredReply {
        if let currentDeferral { return currentDeferral }
        // SAFETY: a request that reached the file system had a whole header, and the scratch still has it.
        let header = unsafe request.load(as: InHeader.self)
        let deferral = DeferredRequest(
            chain: chain, unique: Unique(rawValue: header.unique), memory: memory, worker: worker)
        currentDeferral = deferral
        return deferral
    }

    /// Counts a request that was really deferred; one that was not must never come back.
    private func settleDeferral(_ outcome: Outcome) {
        guard let deferral = currentDeferral else { return }
        currentDeferral = nil
        if case .deferred = outcome { deferred += 1 } else { deferral.abandon() }
    }
}

extension DataVector {
    init(_ vectors: IOVectors) {
        unsafe self.init(
            iovecs: UnsafeMutableRawPointer(vectors.base), count: vectors.count, byteCount: vectors.byteCount)
    }
}
