// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import GuestMemory
import HostOS
import VhostUser
import Virtqueue

/// Who serves the device's queues: the daemon, as long as there is one, else we ourselves, with errors.
///
/// ```
/// start ──► served by the daemon ──► daemon gone: orphaned ──► daemon back and INIT seen ──► served
///   stop, from anywhere: nobody serves them
/// ```
final class QueueService {
    private let map: GuestMap
    private let interrupts: Interrupts
    /// Told when the device cannot work without a reset, and when it can again.
    var needsReset: (Bool) -> Void = { _ in }

    private(set) var link: DaemonLink?
    /// What the guest sees of the DAX window. That of a daemon that has died stays until its mount is over: zeros in its place
    /// would be wrong contents.
    private(set) var window: SharedMemoryWindow?
    private var features: VirtioFeatures = []
    /// How long a mount waits for a daemon, in milliseconds; and until when one does.
    private let mountPatience: Int32
    private var mountDeadline: Deadline?
    /// Those that run.
    private var rings: [Ring] = []
    /// Signalled by the daemon when it gives up a ring.
    let errorEvent: SharedDescriptor
    /// Signalled to wake the daemon, by queue.
    private let kicks: [SharedDescriptor]

    private final class Ring {
        var plan: DaemonLink.Ring
        let layout: RingLayout
        var watch: InFlightWatch
        /// Present while no daemon serves it.
        var orphan: OrphanedQueue?

        init(_ plan: DaemonLink.Ring, layout: RingLayout) {
            self.plan = plan
            self.layout = layout
            watch = InFlightWatch(layout, nextAvailable: 0)
        }
    }

    init(
        queueCount: Int, map: GuestMap, interrupts: Interrupts, mountPatience: Int32
    ) throws(Errno) {
        self.mountPatience = mountPatience
        self.map = map
        self.interrupts = interrupts
        errorEvent = SharedDescriptor(try EventFD().descriptor.duplicate())
        var kicks: [SharedDescriptor] = []
        for _ in 0..<queueCount { kicks.append(SharedDescriptor(try EventFD().descriptor.duplicate())) }
        self.kicks = kicks
    }

    // MARK: What the guest does

    /// Starts all queues that are given, by index, from their beginning.
    func start(_ queues: [(index: Int, registers: CommonConfiguration.Queue)], features: VirtioFeatures) {
        self.features = features
        do throws(Errno) {
            let memory = try map.mapped()
            for (index, registers) in queues { try add(index, registers, memory) }
        } catch {
            rings = []
            return fail("a queue's memory cannot be used: \(describe(error))")
        }
        begin(rings, bases: rings.map { _ in 0 })
    }

    /// Starts one more.
    func startLate(_ index: Int, _ registers: CommonConfiguration.Queue) {
        do throws(Errno) {
            try add(index, registers, try map.mapped())
        } catch {
            return fail("the memory of queue \(index) cannot be used: \(describe(error))")
        }
        begin(Array(rings.suffix(1)), bases: [0])
    }

    /// The guest has put something on a queue.
    func kick(_ index: Int) {
        guard let ring = rings.first(where: { $0.plan.index == index }) else { return }
        if ring.orphan != nil { return serveOrphans() }
        signalEvent(ring.plan.kick.rawValue)
        ring.watch.look()
    }

    /// Nothing touches guest memory any more when this returns, unless the daemon does not answer.
    func stop() {
        abandonRings()
        needsReset(false)
    }

    private func abandonRings() {
        let served = rings.filter { $0.orphan == nil }.map(\.plan.index)
        rings = []
        window = nil
        mountDeadline = nil
        if let link, !served.isEmpty {
            do throws(VhostUserError) { try link.stop(served) } catch { lose("\(error)") }
        }
    }

    /// Some queue's interrupts may go elsewhere now.
    func updateCalls(vectors: (Int) -> UInt16) {
        for ring in rings {
            let target = interrupts.target(ofVector: vectors(ring.plan.index))
            guard target !== ring.plan.call else { continue }
            ring.plan.call = target
            if let orphan = ring.orphan {
                orphan.call = target
                signalEvent(target.rawValue)
            } else {
                tell { link throws(VhostUserError) in try link.setCall(ring.plan.index, target) }
            }
        }
    }

    /// The VMM has changed what memory there is. What it has taken away is not touched any more when this returns.
    func memoryChanged() {
        guard !rings.isEmpty else { return }
        guard rings.allSatisfy({ isInMemory($0.plan) }) else {
            return giveUp("the VMM took away memory in which a queue lies")
        }
        if rings.contains(where: { $0.orphan != nil }) {
            guard let memory = try? map.mapped() else { return giveUp("guest memory cannot be mapped") }
            for ring in rings { ring.orphan?.memory = memory }
        } else {
            tell { link throws(VhostUserError) in try link.publish(map.regions) }
        }
    }

    /// The queues end, and with them whatever keeps memory of theirs mapped.
    private func giveUp(_ reason: String) {
        abandonRings()
        tell { link throws(VhostUserError) in try link.publish(map.regions) }
        fail(reason)
    }

    /// The VMM has gone, and the map is empty: the daemon lets go of the guest's memory, too.
    func releaseMemory() {
        guard let link else { return }
        // Without slots there is no table without memory.
        guard link.session.protocolFeatures.contains(.configureMemorySlots) else { return self.link = nil }
        tell { link throws(VhostUserError) in try link.publish([]) }
    }

    // MARK: What the daemon does

    /// A daemon is there. It serves the queues from the next start on, or from the next mount in a running guest.
    func adopt(_ link: DaemonLink) {
        self.link = link
        serveOrphans()
    }

    /// The daemon has gone, or can no longer be understood.
    func lose(_ reason: String) {
        guard link != nil else { return }
        link = nil
        Log.error("the daemon is lost: \(reason)")
        guard !rings.isEmpty else { return }
        orphan(rings.filter { $0.orphan == nil })
    }

    /// The daemon has given a ring up: the guest has broken it.
    func takeError() {
        if clearEvent(errorEvent.rawValue) { fail("the daemon gave up a queue") }
    }

    /// Takes note of what is in flight at the daemon, so that it can be answered if the daemon dies.
    ///
    /// - Returns: whether anything has moved since the last time.
    func look() -> Bool {
        var moved = false
        for ring in rings where ring.orphan == nil && ring.watch.look() { moved = true }
        return moved
    }

    // MARK: Within

    private func add(
        _ index: Int, _ registers: CommonConfiguration.Queue, _ memory: GuestMemory
    ) throws(Errno) {
        let layout = try RingLayout(
            size: Int(registers.size), userDescriptors: registers.descriptors,
            userAvailable: registers.available, userUsed: registers.used, memory: memory)
        let plan = DaemonLink.Ring(
            index: index, size: registers.size, descriptors: registers.descriptors,
            available: registers.available, used: registers.used, kick: kicks[index],
            call: interrupts.target(ofVector: registers.vector), error: errorEvent)
        rings.append(Ring(plan, layout: layout))
    }

    /// Gives rings to the daemon, each from its available index `bases` on.
    private func begin(_ some: [Ring], bases: [UInt16]) {
        for (ring, base) in zip(some, bases) {
            ring.orphan = nil
            ring.watch = InFlightWatch(ring.layout, nextAvailable: base)
        }
        // Where others are orphaned they wait for a new mount, and this one with them.
        let others = rings.filter { ring in !some.contains { $0 === ring } }
        guard let link, others.allSatisfy({ $0.orphan == nil }) else { return orphan(some) }
        window = link.window
        do throws(VhostUserError) {
            guard link.session.offeredFeatures.isSuperset(of: features) else { throw .refused(.EOPNOTSUPP) }
            if some.count == rings.count { try link.session.setFeatures(features) }
            try link.publish(map.regions)
            for (ring, base) in zip(some, bases) { try link.start(ring.plan, base: base) }
        } catch {
            lose("it does not start the queues: \(error)")
        }
    }

    private func tell(_ body: (DaemonLink) throws(VhostUserError) -> Void) {
        guard let link else { return }
        do throws(VhostUserError) { try body(link) } catch { lose("\(error)") }
    }

    /// Goes on with rings that a daemon has left.
    private func orphan(_ some: [Ring]) {
        needsReset(true)
        guard let memory = try? map.mapped() else {
            return Log.error(
                "guest memory cannot be mapped; requests stay unanswered until the device is reset")
        }
        for ring in some {
            ring.watch.look()
            let heads = ring.watch.heads
            if heads == nil {
                Log.error(
                    "\(ring.watch.count) requests that the daemon had begun cannot be told from others; the guest waits for "
                        + "them until it is rebooted")
            }
            ring.orphan = OrphanedQueue(
                ring.layout, features: RingFeatures(negotiated: features.rawValue), memory: memory,
                nextAvailable: ring.watch.nextAvailable, inFlight: heads ?? [], call: ring.plan.call)
        }
        serveOrphans()
    }

    /// Answers what the orphaned rings have, but for the INIT with which a new mount begins: that is for a daemon, if one comes
    /// in time.
    private func serveOrphans(refusingMounts: Bool = false) {
        var waits = false
        for ring in rings where ring.orphan?.serve(refusesMounts: refusingMounts) == true { waits = true }
        guard waits else { return mountDeadline = nil }
        guard link != nil else {
            if mountDeadline == nil { mountDeadline = Deadline(milliseconds: mountPatience) }
            return
        }
        mountDeadline = nil
        guard rings.allSatisfy({ $0.orphan?.isBroken == false }) else {
            return serveOrphans(refusingMounts: true)
        }
        Log.info("a new mount begins with the new daemon")
        needsReset(false)
        begin(rings, bases: rings.map { $0.orphan?.nextAvailable ?? 0 })
    }

    /// A mount that has waited long enough for a daemon fails.
    func checkMount() {
        if let deadline = mountDeadline, deadline.hasPassed { serveOrphans(refusingMounts: true) }
    }

    /// The device can do no more until it is reset.
    private func fail(_ reason: String) {
        Log.error("the device needs a reset: \(reason)")
        needsReset(true)
    }

    /// Whether all parts of a ring lie in memory that the daemon can map, each in one piece.
    private func isInMemory(_ plan: DaemonLink.Ring) -> Bool {
        let size = Int(plan.size)
        return map.holds(plan.descriptors, RingLayout.descriptorsByteCount(size))
            && map.holds(plan.available, RingLayout.availableByteCount(size))
            && map.holds(plan.used, RingLayout.usedByteCount(size))
    }
}
