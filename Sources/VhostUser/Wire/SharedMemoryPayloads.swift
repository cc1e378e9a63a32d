// SPDX-License-Identifier: Apache-2.0

/// `VhostUserMMap`, 40 bytes: a piece of a file and where it is to appear in a shared memory region.
package struct SharedMemoryMapping: Equatable, Sendable {
    package static let byteCount = 40
    /// Bit 0 of `flags`: the mapping may be written.
    package static let writableFlag: UInt64 = 1

    package var regionID: UInt8
    package var fileOffset: UInt64
    package var regionOffset: UInt64
    /// How many bytes.
    package var length: UInt64
    package var flags: UInt64

    package init(regionID: UInt8, fileOffset: UInt64, regionOffset: UInt64, length: UInt64, flags: UInt64) {
        self.regionID = regionID
        self.fileOffset = fileOffset
        self.regionOffset = regionOffset
        self.length = length
        self.flags = flags
    }

    package init(decoding bytes: [UInt8]) throws(VhostUserError) {
        var reader = try WireReader(bytes, expecting: Self.byteCount)
        regionID = try reader.u8()
        _ = try reader.take(7)
        fileOffset = try reader.u64()
        regionOffset = try reader.u64()
        length = try reader.u64()
        flags = try reader.u64()
    }

    package var encoded: [UInt8] {
        var writer = WireWriter(capacity: Self.byteCount)
        writer.u8(regionID)
        writer.zeros(7)
        writer.u64(fileOffset)
        writer.u64(regionOffset)
        writer.u64(length)
        writer.u64(flags)
        return writer.bytes
    }
}

/// `VhostUserShMemConfig`, 2056 bytes: the size of every shared memory region, by id.
package struct SharedMemorySizes: Equatable, Sendable {
    package static let slotCount = 256
    package static let byteCount = 8 + 8 * slotCount
    /// Bytes of region i; zero where there is none. At most 256, fewer mean zeros.
    package var sizes: [UInt64]

    package init(sizes: [UInt64]) { self.sizes = Array(sizes.prefix(Self.slotCount)) }

    /// - Throws: `invalidValue` when the count of regions does not agree with the sizes.
    package init(decoding bytes: [UInt8]) throws(VhostUserError) {
        var reader = try WireReader(bytes, expecting: Self.byteCount)
        let count = try reader.u32()
        _ = try reader.u32()
        sizes = []
        for _ in 0..<Self.slotCount { sizes.append(try reader.u64()) }
        guard regionCount == count else { throw .invalidValue }
        while sizes.last == 0 { sizes.removeLast() }
    }

    private var regionCount: UInt32 { UInt32(truncatingIfNeeded: sizes.count { $0 != 0 }) }

    package var encoded: [UInt8] {
        var writer = WireWriter(capacity: Self.byteCount)
        writer.u32(regionCount)
        writer.zeros(4)
        for size in sizes { writer.u64(size) }
        writer.zeros(Self.byteCount - writer.bytes.count)
        return writer.bytes
    }
}
