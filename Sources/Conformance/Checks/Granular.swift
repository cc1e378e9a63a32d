// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Rights that go beyond the mode: POSIX access control lists, as acl(5) has them.
let granularChecks: [Check] = [
    list("granular/named-user", "a named user has what his entry and the mask both give") {
        try make(file: "x", holding: [1], mode: 0o600, owner: .owner)
        try expect(.open("x", O_RDONLY), .EACCES, by: .stranger)
        try expect(.setList("x", AccessList(owner: 6, users: [4002: 4], group: 0, mask: 4, other: 0)))
        try expect(.open("x", O_RDONLY), by: .stranger)
        try expect(.open("x", O_WRONLY), .EACCES, by: .stranger)
        try expect(.open("x", O_RDONLY), .EACCES, by: .member)
        try expect(.setList("x", AccessList(owner: 6, users: [4002: 6], group: 0, mask: 6, other: 0)))
        try expect(.open("x", O_RDWR), by: .stranger)
        try expect(.setList("x", AccessList(owner: 6, users: [4002: 6], group: 0, mask: 2, other: 6)))
        try expect(.open("x", O_RDONLY), .EACCES, by: .stranger)
        try expect(.open("x", O_WRONLY), by: .stranger)
    },
    list("granular/named-group", "a member of a named group has what that entry and the mask both give") {
        try make(file: "x", holding: [1], mode: 0o600, owner: .owner)
        let user = User.stranger.with(groups: [5001])
        try expect(.setList("x", AccessList(owner: 6, group: 0, groups: [5001: 4], mask: 7, other: 0)))
        try expect(.open("x", O_RDONLY), by: user)
        try expect(.open("x", O_WRONLY), .EACCES, by: user)
        try expect(.open("x", O_RDONLY), .EACCES, by: .stranger)
        try expect(.setList("x", AccessList(owner: 6, group: 0, groups: [5001: 0], mask: 7, other: 6)))
        try expect(.open("x", O_RDONLY), .EACCES, by: user)
        try expect(.open("x", O_RDONLY), by: .stranger)
    },
    list("granular/owning-group", "the owning group's entry is limited by the mask, the owner's is not") {
        try make(.regular, "x", mode: 0o660, owner: .owner)
        try expect(.setList("x", AccessList(owner: 6, users: [4999: 7], group: 6, mask: 4, other: 0)))
        try expect(.open("x", O_RDONLY), by: .member)
        try expect(.open("x", O_WRONLY), .EACCES, by: .member)
        try expect(.open("x", O_RDWR), by: .owner)
    },
    list("granular/mask-is-the-group-bits", "the mode's group bits show the mask, and chmod(2) sets it") {
        try make(.regular, "x", mode: 0o600, owner: .owner)
        try expect(.setList("x", AccessList(owner: 6, users: [4002: 6], group: 0, mask: 6, other: 0)))
        try expect("x", .mode(0o660))
        try expect(.chmod("x", 0o640), by: .owner)
        try expect(.open("x", O_RDONLY), by: .stranger)
        try expect(.open("x", O_WRONLY), .EACCES, by: .stranger)
        let limited = AccessList(owner: 6, users: [4002: 6], group: 0, mask: 4, other: 0)
        try expect("the list after chmod", gives: limited.bytes, try attribute("x", AccessList.access))
    },
    list(
        "granular/mode-follows-the-list", "setting a list sets the mode; one of three entries is only a mode"
    ) {
        try make(.regular, "x", mode: 0o644, owner: .owner)
        try expect(.setList("x", AccessList(owner: 7, group: 5, other: 1)), moves: [("x", .change)])
        try expect("x", .mode(0o751))
        try expect("the list", gives: nil, try attribute("x", AccessList.access))
    },
    list("granular/owner-and-root-only", "EPERM: only the owner and root set a list") {
        try make(.regular, "x", mode: 0o666, owner: .owner)
        let change = Call.setList("x", AccessList(owner: 6, users: [4002: 7], group: 6, mask: 7, other: 6))
        for user in [User.stranger, .member] { try expect(change, .EPERM, by: user) }
        try expect("x", .mode(0o666))
        try expect(change, by: .owner)
        try expect("x", .mode(0o676))
    },
    list("granular/invalid", "EINVAL: a list that names users has a mask") {
        try make(.regular, "x")
        try expect(.setList("x", AccessList(owner: 6, users: [4002: 7], group: 6, other: 6)), .EINVAL)
        try expect("x", .mode(0o644))
    },
    list("granular/directory-write", "write in a directory's list allows making and removing names") {
        try make(.directory, "d", mode: 0o755, owner: .owner)
        try expect(.mkdir("d/x"), .EACCES, by: .stranger)
        try expect(.setList("d", AccessList(owner: 7, users: [4002: 7], group: 5, mask: 7, other: 5)))
        for kind in [Kind.regular, .directory, .fifo, .socket, .symbolicLink] {
            try expect(kind.making("d/x"), by: .stranger)
            try expect(.rename("d/x", "d/y"), by: .stranger)
            try expect(kind == .directory ? .rmdir("d/y") : .unlink("d/y"), by: .stranger)
            try expect(kind.making("d/x"), .EACCES, by: .member)
        }
    },
    list("granular/directory-search", "search in a directory's list lets paths lead through it") {
        try make(.directory, "d", mode: 0o700, owner: .owner)
        try make(.regular, "d/x", mode: 0o666)
        try expect(.stat("d/x"), .EACCES, by: .stranger)
        try expect(.setList("d", AccessList(owner: 7, users: [4002: 1], group: 0, mask: 1, other: 0)))
        try expect(.stat("d/x"), by: .stranger)
        try expect(.open("d", O_RDONLY | O_DIRECTORY), .EACCES, by: .stranger)
        try expect(.stat("d/x"), .EACCES, by: .member)
    },
    list(
        "granular/standard-list-for-files",
        "a directory's standard list takes the umask's place for new objects"
    ) {
        try make(.directory, "d", mode: 0o777)
        let standard = AccessList(owner: 7, users: [4002: 6], group: 5, mask: 7, other: 1)
        try expect(.setList("d", standard, as: AccessList.standard))
        for kind in [Kind.regular, .fifo, .socket] {
            try expect(kind.making("d/x", mode: 0o664), by: .owner.with(umask: 0o077))
            try when("a new \(kind.rawValue)") {
                try expect("d/x", .mode(0o660))
                let given = AccessList(owner: 6, users: [4002: 6], group: 5, mask: 6, other: 0)
                try expect("its list", gives: given.bytes, try attribute("d/x", AccessList.access))
            }
            discard("d/x")
        }
        try make(.directory, "plain", mode: 0o777)
        try expect(.setList("plain", AccessList(owner: 7, group: 5, other: 0), as: AccessList.standard))
        try expect(Kind.regular.making("plain/x", mode: 0o666), by: .owner.with(umask: 0o777))
        try expect("plain/x", .mode(0o640))
    },
    list("granular/standard-list-for-directories", "a new directory also hands the standard list on") {
        try make(.directory, "d", mode: 0o777)
        let standard = AccessList(owner: 7, users: [4002: 7], group: 5, mask: 7, other: 0)
        try expect(.setList("d", standard, as: AccessList.standard))
        try expect(.mkdir("d/e", 0o755), by: .owner.with(umask: 0o022))
        try expect("d/e", .mode(0o750))
        try expect(
            "the new directory's standard list", gives: standard.bytes,
            try attribute("d/e", AccessList.standard))
        try expect(.mkdir("d/e/f", 0o777), by: .owner)
        try expect(
            "the next one's standard list", gives: standard.bytes, try attribute("d/e/f", AccessList.standard)
        )
        try expect("d/e/f", .mode(0o770))
    },
    list("granular/standard-list-on-a-file", "EACCES: only directories have a standard list") {
        try make(.regular, "x")
        try expect(.setList("x", AccessList(owner: 7, group: 5, other: 0), as: AccessList.standard), .EACCES)
    },
    list("granular/sticky", "a list gives no right to remove others' files from a sticky directory") {
        try make(.directory, "d", mode: 0o1755, owner: .owner)
        try expect(.setList("d", AccessList(owner: 7, users: [4002: 7], group: 5, mask: 7, other: 5)))
        try make(.regular, "d/x", owner: .owner)
        try expect(.unlink("d/x"), .EPERM, by: .stranger)
        try expect(.rename("d/x", "d/y"), .EPERM, by: .stranger)
        try expect(.unlink("d/x"), by: .owner)
    },
    list("granular/set-group-id", "setting a list as a stranger to the file's group clears set-group-ID") {
        try make(.regular, "x", mode: 0o2755)
        try expect(.chown("x", 4001, 4002))
        try expect(.chmod("x", 0o2755))
        try expect(
            .setList("x", AccessList(owner: 7, users: [4003: 5], group: 5, mask: 5, other: 5)), by: .owner)
        try expect("x", .mode(0o755))
    },
]

private func list(_ name: String, _ statement: String, _ body: @escaping @Sendable () throws -> Void) -> Check
{
    Check(name, "acl(5): \(statement)", needs: [.root, .lists], body: body)
}
