// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// mkdir(2) and rmdir(2).
let directoryChecks: [Check] = [
    Check(
        "mkdir/link-count",
        "mkdir(2): \"..\" counts as a name of the parent where directories count names at all"
    ) {
        let before = try status(".").links
        try expect(.mkdir("d"))
        let counts = try status("d").links == 2
        try expect(".", .links(counts ? before + 1 : before))
        try expect(.mkdir("d/e"))
        try expect("d", .links(counts ? 3 : 1))
        try expect(.rmdir("d/e"))
        try expect(.rmdir("d"))
        try expect(".", .links(before))
    },
    Check("mkdir/dots", "mkdir(2): a new directory is empty, and \".\" and \"..\" lead where they should") {
        try expect(.mkdir("d"))
        try expect("the names in it", gives: 0, try names(in: "d").count)
        try expect("d/.", .same(try status("d")))
        try expect("d/..", .same(try status(".")))
        for path: Path in [".", "..", "d/.", "d/.."] { try expect(.mkdir(path), .EEXIST) }
    },
    Check("mkdir/trailing-slash", "mkdir(3p): a slash may follow the name of a directory that is to be made")
    {
        try expect(.mkdir("d/"))
        try expect(.mkdir("d/e//"))
        try expect("d/e", .kind(.directory))
        try expect(.rmdir("d/e/"))
    },
    Check("mkdir/many-levels", "mkdir(2): directories within directories, 64 deep") {
        var path: Path = "d"
        for _ in 0..<64 {
            try expect(.mkdir(path))
            path = path / "d"
        }
        try expect(.mkdir(path))
        try expect(path / "..", .kind(.directory), .links(try status("d").links))
    },
    Check("rmdir/removes", "rmdir(2): removes an empty directory and marks its parent's contents") {
        try expect(.mkdir("d"))
        try expect(.rmdir("d"), moves: [(".", .contents)])
        try expect(.lstat("d"), .ENOENT)
        try expect(.rmdir("d"), .ENOENT)
    },
    Check("rmdir/not-empty", "ENOTEMPTY: the directory holds something, whatever it is; nothing changes") {
        try expect(.mkdir("d"))
        for kind in Kind.allCases {
            try make(kind, "d/x")
            try when("with a \(kind.rawValue) in it") {
                try expect(
                    .rmdir("d"), oneOf: [.ENOTEMPTY, .EEXIST], moves: [("d", .none), (".", .none)])
                try expect("d/x", .kind(kind))
            }
            discard("d/x")
        }
        try expect(.rmdir("d"))
    },
    Check("rmdir/no-directory", "ENOTDIR: the last name is no directory; a link to one neither") {
        for kind in Kind.nonDirectories {
            try make(kind, "x")
            try expect(.rmdir("x"), .ENOTDIR, moves: [("x", .none), (".", .none)])
            discard("x")
        }
        try expect(.mkdir("d"))
        try expect(.symlink("d", "link"))
        try expect(.rmdir("link"), .ENOTDIR)
        try expect(.rmdir("link/"), .ENOTDIR)
        try expect("d", .kind(.directory))
    },
    Check("rmdir/dots", "EINVAL: the last name is \".\"; ENOTEMPTY: it is \"..\"") {
        try expect(.mkdir("d"))
        try expect(.mkdir("d/e"))
        try expect(.rmdir("d/e/."), .EINVAL)
        try expect(.rmdir("d/e/.."), oneOf: [.ENOTEMPTY, .EEXIST])
        try expect(.rmdir("d/e/../."), .EINVAL)
        try expect("d/e", .kind(.directory))
    },
    Check("rmdir/mount-point", "EBUSY: something is mounted on the directory") {
        try expect(.mkdir("d"))
        try inReadOnlyMount(of: "d") { try expect(.rmdir("d"), .EBUSY) }
        try expect(.rmdir("d"))
    },
    Check("rmdir/while-open", "rmdir(2): a removed directory that is open has no name and takes none") {
        try expect(.mkdir("d"))
        try opened("d", O_RDONLY | O_DIRECTORY) { directory in
            try expect(.rmdir("d"))
            try expect(.open("/proc/self/fd/\(directory)/x", O_WRONLY | O_CREAT), .ENOENT)
            try expect(.mkdir("d"))
            let new = try status("d")
            let old = try status(of: directory)
            try expect(new.inode != old.inode, "a new directory has the inode of one that is open")
            try expect(old.links < 2, "a removed directory has \(old.links) links, expected fewer than 2")
        }
    },
    Check("rmdir/name-can-be-reused", "rmdir(2): the name is free for any object at once") {
        for kind in Kind.allCases {
            try expect(.mkdir("x"))
            try expect(.rmdir("x"))
            try make(kind, "x")
            try expect("x", .kind(kind))
            discard("x")
        }
    },
]

/// The same expectation with several errors and the times that move.
func expect(_ call: Call, oneOf errors: [Errno], moves effects: [(path: Path, times: Times)]) throws {
    try expect(moves: effects, by: "\(call)") { try expect(call, oneOf: errors) }
}
