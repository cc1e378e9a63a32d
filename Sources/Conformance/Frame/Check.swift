// SPDX-License-Identifier: Apache-2.0

/// One named statement about a file system, and the body that tries it.
package struct Check: Sendable, CustomStringConvertible {
    /// Stable: "rename/replaces-an-empty-directory". What is before the slash is the area.
    package let name: String
    /// What it shows, and by whose authority: "rename(2): …".
    package let statement: String
    /// Without them the check says nothing.
    package let needs: [Need]
    let body: @Sendable () throws -> Void

    /// - Parameter body: runs with a fresh directory (mode 0777, the process's own ids, umask 0) as its working directory;
    ///   throws a `Failure` or `Unsupported`.
    package init(
        _ name: String, _ statement: String, needs: [Need] = [.root],
        body: @escaping @Sendable () throws -> Void
    ) {
        self.name = name
        self.statement = statement
        self.needs = needs
        self.body = body
    }

    package var area: String { String(name.prefix { $0 != "/" }) }

    package var description: String { name }
}

/// How a check ended.
package enum Outcome: Sendable, Equatable {
    case passed
    /// What was seen and what was expected.
    case failed(String)
    /// What is missing.
    case unsupported(String)
}
