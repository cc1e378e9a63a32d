// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Each class of users, and where its bits are.
private let classes: [(user: User, shift: UInt32)] = [(.owner, 6), (.member, 3), (.stranger, 0)]

/// Its bits are `bits`; both other classes have the opposite.
private func onlyFor(_ shift: UInt32, _ bits: UInt32) -> UInt32 {
    let others: UInt32 = (7 - bits) * 0o111
    return others & ~(7 << shift) | bits << shift
}

private let errorUnless: @Sendable (Bool) -> Errno? = { $0 ? nil : .EACCES }

let permissionChecks: [Check] = [
    Check("permission/file", "path_resolution(7): the bits of one class alone decide about a file") {
        try make(.regular, "f", owner: .owner)
        for (user, shift) in classes {
            for bits in UInt32(0)..<8 {
                try expect(.chmod("f", onlyFor(shift, bits)))
                try by(user) {
                    let (read, write) = (bits & 4 != 0, bits & 2 != 0)
                    try expect(.open("f", O_RDONLY), errorUnless(read))
                    try expect(.open("f", O_WRONLY), errorUnless(write))
                    try expect(.open("f", O_RDWR), errorUnless(read && write))
                    try expect(.open("f", O_WRONLY | O_TRUNC), errorUnless(write))
                    try expect(.truncate("f", 0), errorUnless(write))
                    try expect(.access("f", R_OK), errorUnless(read))
                    try expect(.access("f", W_OK), errorUnless(write))
                    try expect(.access("f", X_OK), errorUnless(bits & 1 != 0))
                    try expect(.stat("f"))
                }
            }
        }
    },
    Check("permission/directory", "path_resolution(7): r lists, x searches, w with x makes and removes names")
    {
        try make(.directory, "d", owner: .owner)
        try make(.regular, "d/there", mode: 0o666)
        for (user, shift) in classes {
            for bits in UInt32(0)..<8 {
                try expect(.chmod("d", onlyFor(shift, bits)))
                try by(user) {
                    let search = bits & 1 != 0
                    let change = bits & 3 == 3
                    try expect(.open("d", O_RDONLY | O_DIRECTORY), errorUnless(bits & 4 != 0))
                    try expect(.stat("d/there"), errorUnless(search))
                    try expect(.open("d/there", O_RDWR), errorUnless(search))
                    try expect(.chdir("d"), errorUnless(search))
                    if search { try expect(.chdir("..")) }
                    try expect(.stat("d/missing"), search ? .ENOENT : .EACCES)
                    try expect(.open("d/new", O_WRONLY | O_CREAT), errorUnless(change))
                    try expect(.mkdir("d/sub"), errorUnless(change))
                    try expect(.rename("d/there", "d/there2"), errorUnless(change))
                    guard change else { return }
                    try expect(.rename("d/there2", "d/there"))
                    try expect(.unlink("d/new"))
                    try expect(.rmdir("d/sub"))
                }
            }
        }
    },
    Check("permission/lists-without-search", "path_resolution(7): r without x gives names and nothing else") {
        try make(.directory, "d", owner: .owner)
        try make(.regular, "d/a", owner: .owner)
        try expect(.chmod("d", 0o754))
        try by(.stranger) {
            let seen: [Path]
            do throws(Errno) { seen = try names(in: "d") } catch {
                throw Failure("listing d gave \(name(of: error)), expected success")
            }
            try expect("readdir(d)", gives: ["a"], seen)
            try expect(.stat("d/a"), .EACCES)
        }
    },
    Check("permission/supplementary-groups", "credentials(7): every group of the caller counts") {
        try make(.regular, "f", mode: 0o640, owner: .owner)
        try expect(.open("f", O_RDONLY), by: User.stranger.with(groups: [5001, 4001, 5002]))
        try expect(.open("f", O_RDONLY), .EACCES, by: User.stranger.with(groups: [5001, 5002]))
        try expect(.open("f", O_WRONLY), .EACCES, by: User.stranger.with(groups: [4001]))
        try expect(.open("f", O_RDONLY), .EACCES, by: .stranger)
        try make(.directory, "d", mode: 0o730, owner: .owner)
        try expect(.open("d/x", O_WRONLY | O_CREAT), by: User.stranger.with(groups: [4001]))
        try expect(.open("d/y", O_WRONLY | O_CREAT), .EACCES, by: .stranger)
    },
    Check("permission/many-groups", "credentials(7): also the last of thirty-two groups counts") {
        try make(.regular, "f", mode: 0o040, owner: .owner)
        let groups = (1...31).map { UInt32(6000 + $0) }
        try expect(.open("f", O_RDONLY), by: User.stranger.with(groups: groups + [4001]))
        try expect(.open("f", O_RDONLY), .EACCES, by: User.stranger.with(groups: groups))
    },
    Check(
        "permission/access-uses-real-ids", "access(2): asks for the real ids, open(2) for the effective ones"
    ) {
        try make(.regular, "f", mode: 0o600)
        try by(.root) {
            _ = try result(of: "setresuid(4002, 0, 0)") { () throws(Errno) in
                Int(try systemCall { vfs_setresuid_thread(4002, 0, 0) })
            }
            let asked = Call("access(f, R_OK)") { unsafe Glibc.access("f", R_OK) }
            try expect(asked, .EACCES)
            try expect(.open("f", O_RDWR))
            _ = try result(of: "setresuid(0, 0, 0)") { () throws(Errno) in
                Int(try systemCall { vfs_setresuid_thread(0, 0, 0) })
            }
            try expect(asked)
        }
    },
    Check("permission/root", "capabilities(7): CAP_DAC_OVERRIDE reads, writes and searches everything") {
        try make(.regular, "f", mode: 0, owner: .owner)
        try expect(.open("f", O_RDWR))
        try make(.directory, "d", mode: 0, owner: .owner)
        try expect(.open("d/x", O_WRONLY | O_CREAT))
        try expect(.open("d", O_RDONLY | O_DIRECTORY))
        try expect(.access("f", R_OK | W_OK))
    },
    Check("permission/root-executes", "capabilities(7): root executes what somebody may execute") {
        for (mode, can) in [
            (0o644 as UInt32, false), (0o600, false), (0o100, true), (0o010, true), (0o001, true),
        ] {
            try make(.regular, "f", mode: mode, owner: .owner)
            try expect(.access("f", X_OK), errorUnless(can))
            try expect(.unlink("f"))
        }
    },
    Check("permission/open-file-stays-open", "open(2): permissions are asked once, when a file is opened") {
        try make(.regular, "f", mode: 0o600, owner: .owner)
        try by(.owner) {
            let file = try OpenFile("f", O_RDWR)
            try expect(.chmod("f", 0))
            try file.write("still", at: 0)
            try expect("read", gives: "still", try file.readText(at: 0))
            try file.truncate(2)
            try expect(.open("f", O_RDONLY), .EACCES)
            file.close()
        }
    },
    Check("permission/create-without-mode", "open(2): who makes a file may use it whatever its mode is") {
        try by(.owner) {
            let file = try OpenFile("f", O_RDWR | O_CREAT | O_EXCL, mode: 0)
            try file.write("mine", at: 0)
            try expect("read", gives: "mine", try file.readText(at: 0))
            try expect(file.number, .mode(0))
            file.close()
            try expect(.open("f", O_RDONLY), .EACCES)
        }
    },
]
