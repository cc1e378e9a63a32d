// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import HostOS
import VhostUser
import Virtqueue

/// What the device is given in one chain.
package struct RequestMessage: Sendable {
    /// Everything the device may read.
    package var bytes: [UInt8]
    /// Where bulk data begins in `bytes`; everything before it is header and arguments.
    package var dataOffset: Int
    /// How many bytes the device may write; 0: the request expects no reply.
    package var replyByteCount: Int
    /// Where bulk data begins in the reply.
    package var replyDataOffset: Int

    package init(_ bytes: [UInt8], dataOffset: Int? = nil, replyByteCount: Int, replyDataOffset: Int? = nil) {
        self.bytes = bytes
        self.dataOffset = dataOffset ?? bytes.count
        self.replyByteCount = replyByteCount
        self.replyDataOffset = replyDataOffset ?? replyByteCount
    }
}

/// Names a request that was submitted until its completion is taken.
package struct Ticket: Hashable, Sendable {
    let slot: Int
    let serial: UInt64
}

/// What came back for one request: `used.len`, and as many bytes of the reply.
package struct CompletedRequest: Sendable {
    package let written: Int
    package let reply: [UInt8]
}

/// One queue of the device, driver's side: the ring, its eventfds, and a fixed number of slots, each with the memory for one
/// request and its reply. One thread at a time uses it.
package final class RequestQueue {
    package let index: Int
    package let size: Int
    /// Where the ring lies, for those who want to break it.
    package let layout: RingLayout
    /// For VHOST_USER_SET_VRING_ADDR.
    package let addresses: VringAddresses
    package private(set) var kick: EventFD
    package private(set) var call: EventFD
    package let error: EventFD
    package var framing = Framing.linux
    /// Puts chains into indirect tables, where the feature was negotiated.
    package var usesIndirect = true

    private let ram: GuestRAM
    private let features: RingFeatures
    private var ring: DriverQueue
    private var serial: UInt64 = 0

    private struct Slot {
        let request: GuestAddress
        let reply: GuestAddress
        let table: IndirectTable
        var state = State.free
        var serial: UInt64 = 0
        enum State { case free, submitted, completed(Int) }
    }
    private var slots: [Slot]
    private var freeSlots: [Int]
    /// Which slot a chain's head belongs to.
    private var slotOfHead: [Int]
    private let capacity: SlotCapacity

    init(plan: QueuePlan, ram: GuestRAM, features: RingFeatures) throws(Errno) {
        index = plan.index
        size = plan.size
        self.ram = ram
        self.features = features
        capacity = plan.capacity
        layout = try RingLayout(size: plan.size, contiguousAt: plan.ring, memory: ram.memory)
        ring = DriverQueue(layout: layout, features: features)
        let base = ram.userAddress(of: plan.ring)
        addresses = VringAddresses(
            ring: UInt32(plan.index), descriptorTable: base,
            availableRing: base + UInt64(RingLayout.availableOffset(plan.size)),
            usedRing: base + UInt64(RingLayout.usedOffset(plan.size)))
        kick = try EventFD()
        call = try EventFD()
        error = try EventFD()
        slots = []
        for place in plan.slots {
            let area = try ram.memory.area(
                at: place.table, byteCount: QueuePlan.tableByteCount, alignment: 16)
            slots.append(
                Slot(
                    request: place.request, reply: place.reply,
                    table: IndirectTable(address: place.table, area: area)))
        }
        freeSlots = Array(slots.indices.reversed())
        slotOfHead = Array(repeating: 0, count: plan.size)
    }

    /// Requests submitted and not yet seen completed.
    package var outstanding: Int { ring.outstanding }

    /// Begins with an empty ring at index 0, as a driver does after it reset its device: what was outstanding is lost. The
    /// device must have stopped the ring.
    package func restart() {
        ring = DriverQueue(layout: layout, features: features)
        for slot in slots.indices {
            slots[slot].state = .free
            slots[slot].serial = 0
        }
        freeSlots = Array(slots.indices.reversed())
        call.clear()
        error.clear()
    }

    /// Takes a new eventfd into use for interrupts; the back-end must be told of it.
    package func replaceCall() throws(Errno) { call = try EventFD() }

    // MARK: Submitting

    /// Makes `message` available to the device and kicks it if it wants that.
    ///
    /// - Throws: EAGAIN when all slots are in use, E2BIG when the message does not fit one, and what `DriverQueue.add`
    ///   throws: ENOSPC when too few descriptors are free now.
    package func submit(_ message: RequestMessage) throws(Errno) -> Ticket {
        let ticket = try enqueue(message)
        notify()
        return ticket
    }

    /// Makes `message` available to the device without a kick.
    package func enqueue(_ message: RequestMessage) throws(Errno) -> Ticket {
        guard message.bytes.count <= capacity.request, message.replyByteCount <= capacity.reply else {
            throw .E2BIG
        }
        guard let slot = freeSlots.last.map({ slots[$0] }) else { throw .EAGAIN }
        try ram.write(message.bytes.span, at: slot.request)
        var readable: [GuestBuffer] = []
        var writable: [GuestBuffer] = []
        framing.append(
            base: slot.request, headerByteCount: 40, dataOffset: message.dataOffset,
            byteCount: message.bytes.count, to: &readable)
        framing.append(
            base: slot.reply, headerByteCount: 16, dataOffset: message.replyDataOffset,
            byteCount: message.replyByteCount, to: &writable)
        return try enqueue(readable: readable, writable: writable)
    }

    /// Makes a chain of any memory available to the device without a kick. Where the reply lies is the caller's matter:
    /// what `wait` copies is the start of the slot.
    package func enqueue(readable: [GuestBuffer], writable: [GuestBuffer]) throws(Errno) -> Ticket {
        guard let number = freeSlots.last else { throw .EAGAIN }
        let indirect = usesIndirect && features.contains(.indirectDescriptors)
        let head = try ring.add(
            readable: readable.span, writable: writable.span,
            indirectTable: indirect ? slots[number].table : nil)
        ring.publish()
        freeSlots.removeLast()
        serial += 1
        slots[number].state = .submitted
        slots[number].serial = serial
        slotOfHead[Int(head)] = number
        return Ticket(slot: number, serial: serial)
    }

    /// Kicks the device if it wants to know of what was enqueued.
    package func notify() { if ring.needsKick() { kick.signal() } }

    // MARK: Completions

    /// Takes note of everything the device has finished; never blocks.
    ///
    /// - Throws: EPROTO when the device broke the ring.
    package func collect() throws(Errno) {
        do throws(RingFault) {
            while let element = try ring.popUsed() {
                slots[slotOfHead[Int(element.head)]].state = .completed(Int(element.written))
            }
        } catch {
            throw .EPROTO
        }
    }

    /// Whether the request has been seen completed by `collect`.
    package func isCompleted(_ ticket: Ticket) -> Bool {
        guard slots[ticket.slot].serial == ticket.serial, case .completed = slots[ticket.slot].state else {
            return false
        }
        return true
    }

    /// Waits until the request is completed, in any order with others, and frees its slot.
    ///
    /// - Throws: ETIMEDOUT; ECONNRESET when the device signalled that it gave up the ring; EPROTO when the device broke
    ///   the ring; EINVAL for a ticket whose completion was taken already.
    package func wait(for ticket: Ticket, until deadline: Deadline) throws(Errno) -> CompletedRequest {
        guard slots[ticket.slot].serial == ticket.serial else { throw .EINVAL }
        while true {
            ring.disableInterrupts()
            try collect()
            if isCompleted(ticket) { return try take(ticket.slot) }
            if ring.enableInterrupts() { continue }
            let ready = waitReadable(
                call.descriptor.rawValue, error.descriptor.rawValue,
                timeoutMilliseconds: deadline.remainingMilliseconds)
            if ready & 0b10 != 0 { throw .ECONNRESET }
            if ready & 0b01 != 0 {
                call.clear()
            } else if deadline.remainingMilliseconds == 0 {
                throw .ETIMEDOUT
            }
        }
    }

    private func take(_ number: Int) throws(Errno) -> CompletedRequest {
        guard case .completed(let written) = slots[number].state else { throw .EINVAL }
        let reply = try ram.read(written, at: slots[number].reply)
        slots[number].state = .free
        slots[number].serial = 0
        freeSlots.append(number)
        return CompletedRequest(written: written, reply: reply)
    }
}

/// How long a request and a reply may be, in bytes.
struct SlotCapacity {
    var request: Int
    var reply: Int
}

/// Where a queue's memory lies, decided before the memory exists.
struct QueuePlan {
    let index: Int
    let size: Int
    let capacity: SlotCapacity
    let ring: GuestAddress
    let slots: [(request: GuestAddress, reply: GuestAddress, table: GuestAddress)]

    /// Room for 1024 descriptors: 1 MiB in pages each way, headers, and more than enough.
    static let tableByteCount = 16 * 1024

    init(index: Int, size: Int, depth: Int, capacity: SlotCapacity, from allocator: inout GuestAllocator) {
        self.index = index
        self.size = size
        self.capacity = capacity
        ring = allocator.take(RingLayout.contiguousByteCount(size), alignment: 64, contiguous: true)
        slots = (0..<depth).map { _ in
            (
                request: allocator.take(capacity.request), reply: allocator.take(capacity.reply),
                table: allocator.take(Self.tableByteCount, contiguous: true)
            )
        }
    }
}
