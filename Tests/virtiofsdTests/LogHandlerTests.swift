// SPDX-License-Identifier: Apache-2.0
import HostOS
import Logging
import Testing

@testable import virtiofsd

@Suite struct LogHandlerTests {
    private func event(_ level: Logger.Level, _ text: String) -> LogEvent {
        LogEvent(
            level: level, message: "\(text)", metadata: nil, source: "test", file: "f", function: "g", line: 1
        )
    }

    @Test func aLineHasTimeLevelAndText() {
        #expect(LineHandler.line(event(.warning, "text"), at: 0) == "1970-01-01T00:00:00Z warning: text")
        #expect(
            LineHandler.line(event(.info, "text"), at: 1_795_401_428) == "2026-11-23T02:37:08Z info: text")
    }

    @Test func aMessageStaysOnOneLine() {
        #expect(oneLine("a\nb\r\u{1B}[0m\u{7F}é") == "a b  [0m é")
    }

    @Test(arguments: zip(LogLevel.allCases, [Logger.Level.error, .error, .warning, .info, .debug, .trace]))
    func everyLevelHasItsNameInTheLibrary(level: LogLevel, expected: Logger.Level) {
        #expect(level.loggerLevel == expected)
    }
}
