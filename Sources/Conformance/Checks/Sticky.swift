// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Sticky directories, inode(7): a name goes only by the hand of the object's owner, the directory's owner, or root.
let stickyChecks: [Check] = [
    Check("unlink/sticky", "EPERM: the directory is sticky and neither it nor the file is the caller's") {
        try everyOwner(of: [.regular, .fifo, .block, .socket, .symbolicLink]) { row in
            try make(row.kind, "d/x", owner: row.object)
            try row.expect(.unlink("d/x"))
        }
    },
    Check(
        "rmdir/sticky",
        "EPERM: the directory is sticky and neither it nor the one to be removed is the caller's"
    ) {
        try everyOwner(of: [.directory]) { row in
            try make(.directory, "d/x", owner: row.object)
            try row.expect(.rmdir("d/x"))
        }
    },
    Check("rename/sticky-source", "EPERM: a name leaves a sticky directory only by its owners' hands") {
        try everyOwner(of: [.regular, .fifo, .character, .socket, .symbolicLink]) { row in
            try make(row.kind, "d/x", owner: row.object)
            try row.expect(.rename("d/x", "d/y"))
            discard("d/x", "d/y")
            try make(row.kind, "d/x", owner: row.object)
            try row.expect(.rename("d/x", "new"))
            discard("new")
        }
    },
    Check(
        "rename/sticky-source-directory", "EPERM: the same for directories, which stay writable to the mover"
    ) {
        try everyOwner(of: [.directory]) { row in
            try make(.directory, "d/x", mode: 0o777, owner: row.object)
            try row.expect(.rename("d/x", "d/y"))
            discard("d/x", "d/y")
            try make(.directory, "d/x", mode: 0o777, owner: row.object)
            try row.expect(.rename("d/x", "new"))
            discard("new")
        }
    },
    Check("rename/sticky-target", "EPERM: a name in a sticky directory is replaced only by its owners' hands")
    {
        try everyOwner(of: [.regular, .fifo, .socket, .symbolicLink]) { row in
            try make(row.kind, "d/x", owner: row.object)
            try make(.regular, "source", owner: row.caller)
            try row.expect(.rename("source", "d/x"))
            discard("source")
        }
    },
    Check("rename/sticky-target-directory", "EPERM: the same for an empty directory that is replaced") {
        try everyOwner(of: [.directory]) { row in
            try make(.directory, "d/x", owner: row.object)
            try make(.directory, "source", mode: 0o777, owner: row.caller)
            try row.expect(.rename("source", "d/x"))
            discard("source")
        }
    },
    Check("link/sticky", "link(2): new names may be made in a sticky directory by all who can write it") {
        try make(.directory, "d", mode: 0o1777, owner: .owner)
        try make(.regular, "x", owner: .stranger)
        try expect(.link("x", "d/x"), by: .stranger)
        try expect(.unlink("d/x"), by: .stranger)
    },
]

/// One combination of a sticky directory's owner, an object's owner in it, and a caller.
private struct Row {
    let kind: Kind
    let directory: User
    let object: User
    let caller: User

    var allowed: Bool { caller.uid == 0 || caller.uid == object.uid || caller.uid == directory.uid }

    func expect(_ call: Call) throws {
        try when("a \(kind.rawValue) of \(object.name) in a sticky directory of \(directory.name)") {
            try Conformance.expect(call, allowed ? nil : .EPERM, by: caller)
        }
    }
}

/// Runs `body` for each row, in which "d" is the sticky directory and everything is writable to everyone.
private func everyOwner(of kinds: [Kind], _ body: (Row) throws -> Void) throws {
    let users = [User.root, .owner, .stranger]
    for kind in kinds {
        for directory in users {
            try make(.directory, "d", mode: 0o1777, owner: directory)
            for object in users {
                for caller in users {
                    try body(Row(kind: kind, directory: directory, object: object, caller: caller))
                    discard("d/x", "d/y")
                }
            }
            discard("d")
        }
    }
}
