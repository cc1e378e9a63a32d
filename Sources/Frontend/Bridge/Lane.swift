// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseWire
import GuestMemory
import HostOS
import Synchronization
import Virtqueue

/// One request queue as a mount uses it: the ring, and a slot of guest memory for each request that may be under way.
///
/// A slot belongs to whoever took it until the request is submitted, then to the device, then to whoever collected it.
@safe final class Lane: @unchecked Sendable {
    // SAFETY: @unchecked because of the pointer only; the words behind it are accessed atomically.

    let queue: ChainQueue
    let slotCount: Int
    private let arena: RAMBuffer
    let pool: BufferPool
    private let state: Mutex<State>
    /// By slot: the unique of the request that is under way there, 0 for none; bit 0, which uniques do not have, is set
    /// once the device has it.
    private let uniques: UnsafeMutablePointer<UInt64>

    private struct State {
        var free: [Int]
        var requests: [LaneRequest]
    }

    /// - Parameters:
    ///   - arena: holds the slots.
    ///   - pool: where the data of its requests lies.
    init(queue: ChainQueue, arena: RAMBuffer, pool: BufferPool) {
        self.queue = queue
        self.arena = arena
        self.pool = pool
        // In a table a chain takes one descriptor of the ring, otherwise as many as it has pieces.
        let chains = queue.takesTables ? queue.size : queue.size / SlotLayout.descriptors
        slotCount = min(chains, arena.byteCount / SlotLayout.stride)
        state = Mutex(
            State(
                free: (0..<slotCount).reversed(),
                requests: [LaneRequest](repeating: LaneRequest(), count: slotCount)))
        unsafe uniques = .allocate(capacity: slotCount)
        unsafe uniques.initialize(repeating: 0, count: slotCount)
    }

    deinit { unsafe uniques.deallocate() }

    // MARK: Memory

    /// Slots that nobody uses. A lock that may be waited for ever must leave some to those who release it.
    var isCrowded: Bool { state.withLock { $0.free.count <= slotCount / 4 } }

    /// A slot for `request`; nil when there is none, or only those kept in reserve for INTERRUPT.
    func take(for request: LaneRequest, reserve: Int = SlotLayout.reserve) -> Int? {
        let slot = state.withLock { state -> Int? in
            guard state.free.count > reserve, let slot = state.free.popLast() else { return nil }
            state.requests[slot] = request
            return slot
        }
        if let slot { unsafe vfs_store_sequential64(uniques + slot, request.unique) }
        return slot
    }

    /// What is under way in a slot that the device has given back.
    func request(in slot: Int) -> LaneRequest {
        unsafe vfs_store_sequential64(uniques + slot, 0)
        return state.withLock { $0.requests[slot] }
    }

    /// Gives back a slot and the buffers of its request.
    func release(_ slot: Int) {
        let request = state.withLock { state in
            state.free.append(slot)
            return state.requests[slot]
        }
        pool.giveBack(request)
    }

    /// Writes `bytes` into the request's place of a slot, from `offset` of it on.
    func write(_ bytes: UnsafeRawBufferPointer, in slot: Int, at offset: Int = 0) {
        unsafe arena.copy(bytes, at: slot * SlotLayout.stride + offset)
    }

    /// Reads the header of the reply in a slot, or a part of it.
    func readReply(in slot: Int, into target: UnsafeMutableRawBufferPointer) {
        unsafe arena.copy(from: slot * SlotLayout.stride + SlotLayout.replyOffset, into: target)
    }

    /// Reads what follows that header.
    func readReplyBody(in slot: Int, into target: UnsafeMutableRawBufferPointer) {
        let offset = SlotLayout.replyOffset + MemoryLayout<OutHeader>.size
        unsafe arena.copy(from: slot * SlotLayout.stride + offset, into: target)
    }

    /// The first `count` bytes of the request in a slot.
    func requestPart(of slot: Int, byteCount count: Int) -> GuestBuffer {
        arena.part(at: slot * SlotLayout.stride, byteCount: count)
    }

    /// The first `count` bytes of the room for the reply in a slot.
    func replyPart(of slot: Int, byteCount count: Int) -> GuestBuffer {
        arena.part(at: slot * SlotLayout.stride + SlotLayout.replyOffset, byteCount: count)
    }

    /// The same, behind the reply's header, as our memory.
    func replyBody(of slot: Int, byteCount count: Int) -> iovec {
        let offset = SlotLayout.replyOffset + MemoryLayout<OutHeader>.size
        return unsafe arena.vector(at: slot * SlotLayout.stride + offset, byteCount: count)
    }

    // MARK: Ring

    /// Gives the chain of `slot` to the device.
    func submit(
        _ slot: Int, readable: Span<GuestBuffer>, writable: Span<GuestBuffer>
    ) throws(Errno) {
        let table =
            queue.takesTables
            ? arena.table(
                at: slot * SlotLayout.stride + SlotLayout.tableOffset, descriptors: SlotLayout.descriptors)
            : nil
        let unique = unsafe vfs_load_relaxed64(uniques + slot)
        try queue.submit(
            readable: readable, writable: writable, token: UInt32(truncatingIfNeeded: slot), table: table)
        // Fails when the device was so fast that the slot has been given back.
        if unique != 0 { _ = unsafe vfs_compare_exchange64(uniques + slot, unique, unique | 1) }
    }

    /// Tells the device that nobody waits for `unique` any more, if the device has it.
    /// - Returns: false when it has not.
    func interrupt(_ unique: UInt64) -> Bool {
        for slot in 0..<slotCount where unsafe vfs_load_sequential64(uniques + slot) == unique | 1 {
            sendInterrupt(of: unique)
            return true
        }
        return false
    }

    /// On this ring, so that it cannot overtake the request. Without a slot it is lost, and the caller waits on.
    func sendInterrupt(of unique: UInt64) {
        guard let slot = take(for: LaneRequest(), reserve: 0) else { return }
        var message = InterruptMessage()
        message.header.length = UInt32(MemoryLayout<InterruptMessage>.size)
        message.header.opcode = Opcode.interrupt.rawValue
        message.header.unique = unique | 1
        message.body.unique = unique
        unsafe withUnsafeBytes(of: &message) { unsafe write($0, in: slot) }
        let parts: InlineArray<1, GuestBuffer> = [
            requestPart(of: slot, byteCount: MemoryLayout<InterruptMessage>.size)
        ]
        do throws(Errno) {
            try submit(slot, readable: parts.span, writable: Span())
        } catch {
            release(slot)
        }
    }
}

/// A request that a lane has under way.
struct LaneRequest: Sendable {
    /// Where its answer goes; −1: nowhere.
    var channel: Int32 = -1
    var unique: UInt64 = 0
    var shape = ReplyShape.none
    /// The pool's buffers that hold the end of the request and the reply's body; −1: none.
    var requestBuffer = -1
    var replyBuffer = -1
    /// Where `channel` is −1: what it is for.
    var own = OwnRequest.none
    /// What the answer means for files that may be mapped.
    var watched = WatchedRequest()
    /// What the version table said when it was sent.
    var question = KernelCache.Question()
}

private struct InterruptMessage: BitwiseCopyable {
    var header = InHeader()
    var body = InterruptIn()
}

/// How a slot's memory is laid out, in bytes.
enum SlotLayout {
    /// A request with arguments and two names; what is longer lies in a big buffer.
    static let requestByteCount = 1024
    static let replyOffset = requestByteCount
    /// A reply's header and the longest fixed body, STATX's.
    static let replyByteCount = MemoryLayout<OutHeader>.size + MemoryLayout<StatxOut>.size
    static let tableOffset = replyOffset + replyByteCount
    /// The most pieces of one chain: start and end of the request, header and body of the reply.
    static let descriptors = 4
    static let stride = 1408
    /// Slots for INTERRUPT alone.
    static let reserve = 16
}
