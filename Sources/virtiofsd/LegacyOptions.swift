// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// The `-o a,b=c` list of QEMU's own virtiofsd, which launchers still pass. It sets the same settings as the long options.
enum LegacyOptions {
    private static let switches: [String: Settings.Key] = [
        "xattr": .xattr, "readdirplus": .readdirplus, "writeback": .writeback,
        "allow_direct_io": .allowDirectIO,
        "announce_submounts": .announceSubmounts, "killpriv_v2": .killprivV2, "posix_acl": .posixACL,
        "security_label": .securityLabel, "posix_lock": .posixLock, "flock": .flock,
    ]
    private static let values: [String: Settings.Key] = [
        "source": .sharedDir, "cache": .cache, "sandbox": .sandbox, "loglevel": .logLevel,
        "modcaps": .modcaps, "xattrmap": .xattrmap,
    ]

    /// Adds what one `-o` list says to `settings`.
    static func apply(_ list: String, to settings: inout Settings) throws(StartupError) {
        for item in split(list) { try apply(item: item, to: &settings) }
    }

    /// Cuts a list at its single commas; a doubled comma is a comma in a value.
    static func split(_ list: String) -> [String] {
        var items: [String] = []
        var item = String.UnicodeScalarView()
        var scalars = list.unicodeScalars[...]
        while let scalar = scalars.popFirst() {
            if scalar != "," {
                item.append(scalar)
            } else if scalars.first == "," {
                item.append(",")
                scalars.removeFirst()
            } else {
                items.append(String(item))
                item = String.UnicodeScalarView()
            }
        }
        return items + [String(item)]
    }

    private static func apply(item: String, to settings: inout Settings) throws(StartupError) {
        let spelled = spelling("-o", item)
        let scalars = item.unicodeScalars
        guard let equals = scalars.firstIndex(of: "=") else {
            let isOff = item.hasPrefix("no_")
            let name = isOff ? String(item.dropFirst(3)) : item
            if let key = switches[name] {
                let value =
                    key.offersNegotiation
                    ? (isOff ? "never" : "always") : (isOff ? Settings.off : Settings.on)
                return try settings.set(key, to: value, option: spelled, spelling: spelled)
            }
            let needsValue = values[item] != nil
            throw StartupError(
                operation: "use", subject: spelled,
                reason: needsValue ? "its value is missing" : "no such option",
                hint: needsValue ? "write \(item)=VALUE" : "see virtiofsd --help for what -o takes")
        }
        let name = String(scalars[..<equals])
        let value = String(scalars[scalars.index(after: equals)...])
        guard let key = values[name] else {
            throw StartupError(
                operation: "use", subject: spelled,
                reason: switches[name] == nil ? "no such option" : "it takes no value",
                hint: switches[name] == nil ? "see virtiofsd --help for what -o takes" : "write \(name) alone"
            )
        }
        try settings.set(key, to: canonical(value, of: key), option: "-o " + name, spelling: spelled)
    }

    /// The long options' word for a value that the list spells in its own way.
    private static func canonical(_ value: String, of key: Settings.Key) -> String {
        switch (key, value) {
        case (.cache, "none"): "never"
        case (.logLevel, "err"): "error"
        default: value
        }
    }
}

extension Settings.Key {
    /// Settings of three values (never, auto, always), which the list only knows as on and off.
    var offersNegotiation: Bool { self == .posixACL || self == .securityLabel }
}
