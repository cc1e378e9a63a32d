// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

let chownChecks: [Check] = [
    Check("chown/every-kind", "chown(2): root gives every kind of object to anyone; its status changes") {
        for kind in Kind.allCases {
            try make(kind, "x")
            for (uid, gid) in [(4001, 4002), (0, 0), (65534, 65533), (123_456, 234_567)] {
                try expect(.lchown("x", uid, gid), moves: [("x", .change), (".", .none)])
                try when("a \(kind.rawValue)") {
                    try expect("x", .kind(kind), .uid(UInt32(uid)), .gid(UInt32(gid)))
                }
            }
            discard("x")
        }
    },
    Check("chown/one-id-only", "chown(2): −1 leaves an id as it is") {
        for kind in Kind.allCases {
            try make(kind, "x", owner: .owner)
            try expect(.lchown("x", 4002, -1))
            try expect("x", .uid(4002), .gid(4001))
            try expect(.lchown("x", -1, 4003))
            try expect("x", .uid(4002), .gid(4003))
            try expect(.lchown("x", -1, -1))
            try expect("x", .uid(4002), .gid(4003))
            discard("x")
        }
    },
    Check("chown/by-descriptor", "fchown(2): changes the open object") {
        try make(.regular, "x")
        try opened("x", O_RDONLY) { file in
            try expect(.fchown(file, 4001, 4002), moves: [("x", .change)])
            try expect(file, .uid(4001), .gid(4002))
        }
        try expect("x", .uid(4001), .gid(4002))
    },
    Check("chown/links", "chown(2) follows a symbolic link, lchown(2) changes the link itself") {
        for kind in [Kind.regular, .directory, .fifo] {
            try make(kind, "x")
            try expect(.symlink("x", "link"))
            try expect(.chown("link", 4001, 4002), moves: [("x", .change), ("link", .none)])
            try expect("x", .uid(4001), .gid(4002))
            try expect("link", .uid(0), .gid(0))
            try expect(.lchown("link", 4003, 4003), moves: [("x", .none), ("link", .change)])
            try expect("x", .uid(4001), .gid(4002))
            try expect("link", .uid(4003), .gid(4003))
            discard("x", "link")
        }
    },
    Check("chown/group-by-the-owner", "chown(2): the owner may give the file to a group that he belongs to") {
        for kind in Kind.allCases {
            try make(kind, "x", owner: .owner)
            let user = User.owner.with(groups: [4002, 4003])
            for gid in [4002, 4003, 4001] {
                try expect(.lchown("x", -1, gid), by: user, moves: [("x", .change)])
                try when("a \(kind.rawValue)") { try expect("x", .uid(4001), .gid(UInt32(gid))) }
                try expect(.lchown("x", 4001, gid), by: user)
            }
            discard("x")
        }
    },
    Check("chown/not-permitted", "EPERM: giving a file away, or to a foreign group, or another's file") {
        for kind in Kind.allCases {
            try make(kind, "x", mode: 0o777, owner: .owner)
            let table: [(user: User, uid: Int, gid: Int)] = [
                (.owner, 4002, -1), (.owner, 0, 4001), (.owner, -1, 4002), (.owner, -1, 0),
                (.owner, 4001, 4003),
                (.member, 4003, -1), (.member, -1, 4001), (.member, -1, 4003), (.member, 4001, 4001),
                (.stranger, 4002, 4002), (.stranger, -1, 4002), (.stranger, 4001, -1),
            ]
            for row in table {
                try when("a \(kind.rawValue)") {
                    try expect(.lchown("x", row.uid, row.gid), .EPERM, by: row.user)
                    try expect("x", .uid(4001), .gid(4001))
                }
            }
            try expect(.lchown("x", -1, 4002), .EPERM, by: .owner, moves: [("x", .none)])
            discard("x")
        }
    },
    Check("chown/nothing-by-the-owner", "chown(2): the owner may set what already is") {
        for kind in Kind.allCases {
            try make(kind, "x", owner: .owner)
            try expect(.lchown("x", 4001, 4001), by: .owner)
            try expect(.lchown("x", -1, -1), by: .owner)
            try expect("x", .uid(4001), .gid(4001))
            discard("x")
        }
    },
    Check(
        "chown/drops-set-id",
        "chown(2): changing owner or group of what is no directory clears set-user-ID and set-group-ID"
    ) {
        let table: [(mode: UInt32, after: UInt32)] = [
            (0o6555, 0o555), (0o4711, 0o711), (0o2755, 0o755), (0o1755, 0o1755),
            // Set-group-ID without execution for the group stays.
            (0o6744, 0o2744), (0o2644, 0o2644),
        ]
        for kind in Kind.withMode where kind != .directory {
            for row in table {
                for call in [Call.chown("x", -1, 4002), .chown("x", 4001, 4001)] {
                    for user in [User.owner.with(groups: [4002]), .root] {
                        try make(kind, "x", mode: row.mode, owner: .owner)
                        try expect(call, by: user)
                        try when("a \(kind.rawValue) of mode \(octal(row.mode)), \(call) by \(user)") {
                            try expect("x", .mode(row.after))
                        }
                        discard("x")
                    }
                }
            }
        }
    },
    Check(
        "chown/of-nothing",
        "chown(3p): whoever names neither id changes neither, nor anything that he may not"
    ) {
        for kind in Kind.allCases {
            try make(kind, "x", mode: 0o600, owner: .owner)
            for user in [User.owner, .member, .stranger] { try expect(.lchown("x", -1, -1), by: user) }
            try expect("x", .kind(kind), .uid(4001), .gid(4001))
            if kind != .symbolicLink { try expect("x", .mode(0o600)) }
            discard("x")
        }
        // Linux clears the bits for the owner; POSIX would have them stay.
        try make(.regular, "x", mode: 0o6755, owner: .owner)
        try expect(.chown("x", -1, -1), by: .owner)
        let mode = try status("x").mode
        try expect([0o6755, 0o755].contains(mode), "the mode is \(octal(mode)), expected 6755 or 0755")
    },
    Check("chown/directories-keep-set-id", "chown(2): the bits of a directory stay") {
        for user in [User.owner.with(groups: [4002]), .root] {
            try make(.directory, "x", mode: 0o2755, owner: .owner)
            try expect(.chmod("x", 0o7755))
            try expect(.chown("x", -1, 4002), by: user)
            try expect("x", .mode(0o7755), .gid(4002))
            discard("x")
        }
    },
    Check("chown/takes-effect-at-once", "path_resolution(7): the next access goes by the new owner") {
        try make(.regular, "x", mode: 0o600, owner: .owner)
        try expect(.open("x", O_RDWR), .EACCES, by: .stranger)
        try expect(.chown("x", 4002, 4002))
        try expect(.open("x", O_RDWR), by: .stranger)
        try expect(.open("x", O_RDWR), .EACCES, by: .owner)
    },
]
