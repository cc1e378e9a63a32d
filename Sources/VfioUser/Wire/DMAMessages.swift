// SPDX-License-Identifier: Apache-2.0
import Errors

/// One range of guest addresses that the device may reach (DMA_MAP).
package struct DMARange: Hashable, Sendable {
    /// What all of its numbers are multiples of.
    package static let pageByteCount: UInt64 = 4096

    /// Where it begins, as the device names it.
    package var address: UInt64
    /// In bytes, not zero; the range does not wrap around.
    package var size: UInt64
    /// Where it begins in the file that came along; no more than an off_t can say, to its end.
    package var fileOffset: UInt64
    package var isReadable: Bool
    package var isWritable: Bool

    package init(address: UInt64, size: UInt64, fileOffset: UInt64, isReadable: Bool, isWritable: Bool) {
        self.address = address
        self.size = size
        self.fileOffset = fileOffset
        self.isReadable = isReadable
        self.isWritable = isWritable
    }

    private static let readFlag: UInt32 = 1 << 0
    private static let writeFlag: UInt32 = 1 << 1
    /// Bits 2 and 3 told in older versions how the range can be reached; now its descriptor does, or that there is none.
    private static let knownFlags: UInt32 = 0xf

    /// The payload of DMA_MAP (`struct vfio_iommu_type1_dma_map` with an offset for its address), 32 bytes.
    ///
    /// - Throws: EINVAL for what the properties rule out, and for a range that nobody may use.
    init(decoding payload: [UInt8]) throws(Errno) {
        var reader = try WireReader(payload, expecting: 32)
        let argumentByteCount = try reader.u32()
        let flags = try reader.u32()
        fileOffset = try reader.u64()
        address = try reader.u64()
        size = try reader.u64()
        isReadable = flags & Self.readFlag != 0
        isWritable = flags & Self.writeFlag != 0
        guard argumentByteCount >= 32, flags & ~Self.knownFlags == 0, isReadable || isWritable, size > 0,
            (address | size | fileOffset) % Self.pageByteCount == 0,
            !address.addingReportingOverflow(size).overflow,
            fileOffset <= UInt64(Int64.max), size <= UInt64(Int64.max) - fileOffset
        else { throw .EINVAL }
    }
}

/// The payload of DMA_UNMAP, 24 bytes; its reply repeats it.
enum DMAUnmap: Equatable {
    case range(address: UInt64, size: UInt64)
    /// VFIO_DMA_UNMAP_FLAG_ALL
    case all

    private static let allFlag: UInt32 = 1 << 1

    /// - Throws: EINVAL for an empty range, one that wraps around, or a flag that we do not know.
    init(decoding payload: [UInt8]) throws(Errno) {
        var reader = try WireReader(payload, expecting: 24)
        let argumentByteCount = try reader.u32()
        let flags = try reader.u32()
        let address = try reader.u64()
        let size = try reader.u64()
        guard argumentByteCount >= 24 else { throw .EINVAL }
        switch flags {
        case 0:
            guard size > 0, !address.addingReportingOverflow(size).overflow else { throw .EINVAL }
            self = .range(address: address, size: size)
        case Self.allFlag:
            guard address == 0, size == 0 else { throw .EINVAL }
            self = .all
        default: throw .EINVAL
        }
    }
}
