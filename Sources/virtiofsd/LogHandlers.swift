// SPDX-License-Identifier: Apache-2.0
import Glibc
import HostOS
import Logging

/// Sends the process's log to stderr or to syslog, through swift-log's Logger.
func installLog(level: LogLevel, toSyslog: Bool) {
    if toSyslog { SystemLog.open() }
    var logger = Logger(label: "virtiofsd") { _ in
        if toSyslog { SyslogHandler() } else { LineHandler() }
    }
    logger.logLevel = .trace  // Log has checked the level already
    let destination = logger
    Log.install(level: level) { level, message in
        destination.log(level: level.loggerLevel, "\(oneLine(message))")
    }
}

/// One line for each message on stderr: time, level, text.
struct LineHandler: LogHandler {
    var metadata = Logger.Metadata()
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        say(Self.line(event, at: time(nil)), to: STDERR_FILENO)
    }

    /// `2026-11-23T02:37:08Z warning: text`; the time is UTC.
    static func line(_ event: LogEvent, at now: time_t) -> String {
        var now = now
        var parts = unsafe tm()
        unsafe gmtime_r(&now, &parts)
        let date = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        let time = unsafe "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        return "\(date)T\(time)Z \(event.level): \(event.message)"
    }

    private static func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
}

/// The same messages for syslog, which adds time, name and pid itself.
struct SyslogHandler: LogHandler {
    var metadata = Logger.Metadata()
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let level = LogLevel.allCases.first { $0.loggerLevel == event.level && $0 != .off }
        SystemLog.write(level ?? .error, "\(event.message)")
    }
}

extension LogLevel {
    var loggerLevel: Logger.Level {
        switch self {
        case .off, .error: .error
        case .warning: .warning
        case .info: .info
        case .debug: .debug
        case .trace: .trace
        }
    }
}

/// `text` without control characters: a message is one line, whatever got into it.
func oneLine(_ text: String) -> String {
    let bytes = text.utf8.map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: " ") : $0 }
    return String(decoding: bytes, as: UTF8.self)
}
