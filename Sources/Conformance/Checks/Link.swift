// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

let linkChecks: [Check] = [
    Check("link/every-kind", "link(2): another name of the same object, which counts its names") {
        for kind in Kind.nonDirectories {
            try make(kind, "x", mode: 0o640, owner: .owner)
            try when("a \(kind.rawValue)") {
                try expect("x", .links(1))
                let first = try status("x")
                try expect(.link("x", "y"), moves: [("x", .change), (".", .contents)])
                try expect(.link("y", "z"))
                for path: Path in ["x", "y", "z"] {
                    try expect(path, .kind(kind), .links(3), .same(first), .uid(4001), .mode(first.mode))
                }
                try expect(.unlink("x"))
                try expect("y", .links(2), .same(first))
                try expect(.unlink("z"))
                try expect("y", .links(1))
            }
            discard("y")
        }
    },
    Check("link/changes-show-in-all-names", "link(2): what is changed through one name is seen through all") {
        for kind in Kind.withMode where kind != .directory {
            try make(kind, "x")
            try expect(.link("x", "y"))
            try expect(.chmod("x", 0o201))
            try expect("y", .mode(0o201))
            try expect(.chown("y", 4001, 4002))
            try expect("x", .mode(0o201), .uid(4001), .gid(4002))
            discard("x", "y")
        }
        try make(file: "x", holding: [1, 2])
        try expect(.link("x", "y"))
        try opened("y", O_WRONLY) { try write($0, [3, 4, 5], at: 1) }
        try expect("x", .size(4))
        try expect("the contents", gives: [1, 3, 4, 5], try contents("x"))
        try expect(.truncate("x", 1))
        try expect("y", .size(1))
    },
    Check("link/into-another-directory", "link(2): the new name may be in another directory") {
        try make(.directory, "d")
        try make(.regular, "x")
        try expect(.link("x", "d/y"), moves: [("x", .change), ("d", .contents), (".", .none)])
        try expect("d/y", .same(try status("x")), .links(2))
    },
    Check("link/exists", "EEXIST: the new name is there already, whatever it is; nothing changes") {
        try make(.regular, "x")
        for kind in Kind.allCases {
            try make(kind, "y")
            try when("the \(kind.rawValue) y") {
                try expect(.link("x", "y"), .EEXIST, moves: [("x", .none), ("y", .none), (".", .none)])
                try expect("x", .links(1))
            }
            discard("y")
        }
        try expect(.link("x", "x"), .EEXIST)
    },
    Check("link/directory", "EPERM: a directory has one name only") {
        try make(.directory, "d")
        let links = try status("d").links
        try expect(.link("d", "x"), .EPERM, moves: [("d", .none), (".", .none)])
        try expect("d", .links(links))
        try make(.directory, "mine", owner: .owner)
        try expect(.link("mine", "x"), .EPERM, by: .owner)
    },
    Check("link/symbolic-link", "link(2) names the link itself, AT_SYMLINK_FOLLOW what it leads to") {
        try make(.regular, "x")
        try expect(.symlink("x", "link"))
        try expect(.link("link", "y"))
        try expect("y", .kind(.symbolicLink), .same(try status("link")), .links(2))
        try expect(.linkat("link", "z", flags: AT_SYMLINK_FOLLOW))
        try expect("z", .kind(.regular), .same(try status("x")), .links(2))
        try expect(.symlink("none", "dangling"))
        try expect(.link("dangling", "w"))
        try expect(.linkat("dangling", "v", flags: AT_SYMLINK_FOLLOW), .ENOENT)
    },
    Check("link/failure-changes-nothing", "link(2): a link that is refused leaves times and counts") {
        try make(.directory, "d", mode: 0o555, owner: .owner)
        try make(.regular, "x", owner: .owner)
        try expect(.link("x", "d/y"), .EACCES, by: .owner, moves: [("x", .none), ("d", .none)])
        try expect("x", .links(1))
    },
    Check("link/many", "link(2): some hundreds of names of one file; EMLINK only beyond") {
        try make(.regular, "x")
        for number in 2...300 {
            do throws(Errno) { _ = try Call.link("x", "x\(number)")() } catch .EMLINK {
                return try expect("x", .links(number - 1))
            } catch {
                throw Failure("link(x, x\(number)) gave \(name(of: error)), expected success or EMLINK")
            }
        }
        try expect("x", .links(300))
        for number in 2...300 { discard("x\(number)") }
        try expect("x", .links(1))
    },
    Check("link/other-file-system", "EXDEV: both names have to be on one file system") {
        try make(.regular, "x")
        let other = try otherFileSystem()
        try expect(.link("x", other), .EXDEV)
        try expect("x", .links(1))
    },
    Check(
        "link/of-an-open-file",
        "linkat(2): a file is linked by its descriptor, and not when it has no name left"
    ) {
        try make(file: "x", holding: [1])
        try opened("x", O_RDONLY) { file in
            let path: Path = "/proc/self/fd/\(file)"
            try expect(.linkat(path, "y", flags: AT_SYMLINK_FOLLOW))
            try expect("y", .links(2))
            discard("x", "y")
            try expect(file, .links(0))
            try expect(.linkat(path, "z", flags: AT_SYMLINK_FOLLOW), .ENOENT)
        }
    },
]

/// A name that is not there, on another file system than the check's.
func otherFileSystem() throws -> Path {
    let here = try status(".").device
    for directory: Path in ["/dev/shm", "/tmp", "/run", "/dev"] {
        guard let there = try? status(directory), there.device != here,
            (try? Call.access(directory, W_OK)()) != nil
        else { continue }
        return directory / "conformance.elsewhere.\(getpid())"
    }
    throw Unsupported("no other file system to write to")
}
