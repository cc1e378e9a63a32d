// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

/// The version table: docs/version-table.md.
struct TableArguments: ParsableArguments {
    @Option(
        help: .init(
            """
            Tell all changes in the version table at this path, which every daemon that serves the same files is given, and which \
            virtiofs device shows to its guest. It is made if there is none; put it where memory is, such as /dev/shm. Default: none.
            """, valueName: "PATH"))
    var versionTable: String?

    @Option(
        help: .init("Size of a table that is made: a multiple of 2M (default: 4M).", valueName: "SIZE"))
    var versionTableSize: String?

    @Option(
        help: .init(
            "Size of the journal of changes behind it: a multiple of 2M (default: 2M).", valueName: "SIZE"))
    var journalSize: String?
}
