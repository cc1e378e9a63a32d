// SPDX-License-Identifier: Apache-2.0
import Errors
import HostFS
import HostOS

extension ShareOptions {
    mutating func setMaps(_ arguments: MapArguments, _ settings: Settings) throws(StartupError) {
        if let (rules, spelled) = settings[.xattrmap] {
            if !xattr, let refused = settings[.xattr] { throw contradiction(spelled, refused.spelling) }
            xattr = true
            do throws(MapError) { xattrMap = try XattrMap(parsing: ArgumentText.decode(rules)) } catch {
                throw startupError(error, option: "a rule of --xattrmap:")
            }
        }
        users = try idMap(arguments.translateUID, option: "--translate-uid")
        groups = try idMap(arguments.translateGID, option: "--translate-gid")
    }
}

/// One rule for each time the option was given.
private func idMap(_ rules: [String], option: String) throws(StartupError) -> IdMap {
    do throws(MapError) {
        return try IdMap(parsing: Array(rules.map(ArgumentText.decode).joined(separator: [0x0A])))
    } catch {
        throw startupError(error, option: option)
    }
}

func startupError(_ error: MapError, option: String) -> StartupError {
    StartupError(
        operation: "use", subject: option + " " + escaped(error.rule), reason: error.reason, hint: error.hint)
}
