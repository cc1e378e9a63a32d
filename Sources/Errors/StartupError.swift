// SPDX-License-Identifier: Apache-2.0

/// Why a program cannot start, in the four parts a person needs: printed as one line on stderr.
package struct StartupError: Error, CustomStringConvertible {
    /// What was tried, as a verb phrase: "open the shared directory".
    package let operation: String
    /// What it was tried on: a path, an option, a socket.
    package let subject: String
    /// The system's or our own reason: "No such file or directory".
    package let reason: String
    /// What the person can do about it; empty if nothing sensible can be said.
    package let hint: String

    package init(operation: String, subject: String, reason: String, hint: String = "") {
        self.operation = operation
        self.subject = subject
        self.reason = reason
        self.hint = hint
    }

    package var description: String {
        let line = "cannot \(operation) \(subject): \(reason)"
        return hint.isEmpty ? line : line + "; " + hint
    }
}
