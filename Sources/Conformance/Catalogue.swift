// SPDX-License-Identifier: Apache-2.0
import Glibc

/// All checks there are. Each area's file adds its list here.
package enum Catalogue {
    package static let all: [Check] =
        [
            pathChecks, creationChecks, chmodChecks, chownChecks, granularChecks, openChecks, linkChecks,
            directoryChecks, nodeChecks, renameChecks, stickyChecks, flagChecks, symlinkChecks, unlinkChecks,
            truncateChecks, allocateChecks, utimensatChecks,
        ].flatMap(\.self) + behaviourChecks

    /// Those of which a pattern is the area, the name, or a glob(7) of the name; all when there is no pattern.
    package static func checks(matching patterns: [String]) -> [Check] {
        if patterns.isEmpty { return all }
        return all.filter { check in
            patterns.contains { pattern in
                if pattern == check.area { return true }
                return unsafe fnmatch(pattern, check.name, 0) == 0
            }
        }
    }
}
