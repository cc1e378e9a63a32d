// SPDX-License-Identifier: Apache-2.0
import FuseServer
import HostOS

/// What one worker may take from its rings under the limits of its device. What it may not stays where it is: the guest's own
/// ring is the queue, and nothing is lost.
///
/// The hiprio queue is for FORGETs, which nobody gains by holding up. A guest that has put anything else into it is held up
/// there too.
final class Admission {
    private let throttle: Throttle
    private var hiprioIsLimited = false
    /// The request that is being taken or handled counts as in flight.
    private var holdsPlace = false
    /// The device had something that it might not take when it last looked, and may look again then.
    private(set) var heldUntil: Int64?
    /// That was so the time before too, and nothing has been taken since: it is the same wait.
    private var wasHeld = false

    /// Until a place of another worker is free, which nobody tells.
    private static let placeDelay: Int64 = 1_000_000

    init(_ throttle: Throttle) { self.throttle = throttle }

    func limits(hiprio: Bool) -> Bool { !hiprio || hiprioIsLimited }

    /// Before the rings are looked at.
    func begin() {
        wasHeld = heldUntil != nil
        heldUntil = nil
    }

    /// Whether the next request of a ring that has one may be taken. Then it is, or `abandon` is called.
    func mayTake(hiprio: Bool) -> Bool {
        guard limits(hiprio: hiprio) else { return true }
        let now = monotonicNanoseconds()
        if let (cause, delay) = throttle.obstacle(now: now) {
            hold(cause, until: now + delay)
            return false
        }
        guard throttle.tryEnter() else {
            hold(.inFlight, until: now + Self.placeDelay)
            return false
        }
        holdsPlace = true
        wasHeld = false
        return true
    }

    private func hold(_ cause: Throttle.Cause, until time: Int64) {
        if !wasHeld, heldUntil == nil { throttle.note(cause) }
        heldUntil = min(heldUntil ?? time, time)
    }

    /// Nothing was taken after all.
    func abandon() {
        if holdsPlace { throttle.leave() }
        holdsPlace = false
    }

    /// A request was taken and has been handled, or has left the worker.
    ///
    /// - Parameters:
    ///   - requestByteCount: its length.
    ///   - replyCapacity: how long its reply may be, which is what one that is not known yet counts as.
    func took(_ outcome: Outcome, requestByteCount: Int, replyCapacity: Int, hiprio: Bool) {
        if hiprio, outcome != .noReply { hiprioIsLimited = true }
        if limits(hiprio: hiprio) {
            let reply =
                switch outcome {
                case .reply(let scratchByteCount, let directByteCount): scratchByteCount + directByteCount
                case .noReply: 0
                case .deferred, .mustWait: replyCapacity
                }
            throttle.charge(byteCount: requestByteCount + reply)
        }
        switch outcome {
        case .reply, .noReply: abandon()
        case .deferred, .mustWait:
            if !holdsPlace { throttle.enter() }
            holdsPlace = false  // the request has it now
        }
    }

    /// A request that had left the worker has been answered.
    func ended() { throttle.leave() }

    /// For how many milliseconds to sleep, at least 1; nil: nothing is held.
    func sleepMilliseconds() -> Int32? {
        heldUntil.map {
            Int32(clamping: max(1, min(1000, ($0 - monotonicNanoseconds() + 999_999) / 1_000_000)))
        }
    }
}
