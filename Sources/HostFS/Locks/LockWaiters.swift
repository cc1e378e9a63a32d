// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import HostOS
import Synchronization

/// The threads that wait for locks, so that no queue worker does: one for each SETLKW that could not be granted at once.
final class LockWaiters: Sendable {
    /// One more is ENOLCK.
    static let maximum = 256
    /// One more is EAGAIN.
    private let room: Int

    private struct Waiting {
        let waiter: LockWaiter
        let thread: Thread
    }

    private let waiting = Mutex<[Waiting]>([])

    /// Process-wide effect: the signal that ends a wait gets a handler.
    ///
    /// - Parameter room: how many the guest may have waiting; nil: `maximum`.
    init(room: Int? = nil) throws(Errno) {
        self.room = room ?? .max
        try InterruptTimer.install()
    }

    /// Waits for `lock` on a thread of its own and answers the reply that `deferrals` makes. ENOLCK or, beyond the guest's
    /// own limit, EAGAIN, with no reply made, when too many wait already.
    func wait(
        for lock: DescriptionLock, on description: LockDescription, unique: Unique,
        deferrals: any DeferralSource
    ) throws(Errno) {
        let refusal = waiting.withLock { waiting -> Errno? in
            Self.reap(&waiting)
            guard waiting.count < Self.maximum else { return .ENOLCK }
            guard waiting.count < room else { return .EAGAIN }
            let reply = deferrals.deferReply()
            let waiter = LockWaiter(lock: lock, description: description, unique: unique, reply: reply)
            do throws(Errno) {
                waiting.append(
                    Waiting(waiter: waiter, thread: try Thread(name: "lock-wait") { waiter.run() }))
            } catch {
                reply.complete(.ENOLCK)
            }
            return nil
        }
        if let refusal { throw refusal }
    }

    /// Ends the wait of the request `unique` with EINTR. It returns before the thread has ended.
    func cancel(_ unique: Unique) {
        waiting.withLock { waiting in
            for entry in waiting where entry.waiter.unique == unique { entry.waiter.cancel() }
        }
    }

    /// Ends every wait with EINTR. It returns before the threads have ended.
    func cancelAll() {
        waiting.withLock { waiting in
            for entry in waiting { entry.waiter.cancel() }
        }
    }

    /// Ends every wait with EINTR and returns when every reply is made.
    func finish() {
        let all = waiting.withLock { waiting in
            let all = waiting
            waiting = []
            return all
        }
        for entry in all { entry.waiter.cancel() }
        for entry in all { entry.thread.join() }
    }

    /// Joins the threads that have made their reply.
    private static func reap(_ waiting: inout [Waiting]) {
        waiting.removeAll { entry in
            guard entry.waiter.hasEnded else { return false }
            entry.thread.join()
            return true
        }
    }
}

/// One waiting request.
private final class LockWaiter: Sendable {
    let unique: Unique
    private let lock: DescriptionLock
    private let description: LockDescription
    private let reply: any DeferredReply

    private struct State: ~Copyable {
        var isCancelled = false
        var hasEnded = false
        /// There from when the thread began until it stops waiting.
        var timer: InterruptTimer?
    }

    private let state = Mutex(State())

    init(lock: DescriptionLock, description: LockDescription, unique: Unique, reply: any DeferredReply) {
        self.lock = lock
        self.description = description
        self.unique = unique
        self.reply = reply
    }

    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    /// From any thread.
    func cancel() {
        state.withLock { state in
            state.isCancelled = true
            state.timer?.start()
        }
    }

    /// The thread.
    func run() {
        let failure = waitForLock()
        state.withLock { $0.timer = nil }
        reply.complete(failure)
        state.withLock { $0.hasEnded = true }
    }

    private func waitForLock() -> Errno? {
        do throws(Errno) {
            try state.withLock { state throws(Errno) in state.timer = try InterruptTimer() }
        } catch {
            return .ENOLCK
        }
        while !state.withLock({ $0.isCancelled }) {
            do throws(Errno) {
                try lock.wait(on: description.file.rawValue)
                return nil
            } catch {
                if error != .EINTR { return error }
            }
        }
        return .EINTR
    }
}
