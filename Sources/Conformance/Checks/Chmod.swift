// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

let chmodChecks: [Check] = [
    Check("chmod/every-kind", "chmod(2): changes the mode of every kind of object and the time of its status")
    {
        for kind in Kind.withMode {
            try make(kind, "x", mode: 0o644, owner: .owner)
            for mode: UInt32 in [0o111, 0o7777, 0o1644, 0o2711, 0o4500, 0] {
                try when("a \(kind.rawValue)") {
                    try expect(.chmod("x", mode), moves: [("x", .change), (".", .none)])
                    try expect("x", .kind(kind), .mode(mode), .uid(User.owner.uid), .gid(User.owner.gid))
                }
            }
            discard("x")
        }
    },
    Check(
        "chmod/by-descriptor",
        "fchmod(2): changes the mode of the open object, of a file opened for reading too"
    ) {
        try make(.regular, "x", mode: 0o644)
        try opened("x", O_RDONLY) { file in
            try expect(.fchmod(file, 0o4711), moves: [("x", .change)])
            try expect("x", .mode(0o4711))
            try expect(file, .mode(0o4711))
        }
        try make(.directory, "d", mode: 0o755)
        try opened("d", O_RDONLY | O_DIRECTORY) { directory in
            try expect(.fchmod(directory, 0o3700))
            try expect("d", .mode(0o3700))
        }
    },
    Check("chmod/follows-links", "chmod(2): a symbolic link is followed, its own mode stays 0777") {
        for kind in [Kind.regular, .directory, .fifo] {
            try make(kind, "x", mode: 0o644)
            try expect(.symlink("x", "link"))
            try expect(.chmod("link", 0o321), moves: [("x", .change), ("link", .none)])
            try expect("x", .mode(0o321))
            try expect("link", .mode(0o777))
            discard("x", "link")
        }
    },
    Check("chmod/owner-and-root-only", "EPERM: the effective user is neither the owner nor privileged") {
        for kind in Kind.withMode {
            try make(kind, "x", mode: 0o664, owner: .owner)
            for user in [User.stranger, .member] {
                try expect(.chmod("x", 0o600), .EPERM, by: user, moves: [("x", .none)])
                try expect(.chmod("x", 0o664), .EPERM, by: user)
            }
            try expect("x", .mode(0o664))
            try expect(.chmod("x", 0o600), by: .owner)
            try expect("x", .mode(0o600))
            discard("x")
        }
        try make(.regular, "x", owner: .owner)
        try expect(.symlink("x", "link"))
        try expect(.lchown("link", 4002, 4002))
        try expect(.chmod("link", 0o600), .EPERM, by: .stranger)
    },
    Check(
        "chmod/set-group-id-by-a-non-member",
        "chmod(2): an owner outside the file's group cannot set set-group-ID"
    ) {
        for kind in Kind.withMode {
            try make(kind, "x", mode: 0o755)
            try expect(.chown("x", Int(User.owner.uid), Int(User.stranger.gid)))
            try expect(.chmod("x", 0o2755), by: .owner)
            try when("a \(kind.rawValue)") { try expect("x", .mode(0o755)) }
            try expect(.chmod("x", 0o2755), by: .owner.with(groups: [User.stranger.gid]))
            try when("a \(kind.rawValue), by a member") { try expect("x", .mode(0o2755)) }
            // Any other change of mode takes it away again, and leaves set-user-ID alone.
            try expect(.chmod("x", 0o6711), by: .owner)
            try when("a \(kind.rawValue)") { try expect("x", .mode(0o4711)) }
            try expect(.chmod("x", 0o6711), by: .root)
            try when("a \(kind.rawValue), by root") { try expect("x", .mode(0o6711)) }
            discard("x")
        }
    },
    Check(
        "chmod/sticky-by-the-owner",
        "chmod(2): the owner of a file or directory may set its sticky bit on Linux"
    ) {
        for kind in Kind.withMode {
            try make(kind, "x", mode: 0o755, owner: .owner)
            try expect(.chmod("x", 0o1755), by: .owner)
            try when("a \(kind.rawValue)") { try expect("x", .mode(0o1755)) }
            discard("x")
        }
    },
    Check(
        "chmod/writing-drops-set-id",
        "inode(7): a write by an unprivileged user clears set-user-ID and set-group-ID"
    ) {
        let table: [(mode: UInt32, after: UInt32)] = [
            (0o4777, 0o777), (0o2777, 0o777), (0o6777, 0o777), (0o4666, 0o666), (0o1777, 0o1777),
        ]
        for row in table {
            for user in [User.stranger, .owner] {
                try make(file: "x", holding: [1, 2, 3], mode: row.mode, owner: .owner)
                // The file's group is not the writer's, who could keep it otherwise.
                try expect(.chown("x", Int(User.owner.uid), 0))
                try expect(.chmod("x", row.mode))
                try by(user) { try opened("x", O_WRONLY) { try write($0, [9], at: 1) } }
                try when("mode \(octal(row.mode)), written by \(user)") { try expect("x", .mode(row.after)) }
                discard("x")
            }
        }
    },
    Check("chmod/root-writing-keeps-set-id", "inode(7): a write with CAP_FSETID leaves the bits alone") {
        for mode: UInt32 in [0o4777, 0o2777, 0o6755] {
            try make(.regular, "x", mode: mode)
            try opened("x", O_WRONLY) { try write($0, [9], at: 0) }
            try expect("x", .mode(mode))
            discard("x")
        }
    },
    Check("chmod/takes-effect-at-once", "path_resolution(7): the next access goes by the new mode") {
        try make(.regular, "x", mode: 0o600, owner: .owner)
        try expect(.open("x", O_RDONLY), .EACCES, by: .stranger)
        try expect(.chmod("x", 0o604), by: .owner)
        try expect(.open("x", O_RDONLY), by: .stranger)
        try expect(.chmod("x", 0o600), by: .owner)
        try expect(.open("x", O_RDONLY), .EACCES, by: .stranger)
    },
    Check("chmod/open-descriptor-keeps-its-rights", "open(2): permissions are checked when a file is opened")
    {
        try make(.regular, "x", mode: 0o666, owner: .owner)
        let number = try by(.stranger) { try result(of: .open("x", O_RDWR)) }
        defer { _ = close(number) }
        try expect(.chmod("x", 0), by: .owner)
        try by(.stranger) {
            try write(number, [7], at: 0)
            try expect("what was written", gives: [7], try read(number, 10, at: 0))
        }
    },
]
