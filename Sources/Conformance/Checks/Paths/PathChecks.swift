// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// What every call that takes a path does with paths that lead nowhere.
let pathChecks: [Check] =
    Taker.checks("prefix-is-no-directory", "ENOTDIR: a component of the path prefix is not a directory") {
        taker in
        for kind in Kind.withMode where kind != .directory {
            try make(kind, "file")
            try taker.arrange("other")
            try expect(taker.call("file/x"), .ENOTDIR)
            discard("file", "other")
        }
        // A link to a file is no directory either; the name behind it need not be there.
        try make(.regular, "file")
        try expect(.symlink("file", "link"))
        try taker.arrange("other")
        try expect(taker.call("link/x"), .ENOTDIR)
        discard("file", "link", "other")
    }
    + Taker.checks("name-length", "ENAMETOOLONG: a name has at most NAME_MAX (255) bytes") { taker in
        try taker.expectSuccess(.name(byteCount: 255))
        try taker.arrange("other")
        try expect(taker.call(.name(byteCount: 256)), .ENAMETOOLONG)
        try expect(taker.call(.name(byteCount: 256) / "x"), .ENAMETOOLONG)
        discard("other")
    }
    + Taker.checks("path-length", "ENAMETOOLONG: a path has at most PATH_MAX bytes, 4096 with its NUL") {
        taker in
        try taker.expectSuccess(.roundabout(to: "x", byteCount: 4095), arrangedAt: "x")
        try taker.arrange("x")
        try expect(taker.call(.roundabout(to: "x", byteCount: 4096)), .ENAMETOOLONG)
        discard("x")
    }
    + Taker.checks("missing", "ENOENT: a directory of the path does not exist, or the path is empty") {
        taker in
        try taker.arrange("other")
        try expect(taker.call("none/x"), .ENOENT)
        try expect(taker.call(""), .ENOENT)
        discard("other")
        try make(.symbolicLink, "dangling")
        try expect(taker.call("dangling/x"), .ENOENT)
        if case .existing = taker.last {
            try expect(taker.call("none"), .ENOENT)
            if taker.follows { try expect(taker.call("dangling"), .ENOENT) }
        }
        discard("dangling")
    }
    + Taker.checks("loop", "ELOOP: links that lead to each other, and more than 40 on the way", loops)
    + Taker.checks("bad-pointer", "EFAULT: the path points outside the address space") { taker in
        try taker.arrange("other")
        try expect(taker.call(.nowhere), .EFAULT)
        discard("other")
    }
    + Taker.checks("search-permission", "EACCES: search permission is denied for the path prefix") { taker in
        try expectAccess(taker, without: 1)
    }
    + Taker.checks(
        "write-permission", "EACCES: write permission is denied for the directory that changes",
        where: \.writesParent
    ) { taker in try expectAccess(taker, without: 2) }
    + Taker.checks("read-only", "EROFS: the file system is read-only", where: { $0.area != "open" }, readOnly)

@Sendable private func loops(_ taker: Taker) throws {
    try expect(.symlink("two", "one"))
    try expect(.symlink("one", "two"))
    try taker.arrange("other")
    try expect(taker.call("one/x"), .ELOOP)
    if taker.follows { try expect(taker.call("one"), .ELOOP) }
    // 41 links, of which the last leads to the directory.
    try make(.directory, "directory")
    for number in 0...40 {
        try expect(.symlink(number == 40 ? "directory" : "chain\(number + 1)", "chain\(number)"))
    }
    try expect(taker.call("chain0/x"), .ELOOP)
    discard("other")
    try onOneOfManyTries {
        try taker.expectSuccess("chain1/x")
    } tidyingUp: {
        discard("directory/x")
    }
    for number in 0...40 { discard("chain\(number)") }
    discard("one", "two", "directory")
}

/// A walk that Linux has to begin again, as when something is mounted somewhere meanwhile, counts the links of its first try too.
private func onOneOfManyTries(_ body: () throws -> Void, tidyingUp: () -> Void) throws {
    for _ in 0..<50 {
        do { return try body() } catch is Failure { tidyingUp() }
    }
    try body()
}

/// Denies one permission (1 search, 2 write) of the directory to each class of users in turn, all else being granted.
private func expectAccess(_ taker: Taker, without permission: UInt32) throws {
    for (user, shift) in [(User.owner, UInt32(6)), (.member, 3), (.stranger, 0)] {
        try make(.directory, "d", mode: 0o777, owner: .owner)
        try taker.arrange("d/x", owner: user)
        try expect(.chmod("d", 0o777 & ~(permission << shift)))
        try expect(taker.call("d/x"), .EACCES, by: user)
        // Each class has its own bits and no others.
        try expect(.chmod("d", 3 << shift))
        try expect(taker.call("d/x"), by: user)
        discard("d/x", "source", "new", "d")
    }
}

/// In a read-only bind mount that only the calling thread's namespace has.
@Sendable private func readOnly(_ taker: Taker) throws {
    try make(.directory, "ro")
    try taker.arrange("ro/x")
    try make(.regular, "ro/source")
    try inReadOnlyMount(of: "ro") {
        let call = taker.call("x")
        try expect(.chdir("ro"))
        try expect(call, .EROFS)
    }
    discard("ro/x", "ro/source", "ro")
}
