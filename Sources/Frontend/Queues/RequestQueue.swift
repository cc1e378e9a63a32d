// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import HostOS
import Synchronization
import VhostUser
import Virtqueue

/// Whole messages on one queue: a fixed number of slots, each with the memory for one request and its reply.
///
/// Any thread may submit, and wait for what it submitted. Of the threads that wait, one leads: it takes completions for all
/// and sleeps on the call eventfd; the others sleep until something was collected or the lead is free. So there is no
/// thread for completions and none for each request.
package final class RequestQueue: Sendable {
    /// The ring below; nobody else may submit to it or collect from it.
    package let chains: ChainQueue
    private let ram: GuestRAM
    private let capacity: SlotCapacity
    /// Whose end ends every wait.
    private let connection: Connection?

    /// A slot's memory.
    private struct Place {
        let request: GuestAddress
        let reply: GuestAddress
        let table: IndirectTable
    }
    private let places: [Place]

    private enum Progress {
        case free, submitted, taken
        case completed(written: Int)
    }
    private struct Slot {
        var progress = Progress.free
        /// 0 when no ticket names this slot.
        var serial: UInt64 = 0
    }
    private struct State {
        var slots: [Slot]
        var free: [Int]
        var serial: UInt64 = 0
        var hasLeader = false
        var framing = Framing.linux
        var usesIndirect = true
    }
    private let state: Mutex<State>
    /// Completions and the end of a lead.
    private let changes = Announcements()

    /// - Parameter connection: to the back-end; when that has gone, nobody waits any more.
    init(plan: QueuePlan, ram: GuestRAM, features: RingFeatures, connection: Connection? = nil) throws(Errno)
    {
        chains = try ChainQueue(
            index: plan.index, size: plan.size, at: plan.ring, ram: ram, features: features)
        self.ram = ram
        self.connection = connection
        capacity = plan.capacity
        var places: [Place] = []
        for place in plan.slots {
            let area = try ram.memory.area(
                at: place.table, byteCount: QueuePlan.tableByteCount, alignment: 16)
            places.append(
                Place(
                    request: place.request, reply: place.reply,
                    table: IndirectTable(address: place.table, area: area)))
        }
        self.places = places
        state = Mutex(
            State(
                slots: [Slot](repeating: Slot(), count: places.count), free: places.indices.reversed()))
    }

    package var index: Int { chains.index }
    package var size: Int { chains.size }
    package var layout: RingLayout { chains.layout }
    package var addresses: VringAddresses { chains.addresses }
    package var kick: EventFD { chains.kick }
    package var call: EventFD { chains.call }
    package var error: EventFD { chains.error }
    /// Requests submitted and not yet seen completed.
    package var outstanding: Int { chains.outstanding }

    package var framing: Framing {
        get { state.withLock { $0.framing } }
        set { state.withLock { $0.framing = newValue } }
    }
    /// Puts chains into indirect tables, where the feature was negotiated.
    package var usesIndirect: Bool {
        get { state.withLock { $0.usesIndirect } }
        set { state.withLock { $0.usesIndirect = newValue } }
    }

    /// `ChainQueue.restart`; every ticket is void.
    package func restart() {
        chains.restart()
        state.withLock {
            for slot in $0.slots.indices { $0.slots[slot] = Slot() }
            $0.free = Array($0.slots.indices.reversed())
        }
        changes.announce()
    }

    /// Takes a new eventfd into use for interrupts; the back-end must be told of it.
    package func replaceCall() throws(Errno) { try chains.replaceCall() }

    // MARK: Submitting

    /// Makes `message` available to the device and kicks it if it wants that.
    ///
    /// - Throws: EAGAIN when all slots are in use or too few descriptors are free now, E2BIG when the message does not fit
    ///   a slot, EINVAL when it is empty or longer than the ring.
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
        let ticket = try takeSlot()
        var readable: [GuestBuffer] = []
        var writable: [GuestBuffer] = []
        let (framing, place) = (self.framing, places[ticket.slot])
        framing.append(
            base: place.request, headerByteCount: 40, dataOffset: message.dataOffset,
            byteCount: message.bytes.count, to: &readable)
        framing.append(
            base: place.reply, headerByteCount: 16, dataOffset: message.replyDataOffset,
            byteCount: message.replyByteCount, to: &writable)
        do throws(Errno) {
            try ram.write(message.bytes.span, at: place.request)
            try enqueue(ticket, readable, writable)
        } catch {
            giveBack(ticket.slot)
            throw error
        }
        return ticket
    }

    /// Makes a chain of any memory available to the device without a kick. Where the reply lies is the caller's matter:
    /// what `wait` copies is the start of the slot.
    package func enqueue(readable: [GuestBuffer], writable: [GuestBuffer]) throws(Errno) -> Ticket {
        let ticket = try takeSlot()
        do throws(Errno) {
            try enqueue(ticket, readable, writable)
        } catch {
            giveBack(ticket.slot)
            throw error
        }
        return ticket
    }

    private func enqueue(_ ticket: Ticket, _ readable: [GuestBuffer], _ writable: [GuestBuffer])
        throws(Errno)
    {
        let table = usesIndirect && chains.takesTables ? places[ticket.slot].table : nil
        try chains.enqueue(
            readable: readable.span, writable: writable.span,
            token: UInt32(truncatingIfNeeded: ticket.slot), table: table)
    }

    /// Kicks the device if it wants to know of what was enqueued.
    package func notify() { chains.notify() }

    private func takeSlot() throws(Errno) -> Ticket {
        try state.withLock { (state) throws(Errno) -> Ticket in
            guard let number = state.free.popLast() else { throw .EAGAIN }
            state.serial += 1
            state.slots[number] = Slot(progress: .submitted, serial: state.serial)
            return Ticket(slot: number, serial: state.serial)
        }
    }

    private func giveBack(_ number: Int) {
        state.withLock {
            $0.slots[number] = Slot()
            $0.free.append(number)
        }
    }

    // MARK: Completions

    /// Takes note of everything the device has finished; never blocks.
    ///
    /// - Returns: whether there was anything.
    /// - Throws: EPROTO when the device broke the ring.
    @discardableResult
    package func collect() throws(Errno) -> Bool {
        var completions = InlineArray<32, Completion>(repeating: Completion())
        var any = false
        while true {
            var span = completions.mutableSpan
            let count = try chains.collect(into: &span)
            if count == 0 { break }
            any = true
            state.withLock { state in
                for index in 0..<count {
                    state.slots[Int(completions[index].token)].progress = .completed(
                        written: completions[index].written)
                }
            }
            if count < completions.count { break }
        }
        if any { changes.announce() }
        return any
    }

    /// Whether the request has been seen completed by `collect`.
    package func isCompleted(_ ticket: Ticket) -> Bool {
        state.withLock {
            guard $0.slots[ticket.slot].serial == ticket.serial,
                case .completed = $0.slots[ticket.slot].progress
            else { return false }
            return true
        }
    }

    private enum Step {
        case take(written: Int)
        case lead, follow
    }

    /// Waits until the request is completed, in any order with others, and frees its slot.
    ///
    /// - Throws: ETIMEDOUT; ECONNRESET when the device signalled that it gave up the ring or the back-end has gone;
    ///   EPROTO when the device broke the ring; EINVAL for a ticket whose completion was taken already.
    package func wait(for ticket: Ticket, until deadline: Deadline) throws(Errno) -> CompletedRequest {
        while true {
            let seen = changes.current
            switch try nextStep(for: ticket) {
            case .take(let written): return try take(ticket.slot, written: written)
            case .follow:
                if deadline.hasPassed { throw .ETIMEDOUT }
                changes.wait(since: seen, until: deadline)
            case .lead:
                defer { endLead() }
                try lead(until: deadline)
            }
        }
    }

    private func nextStep(for ticket: Ticket) throws(Errno) -> Step {
        try state.withLock { (state) throws(Errno) -> Step in
            guard state.slots[ticket.slot].serial == ticket.serial else { throw .EINVAL }
            switch state.slots[ticket.slot].progress {
            case .completed(let written):
                state.slots[ticket.slot].progress = .taken
                return .take(written: written)
            case .taken, .free: throw .EINVAL
            case .submitted: break
            }
            if state.hasLeader { return .follow }
            state.hasLeader = true
            return .lead
        }
    }

    private func endLead() {
        state.withLock { $0.hasLeader = false }
        changes.announce()
    }

    /// Waits until something was collected; the queue must have been looked at by nobody else in between.
    private func lead(until deadline: Deadline) throws(Errno) {
        let call = chains.call
        while true {
            chains.disarmInterrupts()
            if try collect() { return }
            if chains.armInterrupts() { continue }
            let ready = waitReadable(
                call.descriptor.rawValue, chains.errorDescriptor,
                orHangUpOf: connection?.descriptor.rawValue ?? -1,
                timeoutMilliseconds: deadline.remainingMilliseconds)
            if ready & 0b001 != 0 { call.clear() }
            // What the device finished before it gave up counts.
            if try collect() { return }
            if ready & 0b110 != 0 { throw .ECONNRESET }
            // Asked after every wake-up: a device may interrupt for nothing, and for ever.
            if deadline.hasPassed { throw .ETIMEDOUT }
        }
    }

    private func take(_ number: Int, written: Int) throws(Errno) -> CompletedRequest {
        defer { giveBack(number) }
        // Longer only where the caller gave memory of its own.
        let reply = try ram.read(min(written, capacity.reply), at: places[number].reply)
        return CompletedRequest(written: written, reply: reply)
    }
}
