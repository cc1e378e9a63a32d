// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import HostOS

/// Keeps a number of lanes busy on one device, from one thread.
///
/// It waits as a guest does: until the device interrupts, first awake, as KVM is for a guest that has halted, then asleep.
/// Its own cost is the same for every daemon: nothing is taken from the heap between two operations, and file data is never
/// looked at.
final class LoadGenerator {
    private let connection: Int32
    private let stop: Int32
    /// How long the device may leave everything unanswered, in milliseconds.
    private let patience: Int32
    /// How long to wait awake, in nanoseconds.
    private let haltPoll: Int64
    /// The hiprio queue, then the request queues.
    private let queues: [ChainQueue]
    private let lanes: [Lane]
    private let identity = Identity()

    private var forgets: ForgetSender
    private var pollSet: PollSet
    /// Lanes that wait for a free slot to send a FORGET.
    private var blocked: [Lane] = []
    /// Lanes that have not ended.
    private var active = 0
    private var nextLook: Int64 = 0
    /// Odd, so that no other client of the device uses the same.
    private var nextUnique: UInt64 = 1
    private var requests = 0

    /// How often to look for a signal while the device is never waited for, in nanoseconds.
    private static let lookInterval: Int64 = 50_000_000
    private static let drainMilliseconds: Int32 = 2000

    /// - Parameters:
    ///   - frontend: started, with a buffer of `LaneMemory.byteCount` for each lane and one more.
    ///   - stop: readable when the user wants to end; −1 for never.
    init(_ frontend: DeviceFrontend, lanes count: Int, stop: Int32, patience: Int32, haltPoll: Int64) {
        connection = frontend.session.connection.descriptor.rawValue
        self.stop = stop
        self.patience = patience
        self.haltPoll = haltPoll
        let queues = frontend.queues.map(\.chains)
        self.queues = queues
        lanes = (0..<count).map { Lane(index: $0, memory: LaneMemory(frontend.buffers[$0])) }
        forgets = ForgetSender(queue: queues[0], buffer: frontend.buffers[count])
        pollSet = PollSet([connection, stop] + queues.map(\.callDescriptor) + queues.map(\.errorDescriptor))
        blocked.reserveCapacity(2 * count)
    }

    /// Carries out `steps` in as many lanes as there is `knowledge`: once, or again and again until `window` has all it
    /// needs. Changes `knowledge` to what the lanes know in the end.
    ///
    /// After an error chains may still be with the device: `drain`.
    /// - Returns: how many requests were sent, FORGETs too.
    @discardableResult
    func run(
        _ script: Script, _ steps: [Step], _ knowledge: inout [Knowledge], window: inout Window?
    ) throws(BenchFailure) -> Int {
        requests = 0
        if steps.isEmpty { return 0 }
        blocked.removeAll(keepingCapacity: true)
        for (lane, known) in zip(lanes, knowledge) { lane.reset(known, script: script) }
        active = knowledge.count
        for index in knowledge.indices {
            lanes[index].began = monotonicNanoseconds()
            try advance(lanes[index], steps, script, &window)
        }
        while active > 0 {
            if try collect(steps, script, &window) == 0 { try sleep(steps) }
        }
        for index in knowledge.indices { knowledge[index] = lanes[index].knowledge }
        return requests
    }

    // MARK: Sending

    /// Sends what comes next in a lane, up to a request that is answered.
    private func advance(_ lane: Lane, _ steps: [Step], _ script: Script, _ window: inout Window?)
        throws(BenchFailure)
    {
        while true {
            guard lane.step < steps.count else {
                let now = monotonicNanoseconds()
                guard window?.note(began: lane.began, ended: now) ?? false else {
                    active -= 1
                    return
                }
                if now >= nextLook { try look(now) }
                lane.step = 0
                lane.began = now
                continue
            }
            switch steps[lane.step] {
            case .forget(let node, let count):
                guard try forget(lane.knowledge[node], count, lane) else { return }
            case .forgetListed:
                while lane.listed.count > 0 {
                    guard try forget(lane.listed[lane.listed.count - 1], 1, lane) else { return }
                    lane.listed.removeLast()
                }
            case let step: return try submit(step, lane, script)
            }
            lane.step += 1
        }
    }

    private func submit(_ step: Step, _ lane: Lane, _ script: Script) throws(BenchFailure) {
        lane.unique = makeUnique()
        lane.write(step, of: script, identity)
        let queue = queues[1 + lane.index % (queues.count - 1)]
        do throws(Errno) {
            try lane.memory.submit(to: queue, token: UInt32(truncatingIfNeeded: lane.index))
        } catch {
            // Only without indirect descriptors can a ring be full.
            throw error == .EAGAIN
                ? .unsupported("indirect descriptors, which this queue depth needs")
                : .failed("\(step.opcode.text): \(BenchFailure.text(error))")
        }
        requests += 1
    }

    /// False when the lane has to wait for a slot.
    private func forget(_ node: UInt64, _ count: UInt64, _ lane: Lane) throws(BenchFailure) -> Bool {
        do throws(Errno) {
            let header = identity.header(.forget, node, unique: makeUnique())
            guard try forgets.send(header, count: count) else {
                blocked.append(lane)
                return false
            }
        } catch {
            throw .failed("FORGET: \(BenchFailure.text(error))")
        }
        requests += 1
        return true
    }

    private func makeUnique() -> UInt64 {
        defer { nextUnique += 2 }
        return nextUnique
    }

    // MARK: Receiving

    /// Takes what the device has finished and goes on with the lanes that waited for it; returns how much that was.
    private func collect(_ steps: [Step], _ script: Script, _ window: inout Window?) throws(BenchFailure)
        -> Int
    {
        var total = 0
        var completions = Batch(repeating: Completion())
        for index in queues.indices {
            var count: Int
            repeat {
                count = try take(from: index, into: &completions, steps)
                total += count
                for number in 0..<count {
                    let completion = completions[number]
                    if index == 0 {
                        try complete(forget: completion)
                    } else {
                        try complete(completion, steps, script, &window)
                    }
                }
            } while count == completions.count
        }
        // Those that are blocked again come behind those that were.
        let waiting = forgets.hasFreeSlot ? blocked.count : 0
        for index in 0..<waiting { try advance(blocked[index], steps, script, &window) }
        if waiting > 0 { blocked.removeFirst(waiting) }
        return total
    }

    private typealias Batch = InlineArray<32, Completion>

    private func take(from index: Int, into completions: inout Batch, _ steps: [Step]) throws(BenchFailure)
        -> Int
    {
        do throws(Errno) {
            queues[index].disarmInterrupts()
            var span = completions.mutableSpan
            return try queues[index].collect(into: &span)
        } catch {
            let fault = queues[index].fault.map { "\($0)" } ?? "unknown"
            throw .failed(
                "\(underWay(steps)): the daemon broke the ring of queue \(index), \(fault) (\(BenchFailure.text(error)))"
            )
        }
    }

    private func complete(forget completion: Completion) throws(BenchFailure) {
        do throws(Errno) { try forgets.complete(completion) } catch {
            throw .failed("FORGET: the daemon gave a reply (\(BenchFailure.text(error)))")
        }
    }

    private func complete(
        _ completion: Completion, _ steps: [Step], _ script: Script, _ window: inout Window?
    ) throws(BenchFailure) {
        let lane = lanes[Int(completion.token)]
        let step = steps[lane.step]
        guard try lane.accept(step, of: script, written: completion.written) else {
            return try submit(step, lane, script)
        }
        lane.step += 1
        try advance(lane, steps, script, &window)
    }

    // MARK: Waiting

    private func sleep(_ steps: [Step]) throws(BenchFailure) {
        var isPending = false
        for index in queues.indices where queues[index].armInterrupts() { isPending = true }
        if isPending { return }
        if haltAwake() { return }
        let deadline = Deadline(milliseconds: patience)
        while !pollSet.wait(timeoutMilliseconds: deadline.remainingMilliseconds) {
            guard !deadline.hasPassed else {
                throw .failed(
                    "\(underWay(steps)): no answer in \(patience / 1000) s (\(BenchFailure.text(.ETIMEDOUT)))"
                )
            }
        }
        try checkConnection(steps)
        for index in queues.indices {
            if pollSet.isReady(2 + index) { queues[index].clearCall() }
            if pollSet.isReady(2 + queues.count + index) {
                throw .failed(
                    "\(underWay(steps)): the daemon gave up queue \(index) (\(BenchFailure.text(.ECONNRESET)))"
                )
            }
        }
    }

    /// Waits for an interrupt as long as KVM keeps a CPU awake that halts. Returns whether there was one.
    private func haltAwake() -> Bool {
        if haltPoll == 0 { return false }
        let end = monotonicNanoseconds() + haltPoll
        var wasInterrupted = false
        repeat {
            for index in queues.indices where queues[index].clearCall() { wasInterrupted = true }
        } while !wasInterrupted && monotonicNanoseconds() < end
        return wasInterrupted
    }

    /// A look at the signals and the connection between two operations.
    private func look(_ now: Int64) throws(BenchFailure) {
        nextLook = now + Self.lookInterval
        if pollSet.wait(timeoutMilliseconds: 0) { try checkConnection([]) }
    }

    private func checkConnection(_ steps: [Step]) throws(BenchFailure) {
        if pollSet.isReady(1) { throw .stopped }
        // Between the handshake and its end a back-end has nothing to say here.
        if pollSet.isReady(0) {
            throw .failed(
                "\(underWay(steps)): the daemon has ended the connection (\(BenchFailure.text(.ECONNRESET)))")
        }
    }

    /// What the first lane that has not ended waits for.
    private func underWay(_ steps: [Step]) -> String {
        let step = lanes.first { $0.step < steps.count }.map { steps[$0.step] }
        return step?.opcode.text ?? "between two operations"
    }

    /// Waits for everything that the device still has; false when it does not come back.
    func drain() -> Bool {
        let deadline = Deadline(milliseconds: Self.drainMilliseconds)
        var completions = Batch(repeating: Completion())
        while queues.contains(where: { $0.outstanding > 0 }) {
            var isPending = false
            for (index, queue) in queues.enumerated() {
                guard let count = try? take(from: index, into: &completions, []) else { return false }
                if index == 0 {
                    for number in 0..<count { try? complete(forget: completions[number]) }
                }
                if count > 0 || queue.armInterrupts() { isPending = true }
            }
            if isPending { continue }
            guard pollSet.wait(timeoutMilliseconds: deadline.remainingMilliseconds), !pollSet.isReady(0)
            else {
                return false
            }
            for (index, queue) in queues.enumerated() where pollSet.isReady(2 + index) { queue.clearCall() }
        }
        return true
    }
}

extension Opcode {
    /// As the protocol spells it.
    var text: String { "\(self)".uppercased() }
}
