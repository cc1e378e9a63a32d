// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import HostOS
import StateArena
import Virtqueue

/// One ring in the hands of its worker: where it lies, how far it got, and when its guest is told.
///
/// What is done is visible to the guest at once, for a guest that looks. An interrupt for it is another matter, which
/// `notify` decides, and for FORGETs `notifyInTime`.
final class ServedRing {
    let port: QueuePort
    private let record: QueueRecord
    private(set) var setup: RingSetup?
    /// Of use while `isRunning`. A constant, because each use of a variable would count its references.
    let queue = DeviceQueue()
    /// false while the ring is stopped or broken.
    private(set) var isRunning = false
    /// The guest says precisely which answers it wants to be told of.
    private var hasEventIndex = false
    /// Of the ring that was stopped or broke.
    private var nextAvailable: UInt16 = 0
    /// Requests answered since the guest was last asked whether it wants an interrupt.
    private(set) var unnotified = 0
    private var holdback = Holdback()
    /// Requests that left the worker and have not come back.
    var deferred = 0

    /// EINVAL when the arena has no record for the queue.
    init(port: QueuePort, arena: StateArena) throws(Errno) {
        guard let record = QueueRecord(arena, index: port.index) else { throw .EINVAL }
        self.port = port
        self.record = record
    }

    // MARK: Life

    func start(_ setup: RingSetup, memory: GuestMemory) {
        self.setup = setup
        nextAvailable = setup.base
        unnotified = 0
        do throws(Errno) {
            let layout = try setup.layout(in: memory)
            queue.start(layout, nextAvailable: setup.base, features: setup.features)
            hasEventIndex = setup.features.contains(.eventIndex)
            isRunning = true
            record.start(
                descriptorTable: setup.addresses.descriptorTable,
                availableRing: setup.addresses.availableRing,
                usedRing: setup.addresses.usedRing, size: setup.size, nextAvailable: setup.base)
        } catch {
            Log.error("queue \(port.index): the ring does not lie in guest memory: \(describe(error))")
            signalError()
        }
    }

    /// Returns the next available index. Nothing may be in flight.
    func stop() -> UInt16 {
        if isRunning {
            notify()
            halt()
        }
        record.stop()
        setup = nil
        return nextAvailable
    }

    private func halt() {
        nextAvailable = queue.nextAvailable
        isRunning = false
        queue.stop()
    }

    /// Goes on with the same ring in another memory table.
    func relocate(to memory: GuestMemory) {
        guard isRunning, let setup else { return }
        do throws(Errno) {
            queue.relocate(to: try setup.layout(in: memory))
        } catch {
            breakDown(.addressOutsideMemory)
        }
    }

    /// A broken ring costs its queue and nothing else (virtio 1.3 §2.1.2 DEVICE_NEEDS_RESET is the VMM's to set).
    func breakDown(_ fault: RingFault) {
        RefusalLog.note(fault, queue: port.index)
        notify()
        if isRunning { halt() }
        signalError()
    }

    private func signalError() {
        let descriptor = port.error.rawValue
        if descriptor >= 0 { signalEvent(descriptor) }
    }

    // MARK: Requests

    /// The chain `head` was taken from the ring.
    func took(_ head: UInt16) { record.took(head, nextAvailable: queue.nextAvailable) }

    /// The chain `head` was answered with `written` bytes.
    func complete(_ head: UInt16, written: Int) {
        guard isRunning else { return }
        queue.give(head: head, written: UInt32(truncatingIfNeeded: written))
        record.completed(head)
        unnotified += 1
    }

    // MARK: The guest's attention

    /// Interrupts the guest for what was answered, if it wants that.
    func notify() {
        guard unnotified > 0, isRunning else { return }
        unnotified = 0
        guard queue.needsNotification() else { return }
        let call = port.call.rawValue
        if call >= 0 { signalEvent(call) }
    }

    /// The same after each answer, where the guest has a precise way to want it (EVENT_IDX): it asks again only when it has
    /// taken all there was. Without EVENT_IDX it is told when the ring is empty.
    func notifyPrecisely() {
        guard unnotified > 0, hasEventIndex, isRunning else { return }
        if queue.availableCount <= unnotified {
            holdback.rests()
        } else if holdback.holds(unnotified, now: monotonicNanoseconds()) {
            return
        }
        notify()
    }

    /// The same for answers that nobody waits for: FORGETs. The guest needs their descriptors again some time, so it is
    /// interrupted when many are done.
    func notifyInTime() {
        if unnotified >= several(2 * Self.gathering) { notify() }
    }

    /// So many FORGETs are worth a kick, and twice as many an interrupt, but no more than a quarter of the ring.
    private static let gathering = 16

    private func several(_ wanted: Int) -> Int { max(1, min(wanted, queue.size / 4)) }

    /// Half as many chains wait as are worth a kick.
    var hasSome: Bool { isRunning && queue.availableCount >= several(Self.gathering / 2) }

    /// As many chains wait as are worth a kick.
    var hasSeveral: Bool { isRunning && queue.availableCount >= several(Self.gathering) }

    /// Readable after a kick; −1 while the ring does not run.
    var kickDescriptor: Int32 { isRunning ? port.kick.rawValue : -1 }

    /// A chain waits. One load.
    var hasAvailable: Bool { isRunning && queue.hasAvailable }

    /// Asks for a kick at the next chain. Returns true when one is there already.
    func awaitKick() -> Bool { isRunning && queue.enableNotifications() }

    /// Asks for a kick when several chains have gathered. Returns true when so many are there already.
    func awaitSeveral() -> Bool {
        isRunning && queue.enableNotifications(after: UInt16(clamping: several(Self.gathering)))
    }
}
