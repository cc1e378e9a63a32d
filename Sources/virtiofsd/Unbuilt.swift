// SPDX-License-Identifier: Apache-2.0
import Errors

/// Options of virtiofsd 1.14 that this daemon knows and cannot honour. Ignoring one would leave a share less protected or
/// differently owned than its user asked for, so each is refused.
enum Unbuilt {
    /// What is missing, and what a person can do without it.
    struct Gap {
        let reason: String
        let hint: String
    }
    private static let maps = Gap(
        reason: "id and xattr maps are not built yet",
        hint: "leave it out; the guest then sees the ids and names of the host")
    private static let migration = Gap(reason: "live migration is not built yet", hint: "leave it out")

    /// Those that the `-o` list has too.
    static let legacy = ["xattrmap": maps]

    static func error(_ spelled: String, _ gap: Gap) -> StartupError {
        StartupError(operation: "use", subject: spelled, reason: gap.reason, hint: gap.hint)
    }

    /// Refuses every long option of `arguments` that is not built.
    static func refuse(_ arguments: UnbuiltArguments) throws(StartupError) {
        let mapped = [
            ("--xattrmap", arguments.xattrmap)
        ]
        for (option, values) in mapped {
            if let value = values.last { throw error(spelling(option, value), maps) }
        }
        if let value = arguments.migrationMode { throw error(spelling("--migration-mode", value), migration) }
        if let value = arguments.migrationOnError {
            throw error(spelling("--migration-on-error", value), migration)
        }
        if arguments.migrationVerifyHandles { throw error("--migration-verify-handles", migration) }
        if arguments.migrationConfirmPaths { throw error("--migration-confirm-paths", migration) }
    }
}
