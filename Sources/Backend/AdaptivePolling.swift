// SPDX-License-Identifier: Apache-2.0

/// How long a worker that has nothing to do watches its ring before it sleeps.
///
/// A sleep costs two wake-ups: ours, by the guest's kick, and on an idle CPU the time to leave its low-power state. A watch
/// that finds a request saves both. How long a watch pays is learned as KVM does for a halted vCPU (halt_poll_ns): the
/// window doubles while sleeps turn out shorter than the longest watch, and closes when one was longer. What is watched in
/// vain is paid from a budget, a share of the time that passes, so that the worst traffic costs no more than that.
///
/// Times are in nanoseconds on one monotonic clock. Used by one thread.
struct AdaptivePolling {
    private let options: PollingOptions
    private var window: Int64
    /// How long may still be watched in vain.
    private var credit: Int64 = 0
    private var creditedAt: Int64
    /// No watching before this moment.
    private var pausedUntil: Int64 = 0
    private(set) var record = PollingRecord()

    /// Windows begin with this: less than any sleep takes.
    static let shortest: Int64 = 10_000
    /// Two clock readings of a watch are further apart only when somebody else had the CPU in between.
    private static let intrusion: Int64 = 100_000
    private static let pause: Int64 = 20_000_000
    /// The budget gathers for this long.
    private static let creditSpan: Int64 = 100_000_000

    init(_ options: PollingOptions, now: Int64) {
        self.options = options
        creditedAt = now
        if case .fixed(let length) = options.mode { window = length } else { window = 0 }
    }

    /// How long to watch from `now` on; 0: sleep at once.
    mutating func length(now: Int64) -> Int64 {
        switch options.mode {
        case .off: return 0
        case .fixed: return window
        case .automatic: break
        }
        guard window > 0, now >= pausedUntil else { return 0 }
        gatherCredit(now)
        return credit >= window ? window : 0
    }

    private mutating func gatherCredit(_ now: Int64) {
        let passed = min(max(0, now - creditedAt), Self.creditSpan)
        creditedAt = now
        credit = min(
            credit + passed * options.budgetPercent / 100, Self.creditSpan * options.budgetPercent / 100)
    }

    /// A watch has ended.
    ///
    /// - Parameters:
    ///   - longestGap: between two readings of the clock during the watch.
    mutating func watched(found: Bool, for duration: Int64, longestGap: Int64, now: Int64) {
        record.add(found: found, duration)
        guard case .automatic = options.mode else { return }
        if !found { credit -= duration }
        // Whoever took the CPU from us has a better use for it: most likely it is the guest.
        if longestGap >= Self.intrusion {
            window = 0
            pausedUntil = now + Self.pause
        }
    }

    /// A sleep has taken `duration`, beyond what was watched before it.
    mutating func waited(for duration: Int64) {
        guard case .automatic = options.mode else { return }
        if duration > options.longest {
            window = 0
        } else if duration > window {
            window = min(max(Self.shortest, 2 * window), options.longest)
        }
    }
}

/// `--poll-us`.
package struct PollingOptions: Sendable, Equatable {
    package enum Mode: Sendable, Equatable {
        /// Never watch.
        case off
        /// Always watch for so many nanoseconds.
        case fixed(Int64)
        case automatic
    }
    package var mode: Mode
    /// The longest watch of `automatic`, in nanoseconds.
    package var longest: Int64 = 200_000
    /// How much of a CPU each worker may spend on watching in vain.
    package var budgetPercent: Int64 = 5

    /// - Parameter cpus: that the daemon may use. With only one, the guest waits while a worker watches.
    package init(_ mode: Mode = .automatic, cpus: Int) {
        self.mode = cpus > 1 || mode != .automatic ? mode : .off
    }
}

/// What watching has brought.
struct PollingRecord: Equatable {
    private(set) var watches = 0
    private(set) var hits = 0
    private(set) var nanoseconds: Int64 = 0

    mutating func add(found: Bool, _ duration: Int64) {
        watches += 1
        if found { hits += 1 }
        nanoseconds += duration
    }

    var text: String {
        "watched the ring \(watches) times, found a request in \(watches > 0 ? hits * 100 / watches : 0) % of them, "
            + "\(nanoseconds / 1_000_000) ms in all"
    }
}
