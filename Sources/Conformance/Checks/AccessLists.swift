// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

private let needed: [Need] = [.root, .lists]

let accessListChecks: [Check] = [
    Check("acl/named-user", "acl(5): an entry for a user grants that user alone", needs: needed) {
        try make(.regular, "f", mode: 0o600, owner: .owner)
        try expect(.setList("f", AccessList(owner: 6, users: [4002: 4], group: 0, mask: 7, other: 0)))
        try expect(.open("f", O_RDONLY), by: .stranger)
        try expect(.open("f", O_WRONLY), .EACCES, by: .stranger)
        try expect(.open("f", O_RDONLY), .EACCES, by: .member)
        try expect(.access("f", R_OK), by: .stranger)
    },
    Check("acl/named-group", "acl(5): an entry for a group grants its members", needs: needed) {
        try make(.regular, "f", mode: 0o600, owner: .owner)
        try expect(.setList("f", AccessList(owner: 6, group: 0, groups: [5001: 6], mask: 7, other: 0)))
        try expect(.open("f", O_RDWR), by: User.stranger.with(groups: [5001]))
        try expect(.open("f", O_RDONLY), .EACCES, by: .stranger)
    },
    Check("acl/mask-limits", "acl(5): the mask limits named entries and the group", needs: needed) {
        try make(.regular, "f", mode: 0o600, owner: .owner)
        try expect(.setList("f", AccessList(owner: 6, users: [4002: 6], group: 6, mask: 4, other: 0)))
        try expect(.open("f", O_RDONLY), by: .stranger)
        try expect(.open("f", O_WRONLY), .EACCES, by: .stranger)
        try expect(.open("f", O_WRONLY), .EACCES, by: .member)
        try expect(.open("f", O_WRONLY), by: .owner)
    },
    Check("acl/named-user-before-group-and-other", "acl(5): the first entry that fits decides", needs: needed)
    {
        try make(.regular, "f", mode: 0o666, owner: .owner)
        try expect(.setList("f", AccessList(owner: 6, users: [4003: 0], group: 6, mask: 6, other: 6)))
        try expect(.open("f", O_RDONLY), .EACCES, by: .member)
        try expect(.open("f", O_RDONLY), by: .stranger)
    },
    Check("acl/group-bits-show-the-mask", "acl(5): st_mode's group bits are the mask", needs: needed) {
        try make(.regular, "f", mode: 0o600, owner: .owner)
        try expect(.setList("f", AccessList(owner: 6, users: [4002: 7], group: 1, mask: 5, other: 0)))
        try expect("f", .mode(0o650))
    },
    Check(
        "acl/chmod-sets-the-mask", "acl(5): chmod(2) changes the mask and not the group's entry",
        needs: needed
    ) {
        try make(.regular, "f", mode: 0o600, owner: .owner)
        try expect(.setList("f", AccessList(owner: 6, users: [4002: 6], group: 4, mask: 6, other: 0)))
        try expect(.chmod("f", 0o640))
        let list = AccessList(owner: 6, users: [4002: 6], group: 4, mask: 4, other: 0)
        try expect("the list after chmod", gives: list.bytes, try attribute("f", AccessList.access))
        try expect(.open("f", O_WRONLY), .EACCES, by: .stranger)
        try expect(.chmod("f", 0o660))
        try expect(.open("f", O_RDWR), by: .stranger)
    },
    Check("acl/minimal-list-is-the-mode", "acl(5): a list of three entries is the mode itself", needs: needed)
    {
        try make(.regular, "f", mode: 0o600, owner: .owner)
        try expect(.setList("f", AccessList(owner: 6, users: [4002: 6], group: 4, mask: 6, other: 0)))
        try expect(.setList("f", AccessList(owner: 7, group: 5, other: 1)))
        try expect("f", .mode(0o751))
        try expect("the attribute", gives: nil, try attribute("f", AccessList.access))
        try expect(.open("f", O_WRONLY), .EACCES, by: .stranger)
    },
    Check(
        "acl/default-is-inherited", "acl(5): a directory's default list becomes that of what is made",
        needs: needed
    ) {
        try make(.directory, "d", mode: 0o777)
        let list = AccessList(owner: 7, users: [4002: 7], group: 5, mask: 7, other: 0)
        try expect(.setList("d", list, as: AccessList.standard))
        try by(User.owner.with(umask: 0o077)) {
            try expect(.open("d/f", O_WRONLY | O_CREAT, 0o666))
            try expect(.mkdir("d/s", 0o777))
        }
        let file = AccessList(owner: 6, users: [4002: 7], group: 5, mask: 6, other: 0)
        try expect("the file's list", gives: file.bytes, try attribute("d/f", AccessList.access))
        try expect("the file's default list", gives: nil, try attribute("d/f", AccessList.standard))
        try expect("d/f", .mode(0o660))
        try expect("the directory's list", gives: list.bytes, try attribute("d/s", AccessList.access))
        try expect("its default list", gives: list.bytes, try attribute("d/s", AccessList.standard))
        try expect("d/s", .mode(0o770))
        try expect(.open("d/f", O_RDWR), by: .stranger)
    },
    Check(
        "acl/default-takes-the-umasks-place", "acl(5): with a default list the umask is not used",
        needs: needed
    ) {
        try make(.directory, "d", mode: 0o777)
        try expect(.setList("d", AccessList(owner: 7, group: 7, other: 6), as: AccessList.standard))
        try by(User.owner.with(umask: 0o777)) {
            try expect(.open("d/f", O_WRONLY | O_CREAT, 0o664))
            try expect("d/f", .mode(0o664))
            try expect(.mkdir("d/s", 0o750))
            try expect("d/s", .mode(0o750))
            try expect(.mkfifo("d/p", 0o666))
            try expect("d/p", .mode(0o666))
        }
    },
    Check("acl/default-of-a-file", "acl(5): only directories have a default list", needs: needed) {
        try make(.regular, "f")
        let list = AccessList(owner: 7, group: 7, other: 7)
        try expect(.setList("f", list, as: AccessList.standard), .EACCES)
    },
    Check("acl/only-the-owner-sets-it", "acl(5): EPERM for everyone else", needs: needed) {
        try make(.regular, "f", mode: 0o666, owner: .owner)
        let list = AccessList(owner: 6, users: [4002: 7], group: 6, mask: 7, other: 6)
        try expect(.setList("f", list), .EPERM, by: .stranger)
        try expect(.setList("f", list), by: .owner)
    },
    Check("acl/refuses-nonsense", "acl(5): EINVAL for named entries without a mask", needs: needed) {
        try make(.regular, "f")
        try expect(.setList("f", AccessList(owner: 6, users: [4002: 7], group: 6, other: 6)), .EINVAL)
        try expect("f", .mode(0o644))
    },
    Check("acl/stays-with-the-file", "rename(2), link(2): the list belongs to the file", needs: needed) {
        try make(.regular, "f", mode: 0o600, owner: .owner)
        let list = AccessList(owner: 6, users: [4002: 4], group: 0, mask: 4, other: 0)
        try expect(.setList("f", list))
        try expect(.link("f", "g"))
        try expect(.rename("f", "h"))
        for path in ["g", "h"] as [Path] {
            try expect("the list of \(path)", gives: list.bytes, try attribute(path, AccessList.access))
        }
    },
    Check("acl/removal", "removexattr(2): without the attribute the mode is left", needs: needed) {
        try make(.regular, "f", mode: 0o600, owner: .owner)
        try expect(.setList("f", AccessList(owner: 6, users: [4002: 6], group: 0, mask: 6, other: 0)))
        try expect(Call("removexattr(f)") { unsafe removexattr("f", AccessList.access) })
        try expect("the attribute", gives: nil, try attribute("f", AccessList.access))
        try expect(.open("f", O_RDONLY), .EACCES, by: .stranger)
    },
]
