// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

/// What differs between guest and host in ids and names.
struct MapArguments: ParsableArguments {
    @Option(
        name: .customLong("translate-uid"), parsing: .singleValue,
        help: .init(
            """
            Translate user ids, in one rule for each option: map:GUEST:HOST:COUNT both ways; guest:GUEST:HOST:COUNT and \
            host:HOST:GUEST:COUNT one way; squash-guest:GUEST:HOST:COUNT and squash-host:HOST:GUEST:COUNT make many ids \
            one; forbid-guest:GUEST:COUNT. Other ids stay as they are.
            """, valueName: "RULE"))
    var translateUID: [String] = []

    @Option(
        name: .customLong("translate-gid"), parsing: .singleValue,
        help: .init("The same for group ids.", valueName: "RULE"))
    var translateGID: [String] = []

    @Option(
        help: .init(
            """
            Give the guest's extended attributes other names on the host; implies --xattr. :map::user.virtiofs.: puts that \
            before all of them, :map:trusted.:user.virtiofs.: before trusted.* only. docs/options.md has all rules.
            """, valueName: "RULES"))
    var xattrmap: String?
}
