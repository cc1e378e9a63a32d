// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// The settings that more than one option can make, each remembered with the option that made it, so that two options
/// that contradict each other are an error instead of the one silently winning. The same option twice: the last wins.
struct Settings {
    enum Key: Hashable {
        case sharedDir, socket, cache, xattr, killprivV2, announceSubmounts, readdirplus, writeback
        case allowDirectIO, posixACL, securityLabel, posixLock, flock, logLevel, sandbox, modcaps, xattrmap
    }

    private struct Entry {
        let value: String
        let option: String
        let spelling: String
    }
    private var entries: [Key: Entry] = [:]

    /// Notes that `option` (its name alone) sets `key` to `value`; `spelling` is how it stood on the command line.
    mutating func set(_ key: Key, to value: String, option: String, spelling: String) throws(StartupError) {
        if let earlier = entries[key], earlier.value != value, earlier.option != option {
            throw contradiction(earlier.spelling, spelling)
        }
        entries[key] = Entry(value: value, option: option, spelling: spelling)
    }

    /// The value set for `key`, with the spelling that set it.
    subscript(_ key: Key) -> (value: String, spelling: String)? {
        entries[key].map { ($0.value, $0.spelling) }
    }

    /// Whether a switch is on; `fallback` if no option says.
    func isOn(_ key: Key, default fallback: Bool = false) -> Bool {
        entries[key].map { $0.value == Settings.on } ?? fallback
    }

    static let on = "on"
    static let off = "off"
}

func contradiction(_ first: String, _ second: String) -> StartupError {
    StartupError(
        operation: "combine", subject: "\(first) and \(second)", reason: "they contradict each other",
        hint: "leave one of them out")
}

/// `option value` as it may be shown.
func spelling(_ option: String, _ value: String) -> String {
    option + " " + escaped(ArgumentText.decode(value))
}
