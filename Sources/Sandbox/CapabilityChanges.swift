// SPDX-License-Identifier: Apache-2.0
import Errors

/// `--modcaps`: what is kept besides the capabilities that a share needs, and what of those is not.
package struct CapabilityChanges: Sendable, Equatable {
    package private(set) var added: CapabilitySet = []
    package private(set) var removed: CapabilitySet = []

    package init() {}

    /// Reads `+name:-name…`. Of two changes of one capability the last one counts.
    ///
    /// - Parameter spelled: the option and its value, for the error.
    package init(_ list: String, spelled: String) throws(StartupError) {
        for change in list.split(separator: ":", omittingEmptySubsequences: false) {
            let name = String(change.dropFirst())
            guard let sign = change.first, sign == "+" || sign == "-", !name.isEmpty else {
                throw StartupError(
                    operation: "use", subject: spelled, reason: "not a list of changes",
                    hint: "write +NAME to keep a capability, -NAME to give it up, and a colon between two")
            }
            guard let capability = CapabilitySet(named: name) else {
                throw StartupError(
                    operation: "use", subject: spelled, reason: "one of the names is no capability",
                    hint: "give names of capabilities(7) without CAP_, such as sys_admin")
            }
            if sign == "+" {
                added.formUnion(capability)
                removed.subtract(capability)
            } else {
                removed.formUnion(capability)
                added.subtract(capability)
            }
        }
    }

    package func applied(to needed: CapabilitySet) -> CapabilitySet {
        needed.union(added).subtracting(removed)
    }
}
