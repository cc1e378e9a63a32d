// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// One `struct linux_dirent64`: d_ino 0, d_off 8, d_reclen 16, d_type 18, name 19…
@safe struct HostDirent {
    private let record: UnsafeRawBufferPointer
    let nameByteCount: Int

    /// nil if `bytes` does not begin with a whole record.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.nameOffset else { return nil }
        let length = unsafe Int(bytes.loadUnaligned(fromByteOffset: 16, as: UInt16.self))
        guard length > Self.nameOffset, length <= bytes.count else { return nil }
        unsafe record = UnsafeRawBufferPointer(rebasing: bytes[..<length])
        var end = Self.nameOffset
        while end < length, unsafe record[end] != 0 { end += 1 }
        guard end < length else { return nil }
        nameByteCount = end - Self.nameOffset
    }

    private static let nameOffset = 19

    var byteCount: Int { unsafe record.count }
    var number: UInt64 { unsafe record.loadUnaligned(fromByteOffset: 0, as: UInt64.self) }
    /// Where the next entry is.
    var nextOffset: UInt64 { unsafe record.loadUnaligned(fromByteOffset: 8, as: UInt64.self) }
    /// DT_*.
    var type: UInt8 { unsafe record[18] }
    /// Without the NUL.
    var nameBytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: record[Self.nameOffset..<Self.nameOffset + nameByteCount])
    }
    /// With the NUL. A record has at least one byte of name, so there is an address.
    var cString: UnsafePointer<CChar> {
        unsafe UnsafeRawPointer(record.baseAddress.unsafelyUnwrapped + Self.nameOffset)
            .assumingMemoryBound(to: CChar.self)
    }

    var isDotOrDotDot: Bool {
        let name = unsafe nameBytes
        return unsafe (nameByteCount == 1 || nameByteCount == 2) && name[0] == 0x2e
            && name[nameByteCount - 1] == 0x2e
    }
}

/// What getdents64(2) wrote, entry by entry.
@safe struct HostDirents: Sequence, IteratorProtocol {
    private var rest: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) { unsafe rest = unsafe bytes }

    var byteCount: Int { unsafe rest.count }
    var isEmpty: Bool { byteCount == 0 }

    mutating func next() -> HostDirent? {
        guard let entry = unsafe HostDirent(rest) else { return nil }
        unsafe rest = UnsafeRawBufferPointer(rebasing: rest[entry.byteCount...])
        return entry
    }

    /// Where reading goes on after the last entry.
    var lastOffset: UInt64? {
        var offset: UInt64?
        for entry in self { offset = entry.nextOffset }
        return offset
    }

    /// The first entries, as many as fit `limit` bytes of reply with `prefix` bytes before each.
    func fitting(in limit: Int, prefix: Int) -> HostDirents {
        var used = 0
        var taken = 0
        for entry in self {
            used += prefix + FuseDirent.byteCount(nameByteCount: entry.nameByteCount)
            if used > limit { break }
            taken += entry.byteCount
        }
        return unsafe HostDirents(UnsafeRawBufferPointer(rebasing: rest[..<taken]))
    }
}

/// Sizes of `fuse_dirent` records.
enum FuseDirent {
    /// Zero bytes after a name, so that the next record is aligned to eight.
    static func padding(nameByteCount: Int) -> Int { -nameByteCount & 7 }

    static func byteCount(nameByteCount: Int) -> Int {
        MemoryLayout<Dirent>.size + nameByteCount + padding(nameByteCount: nameByteCount)
    }

    /// How much getdents64(2) may return so that all of it fits `limit` bytes of reply: the shortest names grow most, from
    /// 24 bytes to 32 and the prefix. Never less than the longest single entry takes (280).
    static func hostByteCount(fittingIn limit: Int, prefix: Int) -> Int {
        max(280, limit / (32 + prefix) * 24)
    }
}
