// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import HostOS
import Synchronization
import VhostUser
import Virtqueue

/// A chain that the device has finished with.
package struct Completion: Equatable, Sendable {
    /// What `submit` was given.
    package var token: UInt32
    /// How many bytes the device wrote.
    package var written: Int

    package init(token: UInt32 = 0, written: Int = 0) {
        self.token = token
        self.written = written
    }
}

/// One queue of the device, driver's side: a ring and its eventfds. The buffers are the caller's.
///
/// Any thread may submit and any may collect; each call takes the queue's lock for as long as it works on the ring, never
/// during a system call. Nothing allocates after `init`.
/// ```
/// try queue.submit(readable: request.span, writable: reply.span, token: 7, table: nil)
/// …
/// repeat {
///     queue.disarmInterrupts()
///     repeat { count = try queue.collect(into: &completions); … } while count == completions.count
/// } while queue.armInterrupts()
/// poll queue.callDescriptor and queue.errorDescriptor, then queue.clearCall()
/// ```
package final class ChainQueue: Sendable {
    package let index: Int
    /// Where the ring lies, for those who want to break it.
    package let layout: RingLayout
    /// For VHOST_USER_SET_VRING_ADDR.
    package let addresses: VringAddresses
    package let kick: EventFD
    package let error: EventFD
    private let features: RingFeatures
    private let state: Mutex<State>

    private struct State: ~Copyable {
        var ring: DriverQueue
        /// By head.
        var tokens: [UInt32]
        var call: EventFD
        var fault: RingFault?
    }

    /// An empty ring at the guest address `base`, which has room for `RingLayout.contiguousByteCount(size)`.
    package init(index: Int, size: Int, at base: GuestAddress, ram: GuestRAM, features: RingFeatures)
        throws(Errno)
    {
        self.index = index
        self.features = features
        layout = try RingLayout(size: size, contiguousAt: base, memory: ram.memory)
        let user = ram.userAddress(of: base)
        addresses = VringAddresses(
            ring: UInt32(index), descriptorTable: user,
            availableRing: user + UInt64(RingLayout.availableOffset(size)),
            usedRing: user + UInt64(RingLayout.usedOffset(size)))
        kick = try EventFD()
        error = try EventFD()
        state = Mutex(
            State(
                ring: DriverQueue(layout: layout, features: features),
                tokens: [UInt32](repeating: 0, count: size), call: try EventFD()))
    }

    /// Descriptors in the ring.
    package var size: Int { layout.size }
    /// Whether chains may lie in indirect tables.
    package var takesTables: Bool { features.contains(.indirectDescriptors) }
    /// Chains submitted and not yet collected.
    package var outstanding: Int { state.withLock { $0.ring.outstanding } }
    /// What the device did wrong, once `collect` has thrown EPROTO.
    package var fault: RingFault? { state.withLock { $0.fault } }

    // MARK: Submitting

    /// Makes a chain available to the device, and kicks it if it wants that. The buffers and the table belong to the
    /// device until the chain is collected.
    ///
    /// - Parameters:
    ///   - readable: what the device reads, in order; may be empty.
    ///   - writable: what the device writes, in order; may be empty.
    ///   - token: comes back with the completion; need not be unique.
    ///   - table: where to put the chain's descriptors, so that it takes one of the ring only.
    /// - Throws: EAGAIN when the ring has too few free descriptors now; EINVAL when the chain is empty, longer than the
    ///   ring or the table, or has a table although that was not negotiated.
    package func submit(
        readable: Span<GuestBuffer>, writable: Span<GuestBuffer>, token: UInt32, table: IndirectTable?
    ) throws(Errno) {
        let wanted = try state.withLock { (state) throws(Errno) -> Bool in
            try Self.add(to: &state, readable, writable, token, table)
            return state.ring.needsKick()
        }
        if wanted { kick.signal() }
    }

    /// The same without a kick: `notify` once after several.
    package func enqueue(
        readable: Span<GuestBuffer>, writable: Span<GuestBuffer>, token: UInt32, table: IndirectTable?
    ) throws(Errno) {
        try state.withLock { (state) throws(Errno) in
            try Self.add(to: &state, readable, writable, token, table)
        }
    }

    /// Kicks the device if it wants to know of what was enqueued.
    package func notify() {
        if state.withLock({ $0.ring.needsKick() }) { kick.signal() }
    }

    private static func add(
        to state: inout State, _ readable: Span<GuestBuffer>, _ writable: Span<GuestBuffer>, _ token: UInt32,
        _ table: IndirectTable?
    ) throws(Errno) {
        do throws(Errno) {
            let head = try state.ring.add(readable: readable, writable: writable, indirectTable: table)
            state.tokens[Int(head)] = token
        } catch {
            throw error == .ENOSPC ? .EAGAIN : error
        }
        state.ring.publish()
    }

    // MARK: Completions

    /// Takes what the device has finished, as far as it fits into `completions`; never blocks.
    ///
    /// - Returns: how many there are; as many as fit: there may be more.
    /// - Throws: EPROTO when the device broke the ring, now and ever after; `fault` says how.
    package func collect(into completions: inout MutableSpan<Completion>) throws(Errno) -> Int {
        var count = 0
        var (broken, isNews) = (false, false)
        state.withLock { state in
            do throws(RingFault) {
                while count < completions.count, let element = try state.ring.popUsed() {
                    completions[count] = Completion(
                        token: state.tokens[Int(element.head)], written: Int(element.written))
                    count += 1
                }
            } catch {
                broken = true
                isNews = state.fault == nil
                state.fault = error
            }
        }
        // Whoever watches the queue for its end hears of this end as of the device's own giving up.
        if isNews { error.signal() }
        // What came before a fault is good; the fault is still there at the next call.
        if broken, count == 0 { throw .EPROTO }
        return count
    }

    /// Asks the device for an interrupt at its next completion. Do so before sleeping.
    ///
    /// - Returns: true when one is there already, for which no interrupt may come: go on collecting.
    package func armInterrupts() -> Bool { state.withLock { $0.ring.enableInterrupts() } }

    /// Tells the device that nobody sleeps; a hint.
    package func disarmInterrupts() { state.withLock { $0.ring.disableInterrupts() } }

    /// Readable when the device has interrupted.
    package var callDescriptor: Int32 { call.descriptor.rawValue }
    /// Readable when the device has given up the ring, or broken it.
    package var errorDescriptor: Int32 { error.descriptor.rawValue }

    /// Returns whether it was.
    @discardableResult
    package func clearCall() -> Bool { call.clear() }

    package var call: EventFD { state.withLock { $0.call } }

    // MARK: Life

    /// Takes a new eventfd into use for interrupts; the back-end must be told of it, and nobody may wait for the old one.
    package func replaceCall() throws(Errno) {
        let new = try EventFD()
        state.withLock { $0.call = new }
    }

    /// Begins with an empty ring at index 0, as a driver does after it reset its device: what was outstanding is lost. The
    /// device must have stopped the ring.
    package func restart() {
        state.withLock {
            $0.ring = DriverQueue(layout: layout, features: features)
            $0.fault = nil
            $0.call.clear()
        }
        error.clear()
    }
}
