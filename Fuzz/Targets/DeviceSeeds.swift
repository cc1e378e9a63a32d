// SPDX-License-Identifier: Apache-2.0
import Virtqueue

extension Seeds {
    // MARK: Rings

    /// A descriptor: where, how long, 1 = next, 2 = writable, 4 = indirect, which follows.
    private typealias Entry = (address: UInt64, byteCount: UInt32, flags: UInt16, next: UInt16)

    /// A memory image with a ring of 8 at its start.
    private struct Image {
        var bytes = [UInt8](repeating: 0, count: 0x1000)

        mutating func put(_ more: [UInt8], at offset: Int) {
            bytes.replaceSubrange(offset..<offset + more.count, with: more)
        }

        mutating func put(_ entries: [Entry], at offset: Int = 0) {
            let table = entries.flatMap { fields($0.address, $0.byteCount, $0.flags, $0.next) }
            put(table, at: offset)
        }

        mutating func offer(_ heads: [UInt16]) {
            let start = RingLayout.availableOffset(8)
            put(fields(UInt16(0), UInt16(heads.count)) + heads.flatMap { fields($0) }, at: start)
        }
    }

    private static func request(_ opcode: UInt32, _ body: [UInt8], unique: UInt64, node: UInt64 = 1)
        -> [UInt8]
    {
        u32(UInt32(40 + body.count), opcode) + u64(unique, node) + u32(0, 0, 1, 0) + body
    }

    private static let initialize = request(
        26, u32(7, 45, 131_072, 0x7fff_fffb, 0x7ff) + [UInt8](repeating: 0, count: 44), unique: 2)
    private static let lookup = request(1, text("null"), unique: 4)
    private static let read = request(
        15, u64(1, 0) + u32(600, 0) + u64(0) + u32(0, 0), unique: 6, node: 2)

    /// INIT, LOOKUP and READ as a guest sends them, with direct descriptors.
    private static let direct: Image = {
        var image = Image()
        image.put(initialize, at: 0x400)
        image.put(lookup, at: 0x500)
        image.put(read, at: 0x600)
        image.put([
            (0x400, UInt32(initialize.count), 1, 1), (0x800, 80, 2, 0),
            (0x500, 40, 1, 3), (0x528, UInt32(lookup.count - 40), 1, 4), (0x900, 144, 2, 0),
            (0x600, UInt32(read.count), 1, 6), (0xa00, 16, 3, 7), (0x7f00, 600, 2, 0),
        ])
        image.offer([0, 2, 5])
        return image
    }()

    /// INIT and LOOKUP, each through a table of its own.
    private static let indirect: Image = {
        var image = Image()
        image.put(initialize, at: 0x400)
        image.put(lookup, at: 0x500)
        image.put([(0x400, UInt32(initialize.count), 1, 1), (0x800, 80, 2, 0)], at: 0x200)
        image.put([(0x500, UInt32(lookup.count), 1, 1), (0x900, 16, 3, 2), (0x980, 128, 2, 0)], at: 0x300)
        image.put([(0x200, 32, 4, 0), (0x300, 48, 4, 0)])
        image.offer([0, 1])
        return image
    }()

    /// A descriptor that follows itself, a buffer outside, a table in a table, and a head that is none.
    private static let broken: [Image] = {
        let tables: [[Entry]] = [
            [(0x400, 8, 1, 0)], [(0xffff_ffff_ffff_fff0, 32, 0, 0)], [(0x10, 16, 4, 0), (0x400, 1, 4, 0)],
            [(0x400, 40, 3, 1), (0x400, 40, 0, 0)], [(0x400, .max, 1, 1), (0x400, .max, 2, 0)],
        ]
        return tables.map { table in
            var image = Image()
            image.put(table)
            image.offer([0])
            return image
        }
    }()

    static let ring: [Seed] = {
        func seed(_ name: String, _ features: UInt8, _ image: Image) -> Seed {
            let end = (image.bytes.lastIndex { $0 != 0 } ?? 0) + 1
            return Seed(name: name, bytes: [features, 3] + fields(UInt16(0)) + image.bytes[..<end])
        }
        return [
            seed("direct", 0, direct), seed("events", 3, direct), seed("indirect", 1, indirect),
            seed("not-agreed", 0, indirect),
        ] + broken.enumerated().map { seed("broken-\($0.offset)", 3, $0.element) }
    }()

    // MARK: Messages

    /// A message of `VhostTarget`: its flags, and `count` descriptors from the kind `first` on.
    private static func message(
        _ request: UInt8, _ payload: [UInt8] = [], quirks: UInt8 = 1, first: UInt8 = 0, count: UInt8 = 0
    ) -> [UInt8] {
        [request, quirks, first << 4 | count, UInt8(payload.count)] + payload
    }

    private static let greeting: [UInt8] =
        message(1, quirks: 0) + message(15, quirks: 0) + message(16, u64(0x820b)) + message(3)
        + message(17, quirks: 0) + message(36, quirks: 0) + message(2, u64(0x1_7000_0000))

    /// 64 KiB at 0, for the guest and for the VMM.
    private static let region = u64(0, 0x10000, 0, 0)
    private static let memoryTable = message(5, u32(1, 0) + region, first: 1, count: 1)

    /// Everything that makes a ring run: its kick is an event, its memory the image above.
    private static func start(_ ring: UInt8) -> [UInt8] {
        let (index, number) = (UInt32(ring), UInt64(ring))
        return message(8, u32(index, 8)) + message(10, u32(index, 0))
            + message(
                9,
                u32(index, 0)
                    + u64(
                        0, UInt64(RingLayout.usedOffset(8)), UInt64(RingLayout.availableOffset(8)), 0))
            + message(13, u64(number), count: 1) + message(14, u64(number), count: 1)
            + message(12, u64(number), count: 1) + message(18, u32(index, 1))
    }

    static let vhost: [Seed] = {
        func seed(_ name: String, _ image: Image, _ messages: [UInt8]) -> Seed {
            Seed(name: name, bytes: fields(UInt16(image.bytes.count)) + image.bytes + messages)
        }
        let whole = greeting + memoryTable + start(0) + start(1) + start(2)
        let ends = message(11, u32(1, 0), quirks: 0) + message(34) + message(4)
        let slots =
            message(37, u64(0) + region, first: 1, count: 1) + message(38, u64(0) + region)
            + message(37, u64(0) + u64(0x10000, 0x1000, 0x10000, 0), first: 5, count: 1)
        // Descriptors of every kind where an event belongs.
        let strange = (0..<8 as Range<UInt8>).flatMap { kind in
            message(12, u64(1), first: kind, count: 1) + message(13, u64(1), first: kind, count: 1)
                + message(18, u32(1, 1))
        }
        let wrong =
            message(1, quirks: 3) + message(1, quirks: 5) + message(77) + message(12, u64(9), count: 1)
        return [
            seed("runs", direct, whole + ends), seed("indirect", indirect, whole),
            seed("slots", direct, greeting + slots + memoryTable + start(1) + slots),
            seed("strange", direct, greeting + memoryTable + start(1) + strange),
            seed(
                "configuration", Image(),
                greeting + message(24, u32(0, 36, 0) + [UInt8](repeating: 0, count: 36))),
            seed("wrong", Image(), greeting + wrong),
        ]
    }()

    // MARK: Words

    static let options: [Seed] = [
        ("plain", "--shared-dir /srv --socket-path /run/s"),
        (
            "everything",
            "--shared-dir=/srv --fd 3 --tag t --cache never --num-request-queues 4 --thread-pool-size 8 "
                + "--xattr --posix-acl --writeback --allow-direct-io --announce-submounts --log-level debug "
                + "--rlimit-nofile 1000 --inode-file-handles=mandatory --modcaps=-chown:+kill --poll-us 10,20"
        ),
        (
            "legacy",
            "--socket-path=/s -o source=/srv,cache=always,xattr,sandbox=none,modcaps=+sys_admin,log_level=warn -f"
        ),
        ("help", "--help"), ("version", "--version"), ("capabilities", "--print-capabilities"),
        (
            "timeouts",
            "--shared-dir /s --socket-path /r --entry-timeout 1.5 --attr-timeout 0 --readonly --syslog"
        ),
        (
            "maps",
            "--shared-dir /s --socket-path /r --translate-uid map:0:1000:10 --translate-gid forbid-guest:5:1 --xattr "
                + "--xattrmap :map::user.virtiofs.: --limit-open-files 5 --limit-inodes 6 --limit-in-flight 7"
        ),
        ("wrong", "--cache sometimes --shared-dir --unknown -o , -x"),
    ].map { Seed(name: $0.0, bytes: Array($0.1.replacing(" ").utf8)) }
}

extension Seeds {
    static let maps: [Seed] = {
        func seed(_ name: String, _ kind: UInt8, _ text: String, _ rest: [UInt8]) -> Seed {
            Seed(name: name, bytes: [kind] + fields(UInt16(text.utf8.count)) + Array(text.utf8) + rest)
        }
        return [
            seed("ids", 0, "map:0:1000:10\nguest:20:30:5\nhost:7:8:9", u32(0, 5, 21, 1001)),
            seed("squash", 0, "squash-guest:0:1000:4294967295\nsquash-host:1000:0:1", u32(3, 1000)),
            seed("forbid", 0, "forbid-guest:65534:1", u32(65534)),
            seed("overlap", 0, "map:0:0:10\nmap:5:5:1", []),
            seed("map", 1, ":map::user.virtiofs.:", Array("security.capability".utf8)),
            seed("map-some", 1, ":map:security.:trusted.v.:", Array("trusted.v.security.x".utf8)),
            seed(
                "rules", 1,
                ":prefix:all:trusted.:user.v.: /bad/all/security./security./ :unsupported:client:system.::\n:ok:all:::",
                Array("trusted.overlay".utf8)),
            seed("no-end", 1, ":ok:client:user.::", Array("user.x".utf8)),
        ]
    }()
}

extension String {
    /// A word a line.
    fileprivate func replacing(_ separator: Character) -> String {
        split(separator: separator).joined(separator: "\n")
    }
}
