// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// Goes through the records of a READDIRPLUS reply without the heap, with the checks of Linux (fs/fuse/readdir.c).
struct EntryWalker {
    /// One record, without its name.
    struct Entry {
        /// 0 when nothing is said about the entry.
        let nodeID: UInt64
        /// What to go on with.
        let offset: UInt64
        /// "." or "..".
        let isDot: Bool
    }

    private let end: Int
    private var position = 0

    /// - Parameter byteCount: how much of the bytes given to `next` is the reply.
    init(byteCount: Int) { end = byteCount }

    private static let dirent = MemoryLayout<EntryOut>.size
    private static let name = dirent + MemoryLayout<Dirent>.size
    private static let longestName = 1024

    /// The next record of `bytes`; nil at the end.
    mutating func next(_ bytes: [UInt8]) throws(WireError) -> Entry? {
        if position == end { return nil }
        guard end - position > Self.name else { throw .shortBody }
        let raw = unsafe bytes.span.bytes
        // SAFETY: checked loads; wire structs are integers.
        let entry = unsafe raw.unsafeLoadUnaligned(fromByteOffset: position, as: EntryOut.self)
        let dirent = unsafe raw.unsafeLoadUnaligned(fromByteOffset: position + Self.dirent, as: Dirent.self)
        guard let length = Int(exactly: dirent.nameLength), length > 0, length <= Self.longestName else {
            throw .longName
        }
        let start = position + Self.name
        guard end - start >= (length + 7) / 8 * 8 else { throw .shortBody }
        for index in start..<start + length where bytes[index] == UInt8(ascii: "/") { throw .badName }
        position = start + (length + 7) / 8 * 8
        let dot = UInt8(ascii: ".")
        let isDot = length <= 2 && bytes[start] == dot && bytes[start + length - 1] == dot
        return Entry(nodeID: entry.nodeID, offset: dirent.offset, isDot: isDot)
    }
}
