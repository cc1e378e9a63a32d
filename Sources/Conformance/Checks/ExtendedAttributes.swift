// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// `flags`: XATTR_CREATE 1, XATTR_REPLACE 2. A link is not followed.
private func set(_ path: Path, _ attribute: String, _ value: [UInt8], _ flags: Int32 = 0) -> Call {
    Call("lsetxattr(\(path), \(attribute), \(value.count) bytes, \(flags))") {
        unsafe path.withPointer { unsafe lsetxattr($0, attribute, value, value.count, flags) }
    }
}

private func remove(_ path: Path, _ attribute: String) -> Call {
    Call("lremovexattr(\(path), \(attribute))") {
        unsafe path.withPointer { unsafe lremovexattr($0, attribute) }
    }
}

/// lgetxattr(2) with room for `count` bytes; gives the length as its result.
private func get(_ path: Path, _ attribute: String, room count: Int) -> Call {
    Call("lgetxattr(\(path), \(attribute), room for \(count))") {
        var value = [UInt8](repeating: 0, count: max(count, 1))
        return unsafe path.withPointer { unsafe Int32(clamping: lgetxattr($0, attribute, &value, count)) }
    }
}

private func list(_ path: Path) throws -> Set<String> {
    var bytes = [CChar](repeating: 0, count: 65536)
    let count = try result(of: "llistxattr(\(path))") { () throws(Errno) in
        try systemCall { () -> Int in unsafe path.withPointer { unsafe llistxattr($0, &bytes, bytes.count) } }
    }
    let names = bytes.prefix(count).map { UInt8(bitPattern: $0) }.split(separator: 0)
    return Set(names.map { String(decoding: $0, as: UTF8.self) })
}

private func length(_ call: Call) throws -> Int {
    try result(of: "\(call)") { () throws(Errno) in Int(try call()) }
}

/// A file for everybody with an attribute that only root may use.
private func makeTrusted(_ file: Path) throws {
    try make(.regular, file, mode: 0o666)
    let call = set(file, "trusted.t", [1])
    do throws(Errno) { _ = try call() } catch {
        if error == .EOPNOTSUPP || error == .EPERM { throw Unsupported("no trusted attributes here") }
        throw Failure("\(call) gave \(name(of: error)), expected success")
    }
}

private let needed: [Need] = [.root, .attributes]

let extendedAttributeChecks: [Check] = [
    Check("xattr/set-get-remove", "xattr(7): a user attribute of a file and of a directory", needs: needed) {
        for kind in [Kind.regular, .directory] {
            try make(kind, "x")
            try expect(set("x", "user.a", Array("value".utf8)))
            try expect("user.a", gives: Array("value".utf8), try attribute("x", "user.a"))
            try expect(set("x", "user.a", [0, 255, 10]))
            try expect("user.a", gives: [0, 255, 10], try attribute("x", "user.a"))
            try expect(remove("x", "user.a"))
            try expect("user.a", gives: nil, try attribute("x", "user.a"))
            try expect(remove("x", "user.a"), .ENODATA)
            try expect(kind == .directory ? .rmdir("x") : .unlink("x"))
        }
    },
    Check("xattr/create-and-replace", "setxattr(2): XATTR_CREATE and XATTR_REPLACE", needs: needed) {
        try make(.regular, "f")
        try expect(set("f", "user.a", [1], 2), .ENODATA)
        try expect(set("f", "user.a", [1], 1))
        try expect(set("f", "user.a", [2], 1), .EEXIST)
        try expect(set("f", "user.a", [3], 2))
        try expect("user.a", gives: [3], try attribute("f", "user.a"))
    },
    Check("xattr/sizes", "getxattr(2): room of 0 asks for the length, too little gives ERANGE", needs: needed)
    {
        try make(.regular, "f")
        try expect(set("f", "user.a", [1, 2, 3, 4, 5]))
        try expect("lgetxattr with no room", gives: 5, try length(get("f", "user.a", room: 0)))
        try expect(get("f", "user.a", room: 4), .ERANGE)
        try expect("lgetxattr with room", gives: 5, try length(get("f", "user.a", room: 5)))
        try expect("lgetxattr with more room", gives: 5, try length(get("f", "user.a", room: 500)))
        try expect(get("f", "user.b", room: 0), .ENODATA)
    },
    Check("xattr/empty-value", "setxattr(2): an attribute may have no value", needs: needed) {
        try make(.regular, "f")
        try expect(set("f", "user.empty", []))
        try expect("user.empty", gives: [], try attribute("f", "user.empty"))
        try expect(try list("f").contains("user.empty"), "it is not in the list")
    },
    Check("xattr/list", "listxattr(2): all names, each with its NUL", needs: needed) {
        try make(.regular, "f")
        let names = (0..<20).map { "user.name-\($0)" }
        for name in names { try expect(set("f", name, Array(name.utf8))) }
        try expect(try list("f").isSuperset(of: names), "names are missing in the list")
        try expect(remove("f", "user.name-7"))
        let left = try list("f").filter { $0.hasPrefix("user.") }
        try expect(
            left == Set(names).subtracting(["user.name-7"]), "the list after a removal: \(left.sorted())")
    },
    Check(
        "xattr/list-sizes", "listxattr(2): room of 0 asks for the length, too little gives ERANGE",
        needs: needed
    ) {
        try make(.regular, "f")
        try expect(set("f", "user.one", [1]))
        let asked = Call("listxattr(f, 0)") { Int32(clamping: unsafe listxattr("f", nil, 0)) }
        let count = try length(asked)
        try expect(count >= 9, "the list has \(count) bytes")
        let small = Call("listxattr(f, too little)") {
            var bytes = [CChar](repeating: 0, count: 4)
            return Int32(clamping: unsafe listxattr("f", &bytes, 4))
        }
        try expect(small, .ERANGE)
    },
    Check("xattr/large-value", "xattr(7): values of some thousand bytes", needs: needed) {
        try make(.regular, "f")
        let value = pattern(3000)
        try expect(set("f", "user.large", value))
        try expect(try attribute("f", "user.large") == value, "another value came back")
        try expect(set("f", "user.large", [UInt8](repeating: 1, count: 65537)), .E2BIG)
    },
    Check("xattr/names", "xattr(7): names of 255 bytes, with any byte", needs: needed) {
        try make(.regular, "f")
        let long = "user." + String(repeating: "n", count: 250)
        for name in [long, "user.with space", "user.Ünïcödé", "user.a.b.c", "user.="] {
            try expect(set("f", name, [7]))
            try expect("\(name)", gives: [7], try attribute("f", name))
            try expect(try list("f").contains(name), "\(name) is not in the list")
        }
        try expect(set("f", long + "n", [7]), .ERANGE)
        try expect(set("f", "user.", [7]), .EINVAL)
        try expect(set("f", "nonsense", [7]), .EOPNOTSUPP)
    },
    Check(
        "xattr/not-on-links-and-nodes", "xattr(7): user attributes of files and directories only",
        needs: needed
    ) {
        for kind in [Kind.symbolicLink, .fifo, .socket, .character] {
            try make(kind, "x")
            try expect(set("x", "user.a", [1]), .EPERM)
            try expect(.unlink("x"))
        }
    },
    Check("xattr/permissions", "xattr(7): user attributes need the file's permissions", needs: needed) {
        try make(.regular, "f", mode: 0o640, owner: .owner)
        try expect(set("f", "user.a", [1]), by: .owner)
        try by(.member) {
            try expect(get("f", "user.a", room: 10))
            try expect(set("f", "user.a", [2]), .EACCES)
        }
        try by(.stranger) { try expect(get("f", "user.a", room: 10), .EACCES) }
    },
    Check("xattr/trusted", "xattr(7): trusted attributes are for root alone", needs: needed) {
        try makeTrusted("f")
        try expect("trusted.t", gives: [1], try attribute("f", "trusted.t"))
        try by(.stranger) {
            try expect(get("f", "trusted.t", room: 10), .ENODATA)
            try expect(set("f", "trusted.u", [1]), .EPERM)
            try expect(try !list("f").contains("trusted.t"), "a stranger sees it in the list")
        }
    },
    Check("xattr/trusted-list", "xattr(7): root sees the names of trusted attributes", needs: needed) {
        try makeTrusted("f")
        try expect(try list("f").contains("trusted.t"), "root does not see it in the list")
    },
    Check(
        "xattr/stays-with-the-file", "xattr(7): attributes belong to the file, not to a name", needs: needed
    ) {
        try make(.regular, "f")
        try expect(set("f", "user.a", [1]))
        try expect(.link("f", "g"))
        try expect(.rename("f", "h"))
        try expect("g", gives: [1], try attribute("g", "user.a"))
        try expect(set("g", "user.a", [2]))
        try expect("h", gives: [2], try attribute("h", "user.a"))
        try expect(.unlink("g"))
        try expect(.unlink("h"))
        try make(.regular, "h")
        try expect("a new file", gives: nil, try attribute("h", "user.a"))
    },
    Check("xattr/by-descriptor", "fsetxattr(2): also of a removed open file", needs: needed) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try expect(.unlink("f"))
        try expect(Call("fsetxattr") { unsafe fsetxattr(file.number, "user.a", "v", 1, 0) })
        var byte: UInt8 = 0
        let count = unsafe fgetxattr(file.number, "user.a", &byte, 1)
        try expect(count == 1 && byte == UInt8(ascii: "v"), "fgetxattr gave \(count) bytes")
        file.close()
    },
    Check("xattr/moves-the-change-time", "inode(7): a set attribute moves the change time", needs: needed) {
        try make(.regular, "f")
        try expect(set("f", "user.a", [1]), moves: [("f", .change)])
        try expect(remove("f", "user.a"), moves: [("f", .change)])
    },
]
