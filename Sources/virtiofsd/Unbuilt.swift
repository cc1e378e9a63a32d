// SPDX-License-Identifier: Apache-2.0
import Errors

/// Options of virtiofsd 1.14 that this daemon knows and cannot honour. Ignoring one would leave a user with less than asked
/// for, so each is refused.
enum Unbuilt {
    /// Refuses every long option of `arguments` that is not built.
    static func refuse(_ arguments: UnbuiltArguments) throws(StartupError) {
        if let value = arguments.migrationMode { throw error(spelling("--migration-mode", value)) }
        if let value = arguments.migrationOnError { throw error(spelling("--migration-on-error", value)) }
        if arguments.migrationVerifyHandles { throw error("--migration-verify-handles") }
        if arguments.migrationConfirmPaths { throw error("--migration-confirm-paths") }
    }

    private static func error(_ spelled: String) -> StartupError {
        StartupError(
            operation: "use", subject: spelled, reason: "live migration is not built yet",
            hint: "leave it out")
    }
}
