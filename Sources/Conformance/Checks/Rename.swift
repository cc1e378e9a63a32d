// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

let renameChecks: [Check] = [
    Check("rename/every-kind", "rename(2): the object stays what it is under its new name") {
        for kind in Kind.allCases {
            try make(kind, "x", mode: 0o640, owner: .owner)
            let before = try status("x")
            try expect(.rename("x", "y"), moves: [(".", .contents)])
            try when("a \(kind.rawValue)") {
                try expect(.lstat("x"), .ENOENT)
                try expect(
                    "y", .kind(kind), .same(before), .mode(before.mode), .uid(4001), .links(before.links),
                    .modification(before.modification))
            }
            discard("y")
        }
    },
    Check("rename/into-another-directory", "rename(2): both directories' contents are marked") {
        try make(.directory, "a")
        try make(.directory, "b")
        for kind in Kind.allCases {
            try make(kind, "a/x")
            let before = try status("a/x")
            try expect(.rename("a/x", "b/y"), moves: [("a", .contents), ("b", .contents), (".", .none)])
            try expect("b/y", .kind(kind), .same(before))
            try expect(.lstat("a/x"), .ENOENT)
            discard("b/y")
        }
    },
    Check("rename/marks-the-object", "rename(2): Linux file systems mark the status of what was renamed") {
        for kind in Kind.allCases {
            try make(kind, "x")
            let before = try status("x").change
            try waitForClock()
            try expect(.rename("x", "y"))
            try when("a \(kind.rawValue)") {
                try expect(
                    status("y").change > before, "rename(x, y) left its change time, expected it to move")
            }
            discard("y")
        }
    },
    Check("rename/replaces", "rename(2): what had the new name loses it, and its other names stay") {
        for kind in Kind.nonDirectories {
            for old in Kind.nonDirectories {
                try make(kind, "x")
                try make(old, "y")
                try expect(.link("y", "other"))
                let moved = try status("x")
                try when("a \(kind.rawValue) over a \(old.rawValue)") {
                    try expect(.rename("x", "y"), moves: [("other", .change), (".", .contents)])
                    try expect("y", .same(moved), .kind(kind), .links(1))
                    try expect("other", .kind(old), .links(1))
                    try expect(.lstat("x"), .ENOENT)
                }
                discard("y", "other")
            }
        }
    },
    Check("rename/replaces-an-empty-directory", "rename(2): a directory takes the place of an empty one") {
        try make(.directory, "x", mode: 0o711)
        try make(.regular, "x/file")
        try make(.directory, "y")
        let moved = try status("x")
        try expect(.rename("x", "y"))
        try expect("y", .same(moved), .mode(0o711))
        try expect("y/file", .kind(.regular))
        try expect(.lstat("x"), .ENOENT)
    },
    Check(
        "rename/onto-a-full-directory",
        "ENOTEMPTY or EEXIST: the new name is a directory that holds something"
    ) {
        for kind in Kind.allCases {
            try make(.directory, "x")
            try make(.directory, "y")
            try make(kind, "y/z")
            try when("that holds a \(kind.rawValue)") {
                try expect(
                    .rename("x", "y"), oneOf: [.ENOTEMPTY, .EEXIST], moves: [("x", .none), ("y", .none)])
            }
            discard("y/z", "x", "y")
        }
    },
    Check("rename/directory-onto-another-kind", "ENOTDIR: a directory replaces only a directory") {
        try make(.directory, "x")
        for kind in Kind.nonDirectories {
            try make(kind, "y")
            try expect(.rename("x", "y"), .ENOTDIR, moves: [("x", .none), ("y", .none), (".", .none)])
            try expect("y", .kind(kind))
            discard("y")
        }
    },
    Check("rename/another-kind-onto-a-directory", "EISDIR: only a directory replaces a directory") {
        try make(.directory, "y")
        for kind in Kind.nonDirectories {
            try make(kind, "x")
            try expect(.rename("x", "y"), .EISDIR, moves: [("x", .none), ("y", .none), (".", .none)])
            try expect("x", .kind(kind))
            discard("x")
        }
    },
    Check("rename/into-itself", "EINVAL: a directory would become part of itself") {
        try make(.directory, "x")
        try make(.directory, "x/y")
        for target: Path in ["x/z", "x/y/z", "x/y"] {
            try expect(.rename("x", target), .EINVAL, moves: [("x", .none), ("x/y", .none)])
        }
        try expect(.rename("x/y", "x"), oneOf: [.ENOTEMPTY, .EEXIST])
    },
    Check("rename/dots", "EBUSY or EINVAL: \".\" and \"..\" are no names to rename") {
        try make(.directory, "x")
        try make(.directory, "x/y")
        for (from, to) in [
            ("x/.", "z"), ("x/y/..", "z"), (".", "z"), ("..", "z"), ("x", "x/y/."), ("x/y", "."),
            ("x/y", "x/.."),
        ] as [(Path, Path)] {
            try expect(.rename(from, to), oneOf: [.EBUSY, .EINVAL, .EEXIST, .ENOTEMPTY])
        }
        try expect("x/y", .kind(.directory))
    },
    Check("rename/onto-itself", "rename(2): two names of one object, or one name twice: nothing happens") {
        for kind in Kind.allCases {
            try make(kind, "x")
            try expect(.rename("x", "x"), moves: [("x", .none), (".", .none)])
            if kind != .directory {
                try expect(.link("x", "y"))
                try expect(.rename("x", "y"), moves: [("x", .none), (".", .none)])
                try expect("x", .links(2), .same(try status("y")))
            }
            discard("x", "y")
        }
    },
    Check("rename/one-of-two-names", "rename(2): the other name of the object stays, and its count") {
        for kind in Kind.nonDirectories {
            try make(kind, "x")
            try expect(.link("x", "other"))
            try expect(.rename("x", "y"))
            try expect("y", .links(2), .same(try status("other")))
            discard("y", "other")
        }
    },
    Check(
        "rename/parent-of-a-moved-directory", "rename(2): \"..\" of a moved directory leads to its new parent"
    ) {
        try make(.directory, "a")
        try make(.directory, "b")
        try make(.directory, "a/x")
        try make(.directory, "a/x/deep")
        let counts = try status("b").links == 2
        try expect(.rename("a/x", "b/x"))
        try expect("b/x/..", .same(try status("b")))
        try expect("b/x/deep/../..", .same(try status("b")))
        if counts {
            try expect("a", .links(2))
            try expect("b", .links(3))
        }
    },
    Check(
        "rename/moving-a-foreign-directory",
        "EACCES: \"..\" changes, so a directory that moves must be writable"
    ) {
        try make(.directory, "a", mode: 0o777)
        try make(.directory, "b", mode: 0o777)
        try make(.directory, "a/x", mode: 0o755, owner: .owner)
        try expect(.rename("a/x", "b/x"), .EACCES, by: .stranger, moves: [("a", .none), ("b", .none)])
        // Within the one directory nothing of the moved one changes.
        try expect(.rename("a/x", "a/y"), by: .stranger)
        try expect(.rename("a/y", "b/x"), by: .owner)
        // A file needs no such right.
        try make(.regular, "a/f", mode: 0o400, owner: .owner)
        try expect(.rename("a/f", "b/f"), by: .stranger)
    },
    Check("rename/links-are-not-followed", "rename(2): a link is renamed or replaced itself") {
        try make(.regular, "x")
        try expect(.symlink("x", "link"))
        try expect(.rename("link", "moved"))
        try expect("moved", .kind(.symbolicLink))
        try make(.regular, "y")
        try expect(.rename("y", "moved"))
        try expect("moved", .kind(.regular))
        try expect("x", .kind(.regular), .links(1))
    },
    Check("rename/other-file-system", "EXDEV: both names have to be on one file system") {
        let other = try otherFileSystem()
        for kind in Kind.allCases {
            try make(kind, "x")
            try expect(.rename("x", other), .EXDEV)
            try expect("x", .kind(kind))
            discard("x")
        }
    },
    Check("rename/failure-changes-nothing", "rename(2): a rename that is refused leaves all times") {
        try make(.directory, "d", mode: 0o555, owner: .owner)
        try make(.regular, "d/x", owner: .owner)
        try make(.regular, "y", owner: .owner)
        try expect(
            .rename("d/x", "z"), .EACCES, by: .owner, moves: [("d", .none), ("d/x", .none), (".", .none)])
        try expect(
            .rename("y", "d/z"), .EACCES, by: .owner, moves: [("d", .none), ("y", .none), (".", .none)])
        try expect(.rename("none", "d/x"), .ENOENT, moves: [("d", .none), ("d/x", .none)])
    },
    Check("rename/while-open", "rename(2): descriptors stay with the object, the replaced one's too") {
        try make(file: "x", holding: [1])
        try make(file: "y", holding: [2])
        try opened("x", O_RDWR) { moved in
            try opened("y", O_RDWR) { replaced in
                try expect(.rename("x", "y"))
                try expect("the moved file", gives: [1], try read(moved, 9, at: 0))
                try expect("the replaced file", gives: [2], try read(replaced, 9, at: 0))
                try expect(replaced, .links(0))
                try write(replaced, [3], at: 0)
                try write(moved, [4], at: 0)
                try expect("the replaced file", gives: [3], try read(replaced, 9, at: 0))
            }
        }
        try expect("the name", gives: [4], try contents("y"))
    },
    Check("rename/no-replace", "renameat2(2): RENAME_NOREPLACE gives EEXIST instead of replacing") {
        try expectFlag(1)
        for kind in Kind.allCases {
            try make(kind, "x")
            try make(.regular, "y")
            try expect(.renameat2("x", "y", flags: 1), .EEXIST, moves: [("x", .none), ("y", .none)])
            discard("y")
            try expect(.renameat2("x", "y", flags: 1))
            try expect("y", .kind(kind))
            discard("y")
        }
    },
    Check("rename/exchange", "renameat2(2): RENAME_EXCHANGE swaps two names of any kinds") {
        try expectFlag(2)
        for (one, two) in [(Kind.regular, Kind.directory), (.fifo, .regular), (.directory, .directory)] {
            try make(one, "x")
            try make(two, "y")
            let (first, second) = (try status("x"), try status("y"))
            try expect(.renameat2("x", "y", flags: 2))
            try expect("x", .same(second), .kind(two))
            try expect("y", .same(first), .kind(one))
            discard("x", "y")
        }
        try make(.regular, "x")
        try expect(.renameat2("x", "none", flags: 2), .ENOENT)
        try expect(.renameat2("x", "y", flags: 3), .EINVAL)
    },
]

/// Renaming with a flag that the file system does not know is EINVAL: then there is nothing to check.
private func expectFlag(_ flags: UInt32) throws {
    try make(.regular, "trial")
    if flags == 2 { try make(.regular, "trial2") }
    defer { discard("trial", "trial2") }
    do throws(Errno) { _ = try Call.renameat2("trial", "trial2", flags: flags)() } catch .EINVAL {
        throw Unsupported("no such flag of renameat2(2) here (EINVAL)")
    } catch { throw Failure("renameat2(trial, trial2) gave \(name(of: error)), expected success") }
}
