// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import GuestMemory
import HostOS
import StateArena
import Virtqueue

/// A worker's life: drain its rings, answer every request, tell the guest once, watch for more, sleep until the kick.
///
/// Everything here belongs to one thread. Nothing is allocated after `init` but for requests that leave the worker.
@safe final class RequestLoop: DeferralSource {
    private let worker: QueueWorker
    private let context: WorkerContext
    private let server: FuseServer
    private let requests: ServedRing
    private let hiprio: ServedRing?
    private let chain = Chain()
    /// Private copies: the request's header and arguments, and the reply while it is built.
    private let request: UnsafeMutableRawPointer
    private let reply = ReplyScratch()

    private var memory: GuestMemory
    private var memoryVersion: UInt64
    private var polling: AdaptivePolling
    /// FORGETs have come since the last long sleep. More are likely to follow each request, so they get no kicks and no
    /// interrupts of their own; a moment after the last request they do.
    private var expectsForgets = false
    private static let forgetMilliseconds: Int32 = 2
    /// After so many requests FORGETs are looked for.
    private static let forgetInterval = 8

    private let reads: WaitingReads
    /// nil: everything may be taken at once.
    private let admission: Admission?

    /// Number of the virtqueue that the current request came from.
    private var currentQueue = 0
    private var currentDeferral: DeferredRequest?
    /// The current request is a READ that `reads` has.
    private var isReading = false

    /// The thread's body.
    static func run(worker: QueueWorker, _ context: WorkerContext) {
        do throws(Errno) {
            let loop = try RequestLoop(
                worker: worker, context, fileSystem: try context.share.makeFileSystem(mayWait: false))
            try context.confineThread()
            worker.acknowledge()
            loop.run()
        } catch {
            worker.acknowledge(failure: error)
        }
    }

    private init(worker: QueueWorker, _ context: WorkerContext, fileSystem: any FileSystem) throws(Errno) {
        self.worker = worker
        self.context = context
        requests = try ServedRing(port: worker.requests, arena: context.arena)
        hiprio = if let port = worker.hiprio { try ServedRing(port: port, arena: context.arena) } else { nil }
        reads = WaitingReads(of: worker, context.readRings)
        admission = context.throttle.map { Admission($0) }
        server = FuseServer(fileSystem: fileSystem, session: context.session)
        unsafe request = .allocate(byteCount: FuseServer.maximumInlineByteCount, alignment: 16)
        memoryVersion = context.memory.version
        memory = context.memory.latest
        polling = AdaptivePolling(context.polling, now: monotonicNanoseconds())
    }

    deinit { unsafe request.deallocate() }

    private func run() {
        while true {
            if worker.needsAttention, !attend() { return }
            endReads()
            followMemory()
            admission?.begin()
            drain(requests)
            requests.notify()
            if let hiprio { drainForgets(hiprio) }
            if let admission, let time = admission.sleepMilliseconds() {
                holdBack(time, admission)
                continue
            }
            if worker.needsAttention || watch() { continue }
            if !awaitKicks() { sleep() }
        }
    }

    // MARK: Mailbox

    /// Does what the mailbox says. Returns false when the thread is to end.
    private func attend() -> Bool {
        let (commands, finished) = worker.collect()
        answer(finished)
        for command in commands {
            switch command {
            case .start(let index, let setup): start(index, setup)
            case .stop(let index): stop(index)
            case .exit: return false
            }
        }
        return true
    }

    private func ring(_ index: Int) -> ServedRing {
        if let hiprio, hiprio.port.index == index { return hiprio }
        return requests
    }

    private func start(_ index: Int, _ setup: RingSetup) {
        memoryVersion = context.memory.version
        memory = context.memory.latest
        ring(index).start(setup, memory: memory)
    }

    /// vhost-user GET_VRING_BASE: everything in flight is answered before the ring counts as stopped.
    private func stop(_ index: Int) {
        let ring = ring(index)
        while ring.deferred > 0 {
            context.share.cancelWaiters()
            if !reads.awaitNews() {
                _ = waitReadable(worker.wake.descriptor.rawValue, timeoutMilliseconds: 10)
            }
            endReads()
            answer(worker.collectFinished())
        }
        if ring === requests, polling.record.watches > 0 {
            Log.debug("\(ring.port.name): \(polling.record.text)")
        }
        worker.acknowledge(nextAvailable: ring.stop())
    }

    /// Gives the chains of deferred requests back.
    private func answer(_ finished: [FinishedRequest]) {
        for item in finished {
            let ring = ring(item.ring)
            ring.deferred -= 1
            admission?.ended()
            ring.complete(item.head, written: item.written)
        }
        if finished.isEmpty { return }
        requests.notify()
        hiprio?.notify()
    }

    /// Answers the READs that the kernel has carried out.
    private func endReads() {
        if reads.haveNews { answerReads() }
    }

    @inline(never) private func answerReads() {
        while reads.haveNews, let (request, count) = reads.next() {
            guard let count else {
                waitInPool(request)
                continue
            }
            let ring = ring(request.ring)
            ring.deferred -= 1
            admission?.ended()
            let header = server.replyToRead(request.unique, count: count)
            ring.complete(request.head, written: request.reply(header) + count)
            ring.notifyPrecisely()
        }
    }

    // MARK: Rings

    /// Takes a new memory table into use, between two requests. Returns whether there was one.
    @discardableResult
    private func followMemory() -> Bool {
        guard context.memory.version != memoryVersion else { return false }
        memoryVersion = context.memory.version
        memory = context.memory.latest
        chain.removeAll()
        requests.relocate(to: memory)
        hiprio?.relocate(to: memory)
        return true
    }

    /// Answers everything in the ring, until it is empty or the mailbox wants something. Returns how much that was.
    @discardableResult
    private func drain(_ ring: ServedRing) -> Int {
        guard ring.isRunning else { return 0 }
        let queue = ring.queue
        queue.disableNotifications()
        // A guest that keeps the ring full must not keep the notifications from itself.
        var count = 0
        // A local: passing the variable would count its references for each request.
        var memory = memory
        do throws(RingFault) {
            while count < queue.size, !worker.needsAttention, queue.hasAvailable {
                // Looked at after the chain was seen: one that the guest made after a change of its memory table must not
                // be served by the old one.
                if followMemory() { memory = self.memory }
                if let admission, !admission.mayTake(hiprio: ring !== requests) { break }
                guard ring.isRunning, try queue.pop(into: chain, memory: memory) else {
                    admission?.abandon()
                    break
                }
                let head = chain.head
                ring.took(head)
                serve(head, ring)
                count += 1
                if ring === requests { ring.notifyPrecisely() }
                server.answered()
                endReads()
                if count % Self.forgetInterval == 0, drainWaitingForgets(besides: ring) {
                    memory = self.memory
                }
            }
        } catch {
            admission?.abandon()
            ring.breakDown(error)
        }
        return count
    }

    private func drainForgets(_ hiprio: ServedRing) {
        if drain(hiprio) > 0 { expectsForgets = true }
        if expectsForgets { hiprio.notifyInTime() } else { hiprio.notify() }
    }

    /// A guest that keeps `ring` full sends FORGETs all the same: what it has made and removed again keeps its descriptor until
    /// then, and others would have to give way. Returns whether there were any.
    private func drainWaitingForgets(besides ring: ServedRing) -> Bool {
        guard let hiprio, ring !== hiprio, hiprio.hasSome else { return false }
        drainForgets(hiprio)
        return true
    }

    /// Answers the request in `chain`, which begins at `head`.
    private func serve(_ head: UInt16, _ ring: ServedRing) {
        let (total, capacity) = (chain.readableByteCount, chain.writableByteCount)
        let prefixLength = copyRequest(from: 0, to: min(total, FuseServer.writeDataOffset))
        let prefix = unsafe front(prefixLength)
        let needed = unsafe FuseServer.inlineByteCount(prefix: prefix, totalByteCount: total)
        let length = prefixLength + copyRequest(from: prefixLength, to: needed)
        let message = unsafe front(length)
        var (data, replyData) = (DataVector.empty, DataVector.empty)
        switch unsafe DataPlace(ofRequest: prefix) {
        case .none: break
        case .request: data = DataVector(chain.readableVectors(from: FuseServer.writeDataOffset))
        case .reply: replyData = DataVector(chain.writableVectors(from: MemoryLayout<OutHeader>.size))
        }
        currentQueue = ring.port.index
        let outcome = unsafe server.handle(
            message: message, totalByteCount: total, data: data, replyScratch: reply.bytes,
            replyCapacity: capacity, replyData: replyData, deferrals: self)
        switch outcome {
        case .reply(let scratchByteCount, let directByteCount):
            let copied = unsafe chain.copyToWritable(
                UnsafeRawBufferPointer(start: reply.bytes.baseAddress, count: scratchByteCount), at: 0)
            ring.complete(head, written: copied + directByteCount)
        case .noReply:
            ring.complete(head, written: 0)
        case .mustWait:
            unsafe handOver(message, ring)
        case .deferred:
            break
        }
        if currentDeferral != nil { settleDeferral(outcome, ring) }
        admission?.took(
            outcome, requestByteCount: total, replyCapacity: capacity, hiprio: ring !== requests)
        if let refusal = server.lastRefusal { RefusalLog.note(refusal) }
    }

    /// Copies the bytes [start, end) of the request in `chain` into the scratch, as far as they exist.
    private func copyRequest(from start: Int, to end: Int) -> Int {
        guard end > start else { return 0 }
        precondition(end <= FuseServer.maximumInlineByteCount, "a request longer than its scratch")
        return unsafe chain.copyReadable(
            from: start, into: UnsafeMutableRawBufferPointer(start: request + start, count: end - start))
    }

    /// The first `count` bytes of the scratch, which has as many.
    private func front(_ count: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: request, count: count)
    }

    // MARK: Waiting for more

    /// Watches the request ring for a while. Returns whether there is something to do.
    private func watch() -> Bool {
        guard requests.isRunning else { return false }
        let began = monotonicNanoseconds()
        let length = polling.length(now: began)
        guard length > 0, context.watchers.enter() else { return false }
        defer { context.watchers.leave() }
        var (now, longestGap) = (began, Int64(0))
        var found = false
        repeat {
            for _ in 0..<8 where !found {
                SharedArea.relax()
                found =
                    requests.hasAvailable || worker.needsAttention || reads.haveNews
                    || hiprio?.hasSeveral ?? false
            }
            let last = now
            now = monotonicNanoseconds()
            longestGap = max(longestGap, now - last)
        } while !found && now - began < length
        polling.watched(found: found, for: now - began, longestGap: longestGap, now: now)
        return found
    }

    /// Asks the guest for kicks, and the kernel for the like. Returns true when something has come that none will be for.
    private func awaitKicks() -> Bool {
        let forgets = expectsForgets ? hiprio?.awaitSeveral() : hiprio?.awaitKick()
        return requests.awaitKick() || forgets ?? false || reads.awaitNews()
    }

    /// Some request may not be taken yet: sleeps so long, unless something comes that may be.
    private func holdBack(_ milliseconds: Int32, _ admission: Admission) {
        if worker.needsAttention || reads.awaitNews() { return }
        let takesForgets = !admission.limits(hiprio: true)
        if takesForgets, hiprio?.awaitKick() ?? false { return }
        let forgetKick = takesForgets ? hiprio?.kickDescriptor ?? -1 : -1
        let limit = expectsForgets ? min(milliseconds, Self.forgetMilliseconds) : milliseconds
        if !sleep(kick: -1, forgetKick: forgetKick, atMost: limit) { expectsForgets = false }
    }

    /// Waits for a kick or the mailbox.
    private func sleep() {
        let isPolled = requests.setup?.polled ?? false || hiprio?.setup?.polled ?? false
        let limit = isPolled ? 1 : expectsForgets ? Self.forgetMilliseconds : -1
        let began = monotonicNanoseconds()
        if !sleep(kick: requests.kickDescriptor, forgetKick: hiprio?.kickDescriptor ?? -1, atMost: limit) {
            expectsForgets = false
        }
        polling.waited(for: monotonicNanoseconds() - began)
    }

    /// Returns false after the time-out.
    private func sleep(kick: Int32, forgetKick: Int32, atMost limit: Int32) -> Bool {
        let ready = waitReadable(
            worker.wake.descriptor.rawValue, kick, forgetKick, timeoutMilliseconds: limit)
        // Woken for a new memory table, with nothing in the mailbox. What comes into that meanwhile is seen before the next sleep.
        if ready & 0b001 != 0, !worker.needsAttention { worker.wake.clear() }
        let isHungUp =
            ready & 0b010 != 0 && !clearEvent(kick) || ready & 0b100 != 0 && !clearEvent(forgetKick)
        if isHungUp {
            // Readable for ever without anything to read: a hung-up pipe. Look at the ring now and then instead.
            _ = waitReadable(worker.wake.descriptor.rawValue, timeoutMilliseconds: 1)
        }
        return ready != 0
    }

    // MARK: Requests that leave the worker

    /// A request has to wait: it does so as one of `reads` already, or in the pool.
    private func handOver(_ message: UnsafeRawBufferPointer, _ ring: ServedRing) {
        ring.deferred += 1
        if isReading {
            isReading = false
            return
        }
        let request = WaitingRequest(of: worker)
        unsafe request.fill(message, chain, memory, ring: ring.port.index)
        waitInPool(request)
    }

    private func waitInPool(_ request: WaitingRequest) {
        if !context.pool.submit(request) { request.carryOut(nil, reply) }
    }

    func take(_ read: HostRead) -> Bool {
        // A READ has been copied whole.
        let message = unsafe front(chain.readableByteCount)
        isReading = unsafe reads.start(read, message, chain, memory, queue: currentQueue)
        return isReading
    }

    func deferReply() -> any DeferredReply {
        if let currentDeferral { return currentDeferral }
        // SAFETY: a request that reached the file system had a whole header, and the scratch still has it.
        let header = unsafe request.load(as: InHeader.self)
        let deferral = DeferredRequest(
            chain: chain, unique: Unique(rawValue: header.unique), memory: memory,
            ring: currentQueue, worker: worker)
        currentDeferral = deferral
        return deferral
    }

    /// Counts a request that was really deferred; one that was not must never come back.
    private func settleDeferral(_ outcome: Outcome, _ ring: ServedRing) {
        guard let deferral = currentDeferral else { return }
        currentDeferral = nil
        if case .deferred = outcome { ring.deferred += 1 } else { deferral.abandon() }
    }
}

extension DataVector {
    init(_ vectors: IOVectors) {
        unsafe self.init(
            iovecs: UnsafeMutableRawPointer(vectors.base), count: vectors.count, byteCount: vectors.byteCount)
    }
}
