// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseWire
import Glibc
import GuestMemory
import HostOS
import Virtqueue

/// Why a worker has ended.
enum WorkerEnd: Equatable, Sendable {
    /// It was told to.
    case stopped
    /// The kernel has ended the connection: unmounted, or aborted.
    case unmounted
    /// The device broke a ring.
    case ringBroken
    /// Reading from the kernel failed with something unexpected.
    case failed(Errno)
}

/// One thread of a mount: reads requests from its channel, gives them to the device, and answers what the device has
/// finished on its own lane, whoever has submitted it. Nothing is allocated for a request, unless the kernel's cache is ours to
/// look after (`KernelCache`), which remembers what the kernel knows.
@safe final class BridgeWorker {
    /// Whose completions it collects.
    private let lane: Lane
    let channel: Int32
    let parts: BridgeParts
    /// What wakes it: the channel, the lane's interrupt, the end. And the same without the channel.
    private let everything: EventSet
    private let withoutChannel: EventSet
    var hand = BufferHand()
    /// A READ that the window answers, between our turn and the copy.
    var mappedRead: MappedRead?
    /// Private memory: the first bytes of a request, and a reply's header with a fixed body behind it.
    let prefix: UnsafeMutableRawBufferPointer
    let scratch: UnsafeMutableRawBufferPointer
    let vectors: UnsafeMutablePointer<iovec>

    /// The header and the arguments of a WRITE: what comes behind them is read to the start of a page.
    private static let prefixByteCount = MemoryLayout<InHeader>.size + MemoryLayout<WriteIn>.size

    private enum Event {
        static let channel: UInt64 = 0
        static let call: UInt64 = 1
        static let stop: UInt64 = 2
    }

    init(_ parts: BridgeParts, lane: Lane, channel: Int32) throws(Errno) {
        self.parts = parts
        self.lane = lane
        self.channel = channel
        everything = try EventSet()
        withoutChannel = try EventSet()
        // One thread for each request: the kernel wakes one of those that wait exclusively.
        try everything.add(channel, bit: Event.channel, exclusive: true)
        let (call, end) = (lane.queue.callDescriptor, parts.stop.descriptor.rawValue)
        try everything.add(call, bit: Event.call, exclusive: true, changesOnly: true)
        try everything.add(end, bit: Event.stop)
        try withoutChannel.add(call, bit: Event.call, exclusive: true, changesOnly: true)
        try withoutChannel.add(end, bit: Event.stop)
        unsafe prefix = .allocate(byteCount: Self.prefixByteCount, alignment: 16)
        unsafe scratch = .allocate(byteCount: SlotLayout.replyByteCount, alignment: 16)
        unsafe vectors = .allocate(capacity: 2)
        unsafe vectors.initialize(repeating: iovec(), count: 2)
    }

    deinit {
        unsafe prefix.deallocate()
        unsafe scratch.deallocate()
        unsafe vectors.deallocate()
    }

    /// The thread's body.
    func run() -> WorkerEnd {
        var isReadable = true
        do throws(Errno) {
            while true {
                try collect(lane)
                let mayRead = pool.provide(&hand)
                if isReadable && mayRead {
                    let end = try parts.turn.withLock { () throws(Errno) in try readRequest() }
                    if let end { return end }
                }
                if let reads = parts.reads { try serve(reads) }
                if lane.queue.armInterrupts() { continue }
                let ready =
                    mayRead
                    ? everything.wait(timeoutMilliseconds: -1) : withoutChannel.wait(timeoutMilliseconds: -1)
                if ready & 1 << UInt32(Event.stop) != 0 { return .stopped }
                isReadable = !mayRead || ready & 1 << UInt32(Event.channel) != 0
            }
        } catch {
            return error == .EPROTO ? .ringBroken : .failed(error)
        }
    }

    var pool: BufferPool { parts.pool }

    /// Answers everything that the device has finished on `lane`.
    private func collect(_ lane: Lane) throws(Errno) {
        var completions = InlineArray<16, Completion>(repeating: Completion())
        var count: Int
        repeat {
            var span = completions.mutableSpan
            count = try lane.queue.collect(into: &span)
            for index in 0..<count { finish(completions[index], on: lane) }
        } while count == completions.count
    }

    // MARK: Requests

    /// Reads one request, if there is one, and sends it on its way. Returns why the worker has to end, if so.
    private func readRequest() throws(Errno) -> WorkerEnd? {
        let buffer = pool[hand.reading]
        let count: Int
        do throws(Errno) {
            unsafe vectors[0] = iovec(iov_base: prefix.baseAddress, iov_len: prefix.count)
            unsafe vectors[1] = buffer.vector(at: 0, byteCount: BridgeMemory.dataByteCount)
            let source = channel
            count = try systemCall { unsafe readv(source, vectors, 2) }
        } catch {
            switch error {
            // ENOENT: the request was taken back while it was read.
            case .EAGAIN, .ENOENT: return nil
            case .ENODEV, Self.aborted: return .unmounted
            default: throw error
            }
        }
        guard count >= MemoryLayout<InHeader>.size else { return nil }
        let header = unsafe prefix.loadUnaligned(as: InHeader.self)
        try forward(header, byteCount: count, in: buffer)
        return nil
    }

    /// ECONNABORTED.
    private static let aborted = Errno(rawValue: 103)

    /// - Parameters:
    ///   - count: the length of the request, whose first bytes are in `prefix` and the others in `buffer`.
    func forward(_ header: InHeader, byteCount count: Int, in buffer: RAMBuffer) throws(Errno) {
        let start = unsafe min(count, prefix.count)
        let message = unsafe UnsafeRawBufferPointer(rebasing: prefix[..<start])
        let arguments = unsafe UnsafeRawBufferPointer(rebasing: message[MemoryLayout<InHeader>.size...])
        let opcode = Opcode(rawValue: header.opcode)
        switch opcode {
        case .forget:
            if let reads = parts.reads, unsafe isLater(header.nodeID, arguments, reads) { return }
            if let cache = parts.cache, arguments.count >= 8 {
                cache.forget(header.nodeID, count: unsafe arguments.loadUnaligned(as: UInt64.self))
            }
            return try unsafe parts.forgets.forget(message)
        case .batchForget: return try forgetBatch(header, byteCount: count, in: buffer)
        case .interrupt:
            guard arguments.count >= MemoryLayout<InterruptIn>.size else { return }
            return parts.interrupts.interrupt(unsafe arguments.loadUnaligned(as: InterruptIn.self).unique)
        default: break
        }
        let shape = unsafe ReplyShape(
            opcode: header.opcode, arguments: arguments, limit: BridgeMemory.dataByteCount)
        switch shape {
        case .none: return
        case .refused(let error): return answer(channel, header.unique, error: -error.rawValue)
        default: break
        }
        if opcode == .read, let reads = parts.reads, unsafe isMapped(header, arguments, reads) { return }
        let target = parts.lane(of: header.nodeID)
        if opcode == .setlkw && target.isCrowded {
            return answer(channel, header.unique, error: -Errno.ENOLCK.rawValue)
        }
        var watched = WatchedRequest()
        if let reads = parts.reads, let opcode {
            unsafe watched = WatchedRequest(opcode, node: header.nodeID, arguments, reads)
        }
        var question = KernelCache.Question()
        if let cache = parts.cache, let opcode { question = cache.ask(opcode, header.nodeID) }
        try unsafe submit(
            header.unique, shape, watched, message, rest: count - start, in: buffer, to: target,
            asking: question)
    }

    func submit(
        _ unique: UInt64, _ shape: ReplyShape, _ watched: WatchedRequest, _ start: UnsafeRawBufferPointer,
        rest: Int, in buffer: RAMBuffer, to lane: Lane,
        asking question: KernelCache.Question = KernelCache.Question()
    ) throws(Errno) {
        let isInline = start.count + rest <= SlotLayout.requestByteCount
        let header = MemoryLayout<OutHeader>.size
        let isShort = header + shape.room <= SlotLayout.replyByteCount
        let request = LaneRequest(
            channel: channel, unique: unique, shape: shape, requestBuffer: isInline ? -1 : hand.reading,
            replyBuffer: isShort ? -1 : hand.spare, watched: watched, question: question)
        guard let slot = try takeSlot(of: lane, for: request) else { return }
        unsafe lane.write(start, in: slot)
        if isInline && rest > 0 {
            let vector = unsafe buffer.vector(at: 0, byteCount: rest)
            unsafe lane.write(
                UnsafeRawBufferPointer(start: vector.iov_base, count: rest), in: slot, at: start.count)
        }
        // Descriptor counts differ, so each side is a list of two of which the second may be left out.
        let readable: InlineArray<2, GuestBuffer> = [
            lane.requestPart(of: slot, byteCount: isInline ? start.count + rest : start.count),
            buffer.part(at: 0, byteCount: rest),
        ]
        let writable: InlineArray<2, GuestBuffer> = [
            lane.replyPart(of: slot, byteCount: isShort ? header + shape.room : header),
            pool[hand.spare].part(at: 0, byteCount: isShort ? 0 : shape.room),
        ]
        if !isInline { hand.reading = -1 }
        if !isShort { hand.spare = -1 }
        do throws(Errno) {
            try lane.submit(
                slot, readable: readable.span.extracting(first: isInline ? 1 : 2),
                writable: writable.span.extracting(first: isShort ? 1 : 2))
            parts.interrupts.submitted(unique, on: lane)
        } catch {
            parts.reads?.ended(watched)
            lane.release(slot)
            answer(channel, unique, error: -Errno.EIO.rawValue)
        }
    }

    /// A slot of `target`, waiting for one where all are in use; nil when the mount ends.
    private func takeSlot(of target: Lane, for request: LaneRequest) throws(Errno) -> Int? {
        while true {
            if let slot = target.take(for: request) { return slot }
            // Whoever else collects waits for our turn to end.
            for lane in parts.lanes { try collect(lane) }
            if let slot = target.take(for: request) { return slot }
            // The device's interrupt may go to another thread: look again now and then.
            if withoutChannel.wait(timeoutMilliseconds: 10) & 1 << UInt32(Event.stop) != 0 { return nil }
        }
    }

    private func forgetBatch(_ header: InHeader, byteCount count: Int, in buffer: RAMBuffer) throws(Errno) {
        let fixed = MemoryLayout<InHeader>.size + MemoryLayout<BatchForgetIn>.size
        guard count > fixed else { return }
        let inPrefix = unsafe prefix.count - fixed
        try unsafe parts.forgets.forgetBatch(header, entryByteCount: count - fixed) { offset, target in
            // The first entries have come into the prefix, the others into the buffer.
            let first = max(0, min(target.count, inPrefix - offset))
            if first > 0 {
                unsafe target.copyMemory(
                    from: UnsafeRawBufferPointer(
                        rebasing: prefix[(fixed + offset)..<(fixed + offset + first)]))
            }
            unsafe buffer.copy(
                from: max(0, offset - inPrefix),
                into: UnsafeMutableRawBufferPointer(rebasing: target[first...]))
            if let cache = parts.cache { unsafe forget(target, cache) }
            if let reads = parts.reads { unsafe leaveOutMapped(target, reads) }
        }
    }

    private func forget(_ entries: UnsafeMutableRawBufferPointer, _ cache: KernelCache) {
        let size = MemoryLayout<ForgetOne>.size
        for offset in stride(from: 0, to: entries.count / size * size, by: size) {
            let one = unsafe entries.loadUnaligned(fromByteOffset: offset, as: ForgetOne.self)
            cache.forget(one.nodeID, count: one.count)
        }
    }
}
