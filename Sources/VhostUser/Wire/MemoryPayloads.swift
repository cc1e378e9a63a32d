// SPDX-License-Identifier: Apache-2.0

/// `VhostUserMemoryRegion`, 32 bytes: a range of guest memory, where the front-end has it and where it lies in its file.
package struct RegionDescription: Hashable, Sendable {
    package static let byteCount = 32
    package var guestAddress: UInt64
    /// How many bytes the range has.
    package var size: UInt64
    /// The address of the range in the front-end's process; ring addresses are given in these.
    package var userAddress: UInt64
    /// Where the range begins in the file of its descriptor; not always a multiple of the file's page size.
    package var fileOffset: UInt64

    package init(guestAddress: UInt64, size: UInt64, userAddress: UInt64, fileOffset: UInt64) {
        self.guestAddress = guestAddress
        self.size = size
        self.userAddress = userAddress
        self.fileOffset = fileOffset
    }

    init(from reader: inout WireReader) throws(VhostUserError) {
        guestAddress = try reader.u64()
        size = try reader.u64()
        userAddress = try reader.u64()
        fileOffset = try reader.u64()
    }

    func encode(into writer: inout WireWriter) {
        writer.u64(guestAddress)
        writer.u64(size)
        writer.u64(userAddress)
        writer.u64(fileOffset)
    }

    /// Not empty, and none of its three ranges wraps around.
    package var isPlausible: Bool {
        size > 0 && !guestAddress.addingReportingOverflow(size).overflow
            && !userAddress.addingReportingOverflow(size).overflow
            && !fileOffset.addingReportingOverflow(size).overflow
    }

    /// The payload of ADD_MEM_REG and REM_MEM_REG (`VhostUserMemRegMsg`, 40 bytes): 8 unused bytes, then the region.
    package init(decodingSingle bytes: [UInt8]) throws(VhostUserError) {
        var reader = try WireReader(bytes, expecting: 8 + Self.byteCount)
        _ = try reader.u64()
        self = try RegionDescription(from: &reader)
    }

    package var encodedSingle: [UInt8] {
        var writer = WireWriter(capacity: 8 + Self.byteCount)
        writer.zeros(8)
        encode(into: &writer)
        return writer.bytes
    }
}

/// The payload of SET_MEM_TABLE (`VhostUserMemory`): all regions at once, their descriptors in the same order.
package struct MemoryTable: Equatable, Sendable {
    /// VHOST_MEMORY_BASELINE_NREGIONS
    package static let maximumCount = 8
    package var regions: [RegionDescription]

    package init(regions: [RegionDescription]) { self.regions = regions }

    /// Slots behind the last region may follow: UML always sends two (72 bytes), the specification draws eight.
    package init(decoding bytes: [UInt8]) throws(VhostUserError) {
        var reader = WireReader(bytes)
        let count = Int(try reader.u32())
        _ = try reader.u32()
        let slots = reader.remainingByteCount / RegionDescription.byteCount
        guard reader.remainingByteCount % RegionDescription.byteCount == 0, count <= slots,
            slots <= Self.maximumCount
        else { throw .payloadSize(bytes.count) }
        regions = []
        for _ in 0..<count { regions.append(try RegionDescription(from: &reader)) }
    }

    package var encoded: [UInt8] {
        var writer = WireWriter(capacity: 8 + regions.count * RegionDescription.byteCount)
        writer.u32(UInt32(truncatingIfNeeded: regions.count))
        writer.zeros(4)
        for region in regions { region.encode(into: &writer) }
        return writer.bytes
    }
}
