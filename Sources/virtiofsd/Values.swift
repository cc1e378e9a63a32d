// SPDX-License-Identifier: Apache-2.0
import Backend
import Errors
import HostFS

/// The value is none of the words the option takes.
func unknown(_ spelled: String, _ kind: String, _ words: [String]) -> StartupError {
    let list = words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "")
    return StartupError(operation: "use", subject: spelled, reason: "no such \(kind)", hint: "give \(list)")
}

/// One of the words of `Choice`, as the option spells them.
func parse<Choice: RawRepresentable<String> & CaseIterable>(
    _ value: String, as kind: String, spelled: String
) throws(StartupError) -> Choice {
    guard let choice = Choice(rawValue: value) else {
        throw unknown(spelled, kind, Choice.allCases.map(\.rawValue))
    }
    return choice
}

/// A decimal number within `range`: digits only.
func parseNumber<Number: FixedWidthInteger>(
    _ value: String, option: String, in range: ClosedRange<Number>
) throws(StartupError) -> Number {
    let isDigits = value.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
    guard isDigits, let number = Number(value), range.contains(number) else {
        throw StartupError(
            operation: "use", subject: spelling(option, value),
            reason: isDigits && !value.isEmpty ? "the number is out of range" : "not a number",
            hint: "give a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
}

/// `--poll-us`.
func parsePolling(_ value: String, cpus: Int) throws(StartupError) -> PollingOptions {
    if value == "auto" { return PollingOptions(cpus: cpus) }
    guard value.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let number = Int64(value), number <= 1_000_000
    else {
        throw StartupError(
            operation: "use", subject: spelling("--poll-us", value), reason: "not a time in microseconds",
            hint: "give a number from 0 to 1000000, or auto")
    }
    return PollingOptions(number == 0 ? .off : .fixed(number * 1000), cpus: cpus)
}

/// Seconds with up to nine decimals: "1", "0.5", "86400".
func parseTimeout(_ value: String, option: String) throws(StartupError) -> Timeout {
    let parts = value.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let fraction = parts.count == 2 ? parts[1] : "0"
    let isDigits = (parts + [fraction]).allSatisfy {
        !$0.isEmpty && $0.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
    }
    guard isDigits, fraction.utf8.count <= 9, let seconds = UInt64(parts[0]), seconds <= Int32.max,
        let nanoseconds = UInt32(fraction + String(repeating: "0", count: 9 - fraction.utf8.count))
    else {
        throw StartupError(
            operation: "use", subject: spelling(option, value), reason: "not a time in seconds",
            hint: "give seconds from 0 to \(Int32.max) with at most nine decimals, such as 0.5")
    }
    return Timeout(seconds: seconds, nanoseconds: nanoseconds)
}

/// A device tag: 1 to 36 bytes of UTF-8 on one line (virtio 1.2, 5.11.4).
func parseTag(_ value: String) throws(StartupError) -> [UInt8] {
    let tag = ArgumentText.decode(value)
    let reason: String? =
        if tag.isEmpty {
            "it is empty"
        } else if tag.count > 36 {
            "it has \(tag.count) bytes"
        } else if String(validating: tag, as: UTF8.self) == nil {
            "it is not UTF-8"
        } else if tag.contains(UInt8(ascii: "\n")) {
            "it has a newline"
        } else {
            nil
        }
    if let reason {
        throw StartupError(
            operation: "use", subject: spelling("--tag", value), reason: reason,
            hint: "a tag has 1 to 36 bytes of UTF-8 on one line")
    }
    return tag
}

/// A path that is given to us, as text.
func parsePath(_ value: String, spelled: String) throws(StartupError) -> String {
    let path = ArgumentText.decode(value)
    guard !path.isEmpty, let text = String(validating: path, as: UTF8.self) else {
        throw StartupError(
            operation: "use", subject: spelled,
            reason: path.isEmpty ? "the path is empty" : "the path is not UTF-8",
            hint: "give another path")
    }
    return text
}
