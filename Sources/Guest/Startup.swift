// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// Sentences about things this machine lacks.
enum Missing {
    static func program(_ name: String, package: String) -> StartupError {
        StartupError(
            operation: "find", subject: name, reason: "it is not installed",
            hint: "install the package \(package)")
    }
}

/// Does `body`, and says an error of it as one line: "cannot OPERATION SUBJECT: reason".
package func starting<Result: ~Copyable>(
    _ operation: String, _ subject: String, _ body: () throws(Errno) -> Result
) throws(StartupError) -> Result {
    do throws(Errno) { return try body() } catch {
        throw StartupError(operation: operation, subject: subject, reason: describe(error))
    }
}
