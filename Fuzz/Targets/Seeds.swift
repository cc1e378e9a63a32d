// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// An input to begin with: one that gets far.
package struct Seed: Sendable {
    package let name: String
    package let bytes: [UInt8]
}

/// What the files below Fuzz/seeds hold; `scripts/fuzz -s` writes them.
package enum Seeds {
    package static func of(_ target: String) -> [Seed] {
        switch target {
        case "fuse": sessions.map { Seed(name: $0.name, bytes: [UInt8](repeating: 0, count: 8) + $0.bytes) }
        case "hostfs":
            sessions.flatMap { session in
                // Of the first share all, of the others what they make different.
                (0..<8 as Range<UInt8>).filter {
                    let all = ["attributes", "hostile", "locks"]
                    let mapped = ["files", "mapping", "cutting", "refusing"]
                    return $0 == 0 || ($0 == 7 ? mapped : all).contains(session.name)
                }.map {
                    Seed(
                        name: "\(session.name)-\($0)",
                        bytes: [$0] + [UInt8](repeating: 0, count: 8) + session.bytes)
                }
            }
        case "ring": ring
        case "vhost": vhost
        case "vfio": vfio
        case "pci": pci
        case "options": options
        case "maps": maps
        default: []
        }
    }

    /// Requests after INIT.
    private static let sessions: [Seed] = [
        ("names", names), ("files", files), ("made", made), ("directories", directories),
        ("attributes", attributes), ("locks", locks), ("hostile", hostile), ("space", space), ("ends", ends),
        ("mapping", mapping), ("cutting", cutting), ("refusing", refusing),
    ].map { Seed(name: $0.0, bytes: $0.1.flatMap(\.encoded)) }

    static func text(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

    static func fields(_ values: any FixedWidthInteger...) -> [UInt8] {
        var bytes = FuzzBytes()
        func append<T: FixedWidthInteger>(_ value: T) { bytes.append(value) }
        for value in values { append(value) }
        return bytes.bytes
    }

    static func u32(_ values: UInt32...) -> [UInt8] { values.flatMap { fields($0) } }
    static func u64(_ values: UInt64...) -> [UInt8] { values.flatMap { fields($0) } }

    // Nodes are numbered as they become known: 0 is the root.

    private static let names: [RequestRecord] = [
        RequestRecord(.lookup, text("a")),  // 1
        RequestRecord(.lookup, text("b")),  // 2
        RequestRecord(.lookup, text("l")),  // 3
        RequestRecord(.readlink, node: 3),
        RequestRecord(.mkdir, u32(0o755, 0o022) + text("n")),  // 4
        RequestRecord(.mknod, node: 4, u32(0o010644, 0, 0o022, 0) + text("f")),  // 5
        RequestRecord(.symlink, node: 4, text("y") + text("../../outside")),  // 6
        RequestRecord(.link, node: 4, u64(1) + text("h")),
        RequestRecord(.rename, node: 4, u64(2) + text("h") + text("g")),
        RequestRecord(.rename2, node: 2, u64(0) + u32(2, 0) + text("g") + text("a")),
        RequestRecord(.lookup, node: 2, text("..")),
        RequestRecord(.lookup, node: 2, text(".")),
        RequestRecord(.unlink, node: 4, text("f")),
        RequestRecord(.unlink, node: 4, text("y")),
        RequestRecord(.rmdir, text("n")),
        RequestRecord(.forget, node: 1, u64(2)),
    ]

    private static let files: [RequestRecord] = [
        RequestRecord(.lookup, text("a")),
        RequestRecord(.open, node: 1, u32(2, 0)),
        RequestRecord(
            .write, node: 1, u64(0, 3) + u32(5, 0) + u64(0) + u32(2, 0) + Array("world".utf8)),
        RequestRecord(.read, node: 1, u64(0, 0) + u32(4096, 0) + u64(0) + u32(2, 0)),
        RequestRecord(.lseek, node: 1, u64(0, 1) + u32(3, 0)),
        RequestRecord(.fsync, node: 1, u64(0) + u32(1, 0)),
        RequestRecord(.flush, node: 1, u64(0) + u32(0, 0) + u64(9)),
        RequestRecord(
            .copyFileRange, node: 1, u64(0, 0, 1, 0, 100, 5, 0)),
        RequestRecord(
            .write, node: 1, u64(0, 9) + u32(40, 1) + u64(0) + u32(2, 0) + [UInt8](repeating: 7, count: 40),
            quirks: .pieces, extra: 7),
        RequestRecord(.read, node: 1, u64(0, 2) + u32(64, 0) + u64(0) + u32(2, 0), quirks: .pieces, extra: 3),
        RequestRecord(.release, node: 1, u64(0) + u32(2, 0) + u64(9)),
    ]

    private static let made: [RequestRecord] = [
        // mode, flags, umask, open flags; a group follows as an extension: total size, kind, count, gid
        RequestRecord(
            .create, u32(0o102, 0o100644, 0o022, 0) + text("new") + u32(16, 32, 1, 4242),
            quirks: [.extensions], extra: 2),
        RequestRecord(.create, u32(0o101, 0o100600, 0, 1) + text("own"), quirks: .user, extra: 0),
        RequestRecord(.tmpfile, u32(2, 0o100600, 0, 0) + text("/")),
        RequestRecord(.link, u64(3) + text("named")),
        RequestRecord(.write, node: 1, u64(0, 0) + u32(3, 0) + u64(0) + u32(0o101, 0) + [1, 2, 3]),
        RequestRecord(.mkdir, u32(0o2777, 0) + text("n"), quirks: .user, extra: 3),
        RequestRecord(.mknod, u32(0o020666, 0x105, 0, 0) + text("dev")),
        RequestRecord(.open, node: 5, u32(0, 0)),
    ]

    private static let directories: [RequestRecord] = [
        RequestRecord(.opendir, u32(0, 0)),
        RequestRecord(.readdir, u64(0, 0) + u32(4096, 0) + u64(0) + u32(0, 0)),
        RequestRecord(.readdirplus, u64(0, 0) + u32(8192, 0) + u64(0) + u32(0, 0)),
        RequestRecord(
            .readdirplus, u64(0, 2) + u32(8192, 0) + u64(0) + u32(0, 0), quirks: .tightReply, extra: 100),
        RequestRecord(.readdir, u64(0, .max) + u32(60, 0) + u64(0) + u32(0, 0)),
        RequestRecord(.fsyncdir, u64(0) + u32(0, 0)),
        RequestRecord(.releasedir, u64(0) + u32(0, 0) + u64(0)),
    ]

    private static let attributes: [RequestRecord] = [
        RequestRecord(.lookup, text("s")),
        RequestRecord(.getattr, node: 1, u32(0, 0) + u64(0)),
        RequestRecord(.statx, node: 1, u32(0, 0) + u64(0) + u32(0, 0xfff)),
        RequestRecord(
            .setattr, node: 1,
            // valid, padding; handle, size, lock owner; three times and their nanoseconds; mode, -, uid, gid, -
            u32(0x1f, 0) + u64(0, 4, 0, 10, 11, 12) + u32(13, 14, 15, 0o4755, 0, 1, 2, 0)),
        RequestRecord(.setxattr, node: 1, u32(3, 1, 1, 0) + text("user.x") + [7, 8, 9]),
        RequestRecord(.getxattr, node: 1, u32(64, 0) + text("user.x")),
        RequestRecord(.getxattr, node: 1, u32(0, 0) + text("user.x")),
        RequestRecord(.listxattr, node: 1, u32(256, 0)),
        RequestRecord(.removexattr, node: 1, text("user.x")),
        RequestRecord(
            .setxattr, node: 1,
            u32(20, 0, 0, 0) + text("security.capability") + u32(0x0200_0001, 1, 0, 0, 0)),
        RequestRecord(
            .setxattr,
            u32(28, 0, 0, 0) + text("system.posix_acl_default")
                + u32(2, 0x7_0001, .max, 0x7_0004, .max, 0x7_0020, .max)),
        RequestRecord(.access, node: 1, u32(4, 0)),
    ]

    private static func lock(_ owner: UInt64, _ type: UInt32, _ flags: UInt32 = 0) -> [UInt8] {
        u64(0, owner, 0, 100) + u32(type, 77, flags, 0)
    }

    private static let locks: [RequestRecord] = [
        RequestRecord(.lookup, text("a")),
        RequestRecord(.open, node: 1, u32(2, 0)),
        RequestRecord(.setlk, node: 1, lock(1, 1)),
        RequestRecord(.getlk, node: 1, lock(2, 1)),
        RequestRecord(.setlk, node: 1, lock(2, 1)),
        RequestRecord(.setlkw, node: 1, lock(2, 1)),
        RequestRecord(.interrupt, u64(14)),
        RequestRecord(.setlk, node: 1, lock(3, 0, 1)),
        RequestRecord(.setlk, node: 1, lock(1, 2)),
        RequestRecord(.release, node: 1, u64(0) + u32(2, 1) + u64(1)),
    ]

    /// What is not for opening, names that are none, nodes that are forged.
    private static let hostile: [RequestRecord] =
        ["p", "z", "l", "e", "o", "r", "m"].flatMap { name in
            [RequestRecord(.lookup, text(name))]
        }
        + (1...7 as ClosedRange<UInt8>).flatMap { node in
            [
                RequestRecord(.open, node: node, u32(2, 0)),
                RequestRecord(.opendir, node: node, u32(0, 0)),
                RequestRecord(.lookup, node: node, text("secret")),
            ]
        }
        + ["..", "../outside", "a/b", "/", ""].flatMap { name in
            [
                RequestRecord(.mkdir, u32(0o777, 0) + text(name)),
                RequestRecord(.unlink, text(name)),
                RequestRecord(.rename, u64(0) + text("a") + text(name)),
                RequestRecord(.create, u32(0o102, 0o100644, 0, 0) + text(name)),
            ]
        }
        + [
            RequestRecord(.getattr, node: 2, u32(0, 0) + u64(0), quirks: .forgedNode, extra: 9),
            RequestRecord(.lookup, Array("unterminated".utf8)),
            RequestRecord(.getattr, u32(0, 0) + u64(0), quirks: .cut, extra: 30),
            RequestRecord(.getattr, u32(0, 0) + u64(0), quirks: .wrongLength, extra: 8),
            RequestRecord(.getattr, u32(0, 0) + u64(0), quirks: .tightReply, extra: 9),
        ]

    private static let space: [RequestRecord] = [
        RequestRecord(.lookup, text("a")),
        RequestRecord(.open, node: 1, u32(2, 0)),
        RequestRecord(.fallocate, node: 1, u64(0, 0, 8192) + u32(0, 0)),
        RequestRecord(.fallocate, node: 1, u64(0, 0, 4096) + u32(3, 0)),
        RequestRecord(.lseek, node: 1, u64(0, 0) + u32(4, 0)),
        RequestRecord(.ioctl, node: 1, u64(0) + u32(0, 0x8008_6601) + u64(0) + u32(0, 8)),
        RequestRecord(.ioctl, node: 1, u64(0) + u32(0, 0x4008_6602) + u64(0) + u32(8, 0) + u64(0x10)),
        RequestRecord(.statfs),
        RequestRecord(.syncfs, u64(0)),
        RequestRecord(.poll, node: 1, u64(0, 0) + u32(0, 1)),
        RequestRecord(.bmap, node: 1, u64(0) + u32(512, 0)),
    ]

    private static let ends: [RequestRecord] = [
        RequestRecord(.lookup, text("b")),
        RequestRecord(.lookup, node: 1, text("c")),
        RequestRecord(.batchForget, u32(2, 0) + u64(1, 1, 2, 1)),
        RequestRecord(.getattr, node: 2, u32(0, 0) + u64(0)),
        RequestRecord(.initialize, u32(7, 31, 4096, 0x7fff_fffb)),
        RequestRecord(.lookup, text("a")),
        RequestRecord(.destroy),
        RequestRecord(.lookup, text("a")),
    ]
}
