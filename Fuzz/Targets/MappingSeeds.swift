// SPDX-License-Identifier: Apache-2.0
import FuseWire

extension Seeds {
    private static let chunk: UInt64 = 1 << 21

    private static func setUp(_ node: UInt8, _ offset: UInt64, at place: UInt64, _ flags: UInt64 = 3)
        -> RequestRecord
    {
        RequestRecord(.setupMapping, node: node, u64(.max, offset * chunk, chunk, flags, place * chunk))
    }

    private static func remove(_ pieces: (place: UInt64, count: UInt64)...) -> RequestRecord {
        RequestRecord(
            .removeMapping,
            u32(UInt32(pieces.count)) + pieces.flatMap { u64($0.place * chunk, $0.count * chunk) })
    }

    private static func refusal(maps: UInt8, unmaps: UInt8) -> RequestRecord {
        RequestRecord(beside: .refusal, node: unmaps, extra: maps)
    }

    private static func cut(file: UInt8 = 0, kibibytes: UInt8, happens: Bool = true) -> RequestRecord {
        RequestRecord(beside: .cut, node: file << 1 | (happens ? 0 : 1), extra: kibibytes)
    }

    /// Chunks that come and go, in place of each other, of files that are renamed and removed.
    static let mapping: [RequestRecord] = [
        RequestRecord(.lookup, text("a")),  // 1
        RequestRecord(.lookup, text("s")),  // 2
        setUp(1, 0, at: 0),
        setUp(1, 1, at: 1, 1),
        setUp(2, 0, at: 2),
        setUp(1, 1, at: 2),
        setUp(1, 0, at: 0),
        RequestRecord(.unlink, text("a")),
        setUp(1, 2, at: 3),
        remove((0, 2), (2, 1)),
        RequestRecord(.getattr, node: 1, u32(0, 0) + u64(0)),
        setUp(1, 3, at: 1),
        setUp(0, 0, at: 1),
        setUp(1, 0, at: 4),
        remove((3, 2)),
        RequestRecord(.removeMapping, u32(2) + u64(0)),
        RequestRecord(.destroy),
        setUp(1, 0, at: 0),
    ]

    /// A file that others make shorter while chunks come and go, and the guest makes longer.
    static let cutting: [RequestRecord] = [
        RequestRecord(.lookup, text("a")),  // 1
        RequestRecord(.open, node: 1, u32(2, 0)),
        RequestRecord(.fallocate, node: 1, u64(0, 0, 65536) + u32(0, 0)),
        setUp(1, 0, at: 0),
        setUp(1, 1, at: 1),
        cut(kibibytes: 5, happens: false),
        remove((0, 2)),
        setUp(1, 0, at: 3),
        cut(kibibytes: 6),
        RequestRecord(.fallocate, node: 1, u64(0, 0, 32768) + u32(0, 0)),
        RequestRecord(.getattr, node: 1, u32(0, 0) + u64(0)),
        remove((3, 1)),
        setUp(1, 0, at: 0),
        cut(kibibytes: 0),
        remove((0, 1)),
    ]

    /// A VMM that refuses, the second half of a chunk among others.
    static let refusing: [RequestRecord] = [
        RequestRecord(.lookup, text("s")),  // 1
        refusal(maps: 1, unmaps: 0),
        setUp(1, 0, at: 0),
        setUp(1, 0, at: 0),
        setUp(1, 1, at: 1),
        refusal(maps: 2, unmaps: 2),
        cut(file: 1, kibibytes: 8),
        setUp(1, 0, at: 0),
        remove((1, 1)),
        refusal(maps: 0, unmaps: 3),
        remove((0, 1)),
        setUp(1, 0, at: 0),
        setUp(1, 0, at: 0),
        refusal(maps: 0, unmaps: 255),
        RequestRecord(.initialize, u32(7, 45, 4096, 0x7fff_fffb, 0x7ff)),
    ]
}
