// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// One call that makes an object with a mode.
private struct Maker: Sendable {
    let area: String
    let kind: Kind
    /// Which of the twelve bits the call takes from its mode.
    let bits: UInt32
    let call: @Sendable (Path, UInt32) -> Call

    static let all: [Maker] = [
        Maker(area: "mkdir", kind: .directory, bits: 0o1777) { .mkdir($0, $1) },
        Maker(area: "mkfifo", kind: .fifo, bits: 0o7777) { .mkfifo($0, $1) },
        Maker(area: "mknod", kind: .fifo, bits: 0o7777) { .mknod($0, Kind.fifo.bits | $1) },
        Maker(area: "mknod", kind: .socket, bits: 0o7777) { .mknod($0, Kind.socket.bits | $1) },
        Maker(area: "mknod", kind: .regular, bits: 0o7777) { .mknod($0, Kind.regular.bits | $1) },
        Maker(area: "open", kind: .regular, bits: 0o7777) { .open($0, O_RDONLY | O_CREAT, $1) },
        Maker(area: "open", kind: .regular, bits: 0o7777) {
            .open($0, O_RDWR | O_CREAT | O_EXCL | O_TRUNC, $1)
        },
    ]

    /// A check for each area; symlink(2) has no mode and takes part where `withLinks`.
    static func checks(
        _ suffix: String, _ statement: String, withLinks: Bool = true,
        _ body: @escaping @Sendable (Maker) throws -> Void
    ) -> [Check] {
        let link = Maker(area: "symlink", kind: .symbolicLink, bits: 0) { path, _ in .symlink("target", path)
        }
        let makers = all + (withLinks ? [link] : [])
        var areas: [String] = []
        for maker in makers where !areas.contains(maker.area) { areas.append(maker.area) }
        return areas.map { area in
            Check("\(area)/\(suffix)", "\(area)(2): \(statement)") {
                for maker in makers where maker.area == area { try body(maker) }
            }
        }
    }
}

/// What a new object is like, whichever call made it.
let creationChecks: [Check] =
    Maker.checks(
        "mode-and-umask", "the mode of a new object is the given one without the bits of umask",
        withLinks: false
    ) {
        maker in
        let table: [(mode: UInt32, umask: mode_t)] = [
            (0o755, 0), (0o000, 0), (0o777, 0), (0o151, 0), (0o777, 0o022), (0o151, 0o077), (0o345, 0o070),
            (0o501, 0o345), (0o777, 0o777), (0o1751, 0), (0o4710, 0o007),
        ]
        for row in table {
            for user in [User.root, .owner] {
                let made = maker.call("x", row.mode)
                try expect(made, by: user.with(umask: row.umask))
                try when("umask \(octal(row.umask)), \(made)") {
                    try expect("x", .kind(maker.kind), .mode(row.mode & ~row.umask & maker.bits))
                }
                discard("x")
            }
        }
    }
    + Maker.checks("ownership", "a new object belongs to its maker's user and group") { maker in
        for user in [User.root, .owner, .member] {
            try expect(maker.call("x", 0o644), by: user)
            try expect(
                "x", .kind(maker.kind), .uid(user.uid), .gid(user.gid),
                .links(maker.kind == .directory ? 2 : 1))
            discard("x")
        }
    }
    + Maker.checks(
        "set-group-id-directory", "inode(7): in a set-group-ID directory a new object gets its group"
    ) {
        maker in
        // The maker of a directory is in the group of the second, and not of the first.
        for user in [User.stranger, .member] {
            try make(.directory, "d", mode: 0o2777, owner: .owner)
            try expect(maker.call("d/x", 0o755), by: user)
            try expect("d/x", .uid(user.uid), .gid(User.owner.gid))
            if maker.kind == .directory { try expect("d/x", .mode(0o2755)) }
            discard("d/x", "d")
        }
    }
    + Maker.checks(
        "set-group-id-of-another-group",
        "mode_strip_sgid: no executable set-group-ID file for somebody who is not in the directory's group",
        withLinks: false
    ) { maker in
        guard maker.kind == .regular else { return }
        for (user, mode) in [(User.stranger, UInt32(0o755)), (.member, 0o2755), (.root, 0o2755)] {
            try make(.directory, "d", mode: 0o2777, owner: .owner)
            try expect(maker.call("d/x", 0o2755), by: user)
            try when("made by \(user)") { try expect("d/x", .gid(User.owner.gid), .mode(mode)) }
            discard("d/x", "d")
        }
    }
    .filter { $0.area != "mkdir" && $0.area != "mkfifo" }
    + Maker.checks(
        "times", "stat(3p): all times of a new object, and the contents of its directory, are of now"
    ) {
        maker in
        try make(.directory, "d")
        let before = try status("d").change
        try expect(maker.call("d/x", 0o644), moves: [("d", .contents)])
        let made = try status("d/x")
        for time in [made.access, made.modification, made.change] {
            try expect(
                time > before, "\(maker.call("d/x", 0o644)) gave it the time \(time), not after \(before)")
        }
        discard("d/x", "d")
    }
    + Maker.checks("exists", "EEXIST: the name is there already, a dangling link too; nothing changes") {
        maker in
        let call = maker.area == "open" ? Call.open("x", O_RDWR | O_CREAT | O_EXCL) : maker.call("x", 0o644)
        for kind in Kind.allCases {
            try make(kind, "x")
            try when("the \(kind.rawValue) x") {
                try expect(call, .EEXIST, moves: [(".", .none), ("x", .none)])
                try expect("x", .kind(kind))
            }
            discard("x")
        }
    }
