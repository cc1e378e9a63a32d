// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Guest
import HostOS

extension HostileCase {
    private static let wrongNames: [(String, [UInt8])] = [
        ("\"\"", [0]), ("\".\"", Array(".\0".utf8)), ("\"..\"", Array("..\0".utf8)),
        ("a/b", Array("d/new\0".utf8)),
        ("an absolute path", Array("/tmp/hostile-name\0".utf8)), ("../x", Array("../x\0".utf8)),
        ("256 bytes", [UInt8](repeating: 0x61, count: 256) + [0]), ("a NUL inside", Array("a\0b\0".utf8)),
        ("no NUL", Array("a".utf8)),
    ]

    /// GHSA-2gv2-cffp-j227, and every "../" of 9p.
    static let t06 = HostileCase(
        name: "T06", title: "a name is one component: everything else is refused before any system call"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent)
        try rig.write("file", "x")
        try rig.makeDirectory("d")
        try rig.write("../outside/victim", "x")
        var current: FuseClient?
        try rig.start()
        var before = try rig.surroundings()
        /// Argument structs of `size` bytes whose first field names the root, and what follows.
        func fixed(_ size: Int, directory: Bool = false) -> [UInt8] {
            directory
                ? wireBytes(of: UInt64(1)) + [UInt8](repeating: 0, count: size - 8)
                : [UInt8](repeating: 0, count: size)
        }
        let good = Array("file\0".utf8)
        func requests(_ bad: [UInt8]) -> [(Opcode, [UInt8])] {
            [
                (.mknod, wireBytes(of: UInt32(S_IFREG | 0o644)) + fixed(12) + bad), (.mkdir, fixed(8) + bad),
                (.symlink, bad + Array("target\0".utf8)), (.link, fixed(8, directory: true) + bad),
                (.unlink, bad), (.rmdir, bad), (.rename, fixed(8, directory: true) + good + bad),
                (.rename, fixed(8, directory: true) + bad + Array("in\0".utf8)),
                (.rename2, fixed(16, directory: true) + good + bad),
                (
                    .create,
                    wireBytes(of: UInt32(O_RDWR | O_CREAT)) + wireBytes(of: UInt32(0o100644)) + fixed(8) + bad
                ),
                (.lookup, bad),
            ]
        }
        for (what, bad) in wrongNames {
            for (opcode, arguments) in requests(bad) {
                // For those a guest that exports its mount has a use; what they find is T20's.
                if opcode == .lookup, bad == [0x2e, 0] || bad == [0x2e, 0x2e, 0] { continue }
                var request = FuseRequest(opcode, .root)
                request.arguments = arguments
                request.replyBodyByteCount = 256
                if current == nil { current = try rig.guest() }
                guard let guest = current else { return }
                var ended = false
                verdict.expectRefusal(of: "\(opcode) of \(what)", .EINVAL, .ENAMETOOLONG) {
                    do { try guest.call(request) } catch {
                        ended = error.meansDeath
                        throw error
                    }
                }
                if ended { current = nil }
                let now = try rig.surroundings()
                if now != before {
                    verdict.fail("\(opcode) of \(what) touches what is outside the share", isGrave: true)
                }
                before = now
            }
        }
        // The name of a TMPFILE names nothing.
        var temporary = FuseRequest(.tmpfile, .root, CreateIn())
        temporary.append(name: "../x".utf8)
        temporary.replyBodyByteCount = 256
        _ = try? current?.call(temporary)
        let after = try rig.surroundings()
        verdict.expect(after == before, else: "something outside the share was made, moved or removed")
        verdict.expect(access("/tmp/hostile-name", F_OK) != 0, else: "an absolute path was followed")
        unlink("/tmp/hostile-name")
        rmdir("/tmp/hostile-name")
    }

    static let t08 = HostileCase(name: "T08", title: "names are bytes, not text") { opponent, verdict in
        let rig = try HostileRig(opponent, ["--xattr"])
        let guest = try rig.guest()
        let bytes: [UInt8] = [0xff, 0xfe, 0x80, 0x61]
        verdict.expectSuccess(of: "CREATE, LOOKUP and RENAME of a name that is no UTF-8") {
            let made = try guest.create(.root, bytes, flags: Open.readWrite)
            _ = try guest.lookup(.root, bytes)
            try guest.rename(.root, bytes, to: .root, bytes.reversed())
            try guest.setxattr(made.entry.node, Array("user.".utf8) + bytes, bytes)
            let value = try guest.getxattr(made.entry.node, Array("user.".utf8) + bytes)
            verdict.expect(value == bytes, else: "the value of an attribute is another")
        }
        verdict.expectSuccess(of: "a request after that") { try guest.getattr(.root) }
    }

    /// Servers that follow an image's links: a tree that was made to lead elsewhere.
    static let t14 = HostileCase(
        name: "T14", title: "a tree full of links that lead elsewhere leads nowhere"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent, ["--xattr"])
        try rig.makeDirectory("d")
        for (name, target) in [
            ("up", "../outside"), ("secret", "../outside/secret"), ("all", "/"), ("own", "d"),
        ] {
            symlink(target, rig.path(name))
        }
        let before = try rig.surroundings()
        let guest = try rig.guest()
        for name in ["up", "secret", "all", "own"] {
            let link = try guest.lookup(.root, name.utf8)
            verdict.expect(
                link.attributes.mode & UInt32(S_IFMT) == UInt32(S_IFLNK),
                else: "LOOKUP follows the link \(name)")
            verdict.expectRefusal(of: "LOOKUP below the link \(name)") {
                try guest.lookup(link.node, "secret".utf8)
            }
            verdict.expectRefusal(of: "MKDIR below the link \(name)") { try guest.mkdir(link.node, "x".utf8) }
            verdict.expectRefusal(of: "CREATE below the link \(name)") {
                try guest.create(link.node, "x".utf8, flags: Open.readWrite)
            }
            verdict.expectRefusal(of: "OPEN of the link \(name)") {
                try guest.open(link.node, flags: Open.read)
            }
            verdict.expectRefusal(of: "OPENDIR of the link \(name)") { try guest.opendir(link.node) }
            verdict.expectRefusal(of: "truncating the link \(name)") { try guest.truncate(link.node, to: 0) }
            verdict.expectRefusal(of: "CREATE over the link \(name)") {
                try guest.create(.root, name.utf8, flags: Open.readWrite)
            }
        }
        // A directory that becomes a link after the guest has seen it.
        let directory = try guest.lookup(.root, "d".utf8)
        rmdir(rig.path("d"))
        symlink("../outside", rig.path("d"))
        verdict.expectRefusal(of: "LOOKUP in a directory that became a link") {
            try guest.lookup(directory.node, "secret".utf8)
        }
        verdict.expectRefusal(of: "CREATE in a directory that became a link") {
            try guest.create(directory.node, "x".utf8, flags: Open.readWrite)
        }
        let after = try rig.surroundings()
        verdict.expect(after == before, else: "something outside the share was touched")
    }
}
