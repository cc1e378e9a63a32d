// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

let symlinkChecks: [Check] = [
    Check("symlink/holds-its-target", "symlink(2): any text can be a target, to be read back byte by byte") {
        let targets: [Path] = [
            "x", "/", "..", "no/such/thing", "with space", Path([0xFF, 0x80, 0x01, 0x0A]),
            .name(byteCount: 255), .name(byteCount: 256), .roundabout(to: "x", byteCount: 4095),
        ]
        for path in targets {
            try expect(.symlink(path, "link"))
            try when("the target \(path)") {
                try expect("readlink(link)", gives: path, try target("link"))
                try expect("link", .kind(.symbolicLink), .size(path.bytes.count), .mode(0o777))
            }
            discard("link")
        }
    },
    Check("symlink/target-length", "ENAMETOOLONG: a target of PATH_MAX bytes or more; ENOENT: an empty one") {
        try expect(.symlink(.roundabout(to: "x", byteCount: 4096), "link"), .ENAMETOOLONG)
        try expect(.symlink("", "link"), .ENOENT)
        try expect(.lstat("link"), .ENOENT)
    },
    Check("symlink/bad-target", "EFAULT: the target points outside the address space") {
        try expect(.symlink(.nowhere, "link"), .EFAULT)
    },
    Check(
        "symlink/is-followed",
        "path_resolution(7): links to files, directories, links and back up are followed"
    ) {
        try make(.directory, "d")
        try make(file: "d/x", holding: [1, 2])
        for (target, path) in [("d/x", "a"), ("a", "b"), ("d", "c"), ("../d/x", "d/up")] as [(Path, Path)] {
            try expect(.symlink(target, path))
        }
        for path: Path in ["a", "b", "c/x", "d/up", "c/up"] {
            try expect("the file behind \(path)", gives: [1, 2], try contents(path))
        }
        try expect("c/", .kind(.directory))
        discard("a")
        try expect(.stat("b"), .ENOENT)
        try expect("b", .kind(.symbolicLink))
    },
    Check("symlink/made-later", "symlink(7): what a link leads to may come and go") {
        try expect(.symlink("x", "link"))
        try expect(.stat("link"), .ENOENT)
        try make(file: "x", holding: [7])
        try expect("the file behind link", gives: [7], try contents("link"))
        try expect(.rename("x", "y"))
        try expect(.stat("link"), .ENOENT)
        try make(.directory, "x")
        try expect("link/", .kind(.directory))
    },
]

let unlinkChecks: [Check] = [
    Check("unlink/every-kind", "unlink(2): removes a name of any object but a directory and marks the parent")
    {
        for kind in Kind.nonDirectories {
            try make(kind, "x")
            try when("a \(kind.rawValue)") {
                try expect(.unlink("x"), moves: [(".", .contents)])
                try expect(.lstat("x"), .ENOENT)
                try expect(.unlink("x"), .ENOENT)
            }
        }
    },
    Check("unlink/other-names-stay", "unlink(3p): the count falls by one and the object's status is marked") {
        for kind in Kind.nonDirectories {
            try make(kind, "x")
            try expect(.link("x", "y"))
            try when("a \(kind.rawValue)") {
                try expect(.unlink("x"), moves: [(".", .contents), ("y", .change)])
                try expect("y", .kind(kind), .links(1))
            }
            discard("y")
        }
    },
    Check("unlink/directory", "EISDIR (Linux) or EPERM (POSIX): a directory is not unlinked") {
        try make(.directory, "d")
        try expect(.unlink("d"), oneOf: [.EISDIR, .EPERM], moves: [("d", .none), (".", .none)])
        for user in [User.owner, .stranger] {
            try by(user) { try expect(.unlink("d"), oneOf: [.EISDIR, .EPERM]) }
        }
        try expect("d", .kind(.directory))
    },
    Check("unlink/symbolic-link", "unlink(2): a link is removed itself") {
        for kind in [Kind.regular, .directory] {
            try make(kind, "x")
            try expect(.symlink("x", "link"))
            try expect(.unlink("link"))
            try expect("x", .kind(kind))
            discard("x")
        }
    },
    Check("unlink/while-open", "unlink(2): a file that is open lives without a name") {
        try make(file: "x", holding: [1, 2, 3], owner: .owner)
        try opened("x", O_RDWR) { file in
            try expect(.unlink("x"))
            try expect(file, .links(0), .size(3), .uid(4001))
            try expect("its contents", gives: [1, 2, 3], try read(file, 9, at: 0))
            try write(file, [9, 9], at: 3)
            try expect(file, .size(5), .links(0))
            try expect(.ftruncate(file, 4))
            try expect(.fchmod(file, 0o600))
            try expect(file, .size(4), .mode(0o600))
            try expect(.lstat("x"), .ENOENT)
            // The name can be another file's meanwhile.
            try make(file: "x", holding: [8])
            try expect("its contents", gives: [1, 2, 3, 9], try read(file, 9, at: 0))
            try expect("the new file's", gives: [8], try contents("x"))
        }
    },
    Check(
        "unlink/needs-no-right-to-the-file", "unlink(2): the directory's permissions count, the file's do not"
    ) {
        for kind in Kind.nonDirectories {
            try make(kind, "x", mode: 0, owner: .owner)
            try expect(.unlink("x"), by: .stranger)
        }
    },
    Check("unlink/failure-changes-nothing", "unlink(2): a removal that is refused leaves times and counts") {
        try make(.directory, "d", mode: 0o555, owner: .owner)
        for kind in Kind.nonDirectories {
            try make(kind, "d/x", owner: .owner)
            for user in [User.owner, .member, .stranger] {
                try expect(.unlink("d/x"), .EACCES, by: user, moves: [("d", .none), ("d/x", .none)])
            }
            try expect("d/x", .kind(kind), .links(1))
            discard("d/x")
        }
    },
    Check("unlink/trailing-slash", "ENOTDIR: a slash after the name of a file") {
        try make(.regular, "x")
        try expect(.unlink("x/"), .ENOTDIR)
        try expect("x", .kind(.regular))
    },
]
