// SPDX-License-Identifier: Apache-2.0

/// A failure that is not ours to repair, and why.
struct KnownFailure {
    let names: Set<String>
    let reason: String
    /// It passes now and then.
    var isARace = false
}

enum KnownFailures {
    static let ofRust =
        [
            KnownFailure(
                names: ["removed/working-directory"],
                reason: "it opens by the file handle, which is stale for a removed directory"),
            KnownFailure(
                names: ["setgid/writing-takes-it-away"],
                reason: "OPEN with O_TRUNC keeps the set-id bits whatever KILL_SUIDGID says"),
            KnownFailure(
                names: ["race/rename-is-atomic"],
                reason: "it takes a new file with a used inode number for the old one: ESTALE", isARace: true),
        ]

    static let ofC = [
        KnownFailure(
            names: [
                "mkdir/search-permission", "mkfifo/search-permission", "mknod/search-permission",
                "open/search-permission", "symlink/search-permission", "mkdir/write-permission",
                "mkfifo/write-permission", "mknod/write-permission", "open/write-permission",
                "symlink/write-permission", "mknod/set-group-id-of-another-group",
                "open/set-group-id-of-another-group", "permission/directory",
                "permission/supplementary-groups", "setgid/strangers-make-no-set-group-id-program",
            ],
            reason: "it makes objects with the caller's uid and gid alone; other groups are not known to it"),
        KnownFailure(
            names: ["setgid/writing-takes-it-away"],
            reason: "OPEN with O_TRUNC keeps the set-id bits whatever KILL_SUIDGID says"),
    ]
}
