// SPDX-License-Identifier: Apache-2.0

// How back-ends of the virtio-fs development branches of QEMU, and of old crosvm, asked their front-end to map files
// (protocol.md §1.10). Upstream has since given the same numbers other meanings.

/// One step of a legacy message.
package struct LegacyMapEntry: Equatable, Sendable {
    package static let readFlag: UInt64 = 1 << 0
    package static let writeFlag: UInt64 = 1 << 1
    /// As a length, in an unmap: the whole window.
    package static let wholeWindow = UInt64.max

    package var fileOffset: UInt64
    /// An offset in the window; for `transfer`, a guest address.
    package var windowOffset: UInt64
    /// How many bytes; 0: there is no such step.
    package var length: UInt64
    package var flags: UInt64

    package init(fileOffset: UInt64 = 0, windowOffset: UInt64, length: UInt64, flags: UInt64 = 0) {
        self.fileOffset = fileOffset
        self.windowOffset = windowOffset
        self.length = length
        self.flags = flags
    }
}

/// What a legacy request wants, and how its payload is laid out.
package struct LegacyMapKind: Equatable, Sendable {
    package enum Operation: Sendable { case map, unmap, synchronize, transfer }
    package enum Layout: Sendable {
        /// 2018-2020, 256 bytes: eight file offsets, eight window offsets, eight lengths, eight flags.
        case arrays
        /// 2021, 8 + 32n bytes: flags, count, padding, and the entries one after the other.
        case list
    }
    package let operation: Operation
    package let layout: Layout

    /// FS_MAP and FS_UNMAP, as the QEMU branches number them.
    package static let mapNumber: UInt32 = 6
    package static let unmapNumber: UInt32 = 7

    /// By number and payload size; nil when it is no legacy request.
    package init?(request: UInt32, payloadByteCount: Int) {
        switch payloadByteCount {
        case LegacyMapMessage.arraysByteCount:
            layout = .arrays
            switch request {
            case 6, 1002: operation = .map
            case 7, 1003: operation = .unmap
            case 8, 1004: operation = .synchronize
            case 9, 1005: operation = .transfer
            default: return nil
            }
        case let count where count >= 8 && (count - 8) % LegacyMapMessage.entryByteCount == 0:
            layout = .list
            switch request {
            case 6: operation = .map
            case 7: operation = .unmap
            case 8: operation = .transfer
            default: return nil
            }
        default: return nil
        }
    }
}

/// The steps of one legacy request.
package struct LegacyMapMessage: Equatable, Sendable {
    package static let arraysByteCount = 256
    static let entryByteCount = 32
    private static let arrayCount = 8
    package static let maximumListCount = 32
    private static let dropSetIDFlag: UInt32 = 1 << 0

    package var entries: [LegacyMapEntry]
    /// VHOST_USER_FS_GENFLAG_DROP_FSETID: what `transfer` writes loses set-user-id and set-group-id bits.
    package var losesSetIDBits: Bool

    package init(_ entries: [LegacyMapEntry], losesSetIDBits: Bool = false) {
        self.entries = entries
        self.losesSetIDBits = losesSetIDBits
    }

    package init(decoding bytes: [UInt8], as layout: LegacyMapKind.Layout) throws(VhostUserError) {
        switch layout {
        case .arrays: try self.init(decodingArrays: bytes)
        case .list: try self.init(decodingList: bytes)
        }
    }

    private init(decodingArrays bytes: [UInt8]) throws(VhostUserError) {
        var reader = try WireReader(bytes, expecting: Self.arraysByteCount)
        entries = []
        for _ in 0..<Self.arrayCount {
            entries.append(LegacyMapEntry(fileOffset: try reader.u64(), windowOffset: 0, length: 0))
        }
        for index in 0..<Self.arrayCount { entries[index].windowOffset = try reader.u64() }
        for index in 0..<Self.arrayCount { entries[index].length = try reader.u64() }
        for index in 0..<Self.arrayCount { entries[index].flags = try reader.u64() }
        entries.removeAll { $0.length == 0 }
        losesSetIDBits = false
    }

    /// Slots behind the last entry may follow.
    private init(decodingList bytes: [UInt8]) throws(VhostUserError) {
        var reader = WireReader(bytes)
        let flags = try reader.u32()
        let count = Int(try reader.u16())
        _ = try reader.u16()
        let slots = reader.remainingByteCount / Self.entryByteCount
        guard reader.remainingByteCount % Self.entryByteCount == 0, count <= slots,
            slots <= Self.maximumListCount
        else { throw .payloadSize(bytes.count) }
        guard flags & ~Self.dropSetIDFlag == 0 else { throw .invalidValue }
        losesSetIDBits = flags & Self.dropSetIDFlag != 0
        entries = []
        for _ in 0..<count {
            entries.append(
                LegacyMapEntry(
                    fileOffset: try reader.u64(), windowOffset: try reader.u64(), length: try reader.u64(),
                    flags: try reader.u64()))
        }
        entries.removeAll { $0.length == 0 }
    }

    /// As arrays: eight entries at most.
    package var encodedArrays: [UInt8] {
        var writer = WireWriter(capacity: Self.arraysByteCount)
        let fields: [(LegacyMapEntry) -> UInt64] = [
            { $0.fileOffset }, { $0.windowOffset }, { $0.length }, { $0.flags },
        ]
        for field in fields {
            for index in 0..<Self.arrayCount { writer.u64(index < entries.count ? field(entries[index]) : 0) }
        }
        return writer.bytes
    }

    package var encodedList: [UInt8] {
        var writer = WireWriter(capacity: 8 + Self.entryByteCount * entries.count)
        writer.u32(losesSetIDBits ? Self.dropSetIDFlag : 0)
        writer.u16(UInt16(truncatingIfNeeded: entries.count))
        writer.u16(0)
        for entry in entries {
            writer.u64(entry.fileOffset)
            writer.u64(entry.windowOffset)
            writer.u64(entry.length)
            writer.u64(entry.flags)
        }
        return writer.bytes
    }
}
