// SPDX-License-Identifier: Apache-2.0
import HostOS
import Synchronization
import Testing

/// Serialized: the log is one per process.
@Suite(.serialized) struct LogTests {
    private final class Lines: Sendable {
        private let stored = Mutex<[String]>([])
        var all: [String] { stored.withLock { $0 } }
        func append(_ level: LogLevel, _ message: String) {
            stored.withLock { $0.append("\(level): \(message)") }
        }
    }

    private func record(level: LogLevel, _ body: () -> Void) -> [String] {
        let lines = Lines()
        Log.install(level: level) { lines.append($0, $1) }
        defer { Log.install(level: .off) { _, _ in } }
        body()
        return lines.all.filter { $0.contains("LogTests") }
    }

    private func sayAll() {
        Log.error("LogTests e")
        Log.warning("LogTests w")
        Log.info("LogTests i")
        Log.debug("LogTests d")
        Log.trace("LogTests t")
    }

    @Test(arguments: zip(LogLevel.allCases, 0...5))
    func eachLevelIncludesTheOnesBeforeIt(level: LogLevel, count: Int) {
        let all = [
            "error: LogTests e", "warning: LogTests w", "info: LogTests i", "debug: LogTests d",
            "trace: LogTests t",
        ]
        #expect(record(level: level, sayAll) == Array(all[..<count]))
    }

    @Test func aMessageThatIsNotWantedIsNotBuilt() {
        var built = false
        _ = record(level: .info) {
            Log.debug(
                {
                    built = true; return "LogTests"
                }())
        }
        #expect(!built)
    }

    @Test func aRecurringEventIsLoggedOncePerTenfold() {
        let event = RecurringEvent()
        let lines = record(level: .warning) {
            for _ in 0..<1234 { Log.once(event, .warning, "LogTests short request") }
        }
        #expect(
            lines == [
                "warning: LogTests short request",
                "warning: LogTests short request (10 times so far)",
                "warning: LogTests short request (100 times so far)",
                "warning: LogTests short request (1000 times so far)",
            ])
        #expect(event.count == 1234)
    }
}

@Suite struct EscapeTests {
    @Test func printableTextStays() { #expect(escaped(Array("a b~'\"".utf8)) == "a b~'\"") }

    @Test func whatCouldForgeALineIsEscaped() {
        #expect(escaped([0x0A, 0x1B, 0x5C, 0x7F, 0xC3, 0xA9, 0x00]) == "\\x0a\\x1b\\x5c\\x7f\\xc3\\xa9\\x00")
    }

    @Test func aLongNameIsCut() {
        #expect(escaped([UInt8](repeating: 0x61, count: 256)).utf8.count == 256)
        #expect(escaped([UInt8](repeating: 0x61, count: 257)) == String(repeating: "a", count: 256) + "…")
    }
}
