// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

private func seenNames() throws -> Set<Path> {
    do throws(Errno) { return Set(try names(in: ".")) } catch {
        throw Failure("listing the directory gave \(name(of: error)), expected success")
    }
}

let nameChecks: [Check] = [
    Check("names/length", "path_resolution(7): 255 bytes are a name, 256 are ENAMETOOLONG", needs: []) {
        let (longest, tooLong) = (Path.name(byteCount: 255), Path.name(byteCount: 256))
        try expect(.open(longest, O_WRONLY | O_CREAT))
        try expect("the directory", gives: [longest], try seenNames())
        try expect(.lstat(longest))
        for call in [
            Call.open(tooLong, O_WRONLY | O_CREAT), .lstat(tooLong), .mkdir(tooLong), .unlink(tooLong),
            .rename(longest, tooLong), .link(longest, tooLong), .symlink("x", tooLong),
        ] { try expect(call, .ENAMETOOLONG) }
    },
    Check("names/every-byte", "path_resolution(7): every byte but NUL and slash may be in a name", needs: [])
    {
        var made: Set<Path> = []
        for byte in UInt8(1)...255 where byte != UInt8(ascii: "/") {
            let path = Path([UInt8(ascii: "a"), byte, UInt8(ascii: "z")])
            try store("\(byte)", in: path)
            made.insert(path)
        }
        try expect(try seenNames() == made, "the directory has other names")
        for path in made { try expect(path, holds: "\(path.bytes[1])") }
    },
    Check("names/any-encoding", "path_resolution(7): names are bytes, not text", needs: []) {
        let made: [[UInt8]] = [
            Array("Ünïcödé-日本-🙂".utf8), Array("é".utf8), Array("e\u{301}".utf8), [0xFF, 0xFE], [0xC3],
            [0xED, 0xA0, 0x80],
            Array(" leading and trailing ".utf8), Array("-rf".utf8), Array("...".utf8), [10], [0x1B, 0x5B],
        ]
        for bytes in made { try expect(.mkdir(Path(bytes))) }
        try expect(try seenNames() == Set(made.map { Path($0) }), "the directory has other names")
    },
    Check("names/case-matters", "path_resolution(7): large and small letters differ", needs: []) {
        try store("small", in: "name")
        try store("large", in: "NAME")
        try expect("name", holds: "small")
        try expect("NAME", holds: "large")
        try expect(.lstat("Name"), .ENOENT)
    },
    Check("names/missing-then-made", "a name that was missing is found as soon as it is made", needs: []) {
        for round in 0..<20 {
            try expect(.lstat("f"), .ENOENT)
            try expect(.open("f", O_RDONLY), .ENOENT)
            try store("\(round)", in: "f")
            try expect("f", holds: "\(round)")
            try expect(.unlink("f"))
        }
    },
    Check("names/deep", "path_resolution(7): a path of many components", needs: []) {
        var path: Path = "d"
        for _ in 0..<100 {
            try expect(.mkdir(path))
            path = path / "d"
        }
        try store("deep", in: path)
        try expect(path, holds: "deep")
        try expect("d/../" + path, holds: "deep")
    },
]

private func + (prefix: Path, path: Path) -> Path { Path(prefix.bytes + path.bytes) }

private func target(of path: Path, room: Int = 8192) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: room)
    let count = try result(of: "readlink(\(path))") { () throws(Errno) in
        try systemCall { () -> Int in unsafe path.withPointer { unsafe readlink($0, &bytes, room) } }
    }
    return Array(bytes.prefix(count))
}

let symbolicLinkChecks: [Check] = [
    Check("symlinks/any-target", "symlink(2): the target is any bytes, there or not", needs: []) {
        let targets =
            ["x", "/absolute/path", "..", "no such name", "a//b/./c/"].map { Array($0.utf8) } + [
                [0xFF, 10, 0x20]
            ]
        for bytes in targets {
            try expect(.symlink(Path(bytes), "link"))
            try expect("readlink", gives: bytes, try target(of: "link"))
            try expect("link", .kind(.symbolicLink), .size(bytes.count), .mode(0o777))
            try expect(.unlink("link"))
        }
        try expect(.symlink("", "link"), .ENOENT)
    },
    Check("symlinks/longest-target", "symlink(2): 4095 bytes are a target, 4096 are ENAMETOOLONG", needs: [])
    {
        let longest = Path.roundabout(to: "f", byteCount: 4095)
        try store("data", in: "f")
        // Some file systems have less room: that is theirs to say.
        do throws(Errno) { _ = try Call.symlink(longest, "link")() } catch {
            if error == .ENAMETOOLONG || error == .ENOSPC {
                throw Unsupported("no targets of 4095 bytes here")
            }
            throw Failure("symlink of 4095 bytes gave \(name(of: error))")
        }
        try expect(try target(of: "link") == longest.bytes, "readlink gave another target")
        try expect("link", .size(4095))
        try expect("link", holds: "data")
        try expect(.symlink(Path.roundabout(to: "f", byteCount: 4096), "link2"), .ENAMETOOLONG)
    },
    Check("symlinks/short-buffer", "readlink(2): cuts what does not fit", needs: []) {
        try expect(.symlink("0123456789", "link"))
        try expect("readlink", gives: Array("0123".utf8), try target(of: "link", room: 4))
        let nothing = Call("readlink(link, 0 bytes)") {
            var byte: CChar = 0
            return Int32(clamping: unsafe readlink("link", &byte, 0))
        }
        try expect(nothing, .EINVAL)
        try store("", in: "f")
        let file = Call("readlink(f)") {
            var byte: CChar = 0
            return Int32(clamping: unsafe readlink("f", &byte, 1))
        }
        try expect(file, .EINVAL)
    },
    Check("symlinks/followed", "path_resolution(7): in each place, forty of them at most", needs: []) {
        try make(.directory, "d")
        try store("data", in: "d/f")
        try expect(.symlink("d", "way"))
        try expect("way/f", holds: "data")
        try expect(.symlink("way/f", "link0"))
        for number in 1..<38 { try expect(.symlink("link\(number - 1)", "link\(number)")) }
        try expect("link37", holds: "data")
        for number in 38..<50 { try expect(.symlink("link\(number - 1)", "link\(number)")) }
        try expect(.stat("link49"), .ELOOP)
        try expect(.symlink("self", "self"))
        try expect(.stat("self"), .ELOOP)
    },
    Check("symlinks/change-of-target", "a link made anew leads to its new target at once", needs: []) {
        try store("one", in: "1")
        try store("two", in: "2")
        for round in 0..<10 {
            let target: Path = round % 2 == 0 ? "1" : "2"
            try expect(.symlink(target, "new"))
            try expect(.rename("new", "link"))
            try expect("link", holds: round % 2 == 0 ? "one" : "two")
        }
    },
]
