// SPDX-License-Identifier: Apache-2.0
import HostOS
import Synchronization

/// How much of a device its guest may use at a time; nil: as much as there is.
package struct RequestLimits: Sendable, Equatable {
    /// `--limit-in-flight`: requests that were taken from a ring and are not answered yet, at least 1.
    package var inFlight: Int?
    /// `--limit-bytes-per-second`: of requests and replies together, at least 1.
    package var bytesPerSecond: UInt64?
    /// `--limit-requests-per-second`: at least 1.
    package var requestsPerSecond: UInt64?

    package init() {}
}

/// A limit that makes requests wait on their ring, and how often a worker had to let them.
package struct ThrottleCounts: Sendable, Equatable {
    package var inFlight: UInt64 = 0
    package var bytes: UInt64 = 0
    package var requests: UInt64 = 0

    package init() {}
}

/// The limits of one device, which all its workers keep together.
final class Throttle: Sendable {
    enum Cause {
        case inFlight, bytes, requests
    }

    private let bytes: TokenBucket?
    private let requests: TokenBucket?
    private let limit: Int
    private let inFlight = Atomic<Int>(0)
    private let limits: RequestLimits
    private let reached = (inFlight: RecurringEvent(), bytes: RecurringEvent(), requests: RecurringEvent())

    /// nil when nothing is limited.
    init?(_ limits: RequestLimits) {
        if limits == RequestLimits() { return nil }
        self.limits = limits
        bytes = limits.bytesPerSecond.map { TokenBucket(perSecond: $0) }
        requests = limits.requestsPerSecond.map { TokenBucket(perSecond: $0) }
        limit = limits.inFlight ?? .max
    }

    /// Why a request must stay on its ring now and for how many nanoseconds at least; nil: it may be taken.
    func obstacle(now: Int64) -> (cause: Cause, delay: Int64)? {
        if let delay = bytes?.delay(now: now), delay > 0 { return (.bytes, delay) }
        if let delay = requests?.delay(now: now), delay > 0 { return (.requests, delay) }
        return nil
    }

    /// One more in flight, if that may be.
    func tryEnter() -> Bool {
        if inFlight.wrappingAdd(1, ordering: .relaxed).newValue <= limit { return true }
        leave()
        return false
    }

    /// One more in flight, whether that may be or not.
    func enter() { inFlight.wrappingAdd(1, ordering: .relaxed) }

    func leave() { inFlight.wrappingSubtract(1, ordering: .relaxed) }

    /// A request was taken, of so many bytes with its reply.
    func charge(byteCount: Int) {
        guard bytes != nil || requests != nil else { return }
        let now = monotonicNanoseconds()
        bytes?.charge(byteCount, now: now)
        requests?.charge(1, now: now)
    }

    /// A worker has found its ring filled and may take nothing from it.
    func note(_ cause: Cause) {
        switch cause {
        case .inFlight:
            Log.once(
                reached.inFlight, .warning,
                "the guest has reached --limit-in-flight \(limit): its requests wait on the ring")
        case .bytes:
            Log.once(
                reached.bytes, .warning,
                "the guest has reached --limit-bytes-per-second \(limits.bytesPerSecond ?? 0): its requests wait on the ring"
            )
        case .requests:
            Log.once(
                reached.requests, .warning,
                "the guest has reached --limit-requests-per-second \(limits.requestsPerSecond ?? 0): its requests wait on the ring"
            )
        }
    }

    var counts: ThrottleCounts {
        var counts = ThrottleCounts()
        counts.inFlight = reached.inFlight.count
        counts.bytes = reached.bytes.count
        counts.requests = reached.requests.count
        return counts
    }
}
