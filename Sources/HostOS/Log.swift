// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// How much the daemon says; each level includes the ones before it. The names are those of `--log-level`.
package enum LogLevel: UInt8, Sendable, CaseIterable {
    case off = 0
    case error, warning, info, debug, trace
}

/// The process's log: a level check that costs one relaxed load, then whatever sink the executable installed.
///
/// A message is built only when its level is on. Until a sink is installed nothing is said.
package enum Log {
    package typealias Sink = @Sendable (LogLevel, String) -> Void

    private static let threshold = Atomic<UInt8>(LogLevel.off.rawValue)
    private static let sink = Mutex<Sink?>(nil)

    /// Sends every message up to `level` to `newSink`, which may be called from any thread.
    package static func install(level: LogLevel, sink newSink: @escaping Sink) {
        sink.withLock { $0 = newSink }
        threshold.store(level.rawValue, ordering: .relaxed)
    }

    /// The same messages elsewhere: for a child process that loses what the sink writes to.
    package static func redirect(to newSink: @escaping Sink) { sink.withLock { $0 = newSink } }

    package static func isEnabled(_ level: LogLevel) -> Bool {
        level.rawValue <= threshold.load(ordering: .relaxed)
    }

    package static func error(_ message: @autoclosure () -> String) { write(.error, message) }
    package static func warning(_ message: @autoclosure () -> String) { write(.warning, message) }
    package static func info(_ message: @autoclosure () -> String) { write(.info, message) }
    package static func debug(_ message: @autoclosure () -> String) { write(.debug, message) }
    package static func trace(_ message: @autoclosure () -> String) { write(.trace, message) }

    /// Logs `message` the first time `event` happens and then each time its count has grown tenfold, so that nothing a
    /// guest can repeat fills a log.
    package static func once(
        _ event: RecurringEvent, _ level: LogLevel, _ message: @autoclosure () -> String
    ) {
        let count = event.record()
        guard isPowerOfTen(count) else { return }
        write(level) { count == 1 ? message() : message() + " (\(count) times so far)" }
    }

    private static func write(_ level: LogLevel, _ message: () -> String) {
        guard isEnabled(level), let current = sink.withLock({ $0 }) else { return }
        current(level, message())
    }

    private static func isPowerOfTen(_ count: UInt64) -> Bool {
        var rest = count
        while rest >= 10 && rest % 10 == 0 { rest /= 10 }
        return rest == 1
    }
}

/// A kind of event that a guest or a VMM can cause as often as it likes. Keep it in a static: it counts for the process.
package final class RecurringEvent: Sendable {
    private let occurrences = Atomic<UInt64>(0)

    package init() {}

    /// How often it has happened.
    package var count: UInt64 { occurrences.load(ordering: .relaxed) }

    /// Counts one more; returns the new count.
    package func record() -> UInt64 { occurrences.wrappingAdd(1, ordering: .relaxed).newValue }
}
