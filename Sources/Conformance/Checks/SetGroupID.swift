// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

let setGroupIDChecks: [Check] = [
    Check("setgid/group-is-inherited", "inode(7): what is made in a set-group-ID directory has its group") {
        try make(.directory, "d", mode: 0o2777)
        try expect(.lchown("d", 0, 5005))
        try expect(.chmod("d", 0o2777))
        try by(.stranger) {
            for kind in [Kind.regular, .directory, .fifo, .socket, .symbolicLink] {
                try expect(kind.making("d/x", mode: 0o755))
                try expect("d/x", .kind(kind), .uid(4002), .gid(5005))
                try expect(kind == .directory ? .rmdir("d/x") : .unlink("d/x"))
            }
        }
    },
    Check("setgid/directories-pass-it-on", "inode(7): a directory in a set-group-ID directory becomes one") {
        try make(.directory, "d", mode: 0o2777)
        try expect(.lchown("d", 0, 5005))
        try expect(.chmod("d", 0o2777))
        try by(.stranger) {
            try expect(.mkdir("d/s", 0o755))
            try expect("d/s", .mode(0o2755), .gid(5005))
            try expect(.mkdir("d/s/t", 0o700))
            try expect("d/s/t", .mode(0o2700), .gid(5005))
            try expect(.open("d/s/f", O_WRONLY | O_CREAT, 0o644))
            try expect("d/s/f", .mode(0o644), .gid(5005))
        }
    },
    Check(
        "setgid/plain-directory-gives-the-callers-group", "open(2): without the bit the group is the caller's"
    ) {
        try make(.directory, "d", mode: 0o777)
        try expect(.lchown("d", 0, 5005))
        try by(.stranger) {
            try expect(.mkdir("d/s"))
            try expect("d/s", .gid(4002), .mode(0o755))
        }
    },
    Check(
        "setgid/strangers-make-no-set-group-id-program",
        "open(2): no S_ISGID for a group that is not the caller's"
    ) {
        try make(.directory, "d", mode: 0o2777)
        try expect(.lchown("d", 0, 5005))
        try expect(.chmod("d", 0o2777))
        try by(.stranger) {
            try expect(.open("d/f", O_WRONLY | O_CREAT, 0o2755))
            try expect("d/f", .mode(0o755), .gid(5005))
        }
        try by(User.stranger.with(groups: [5005])) {
            try expect(.open("d/g", O_WRONLY | O_CREAT, 0o2755))
            try expect("d/g", .mode(0o2755), .gid(5005))
        }
    },
    Check(
        "setgid/writing-takes-it-away", "write(2): a write by an unprivileged user drops S_ISUID and S_ISGID"
    ) {
        for way in ["write", "truncate", "O_TRUNC"] {
            try make(.regular, "f", mode: 0o6777, owner: .owner)
            try by(.owner) {
                switch way {
                case "write":
                    let file = try OpenFile("f", O_WRONLY)
                    try file.write("x")
                    file.close()
                case "truncate": try expect(.truncate("f", 10))
                default: try expect(.open("f", O_WRONLY | O_TRUNC))
                }
            }
            let seen = try status("f").mode
            try expect(seen == 0o777, "after \(way) the mode is \(octal(seen)), expected 0777")
            try expect(.unlink("f"))
        }
    },
    Check("setgid/root-writes-keep-it", "write(2): a write by root keeps S_ISUID and S_ISGID") {
        try make(.regular, "f", mode: 0o6777, owner: .owner)
        let file = try OpenFile("f", O_WRONLY)
        try file.write("x")
        file.close()
        try expect("f", .mode(0o6777))
    },
    Check("setgid/mandatory-bit-stays", "write(2): S_ISGID without group execution is no program's and stays")
    {
        try make(.regular, "f", mode: 0o2666, owner: .owner)
        try by(User.owner) {
            let file = try OpenFile("f", O_WRONLY)
            try file.write("x")
            file.close()
        }
        try expect("f", .mode(0o2666))
    },
]

let umaskChecks: [Check] = [
    Check("umask/every-way-to-make-a-name", "umask(2): its bits are taken from the mode of what is made") {
        for umask in [0 as mode_t, 0o022, 0o077, 0o777, 0o111] {
            try by(User.owner.with(umask: umask)) {
                for kind in [Kind.regular, .directory, .fifo, .socket] {
                    try expect(kind.making("x", mode: 0o777))
                    try expect("x", .mode(0o777 & ~umask))
                    try expect(kind == .directory ? .rmdir("x") : .unlink("x"))
                }
                try expect(.symlink("t", "x"))
                try expect("x", .mode(0o777))
                try expect(.unlink("x"))
            }
        }
    },
    Check("umask/special-bits-stay", "umask(2): takes permission bits only") {
        try by(User.owner.with(umask: 0o777)) {
            try expect(.mkdir("d", 0o1777))
            try expect("d", .mode(0o1000))
        }
    },
    Check("umask/not-for-chmod", "umask(2): chmod(2) sets what it is asked to") {
        try by(User.owner.with(umask: 0o077)) {
            try expect(.open("f", O_WRONLY | O_CREAT, 0o666))
            try expect(.chmod("f", 0o666))
            try expect("f", .mode(0o666))
        }
    },
    Check("umask/existing-file", "open(2): O_CREAT changes nothing of a file that is there") {
        try make(.regular, "f", mode: 0o606, owner: .owner)
        try by(User.owner.with(umask: 0o777)) { try expect(.open("f", O_WRONLY | O_CREAT, 0o777)) }
        try expect("f", .mode(0o606))
    },
]
