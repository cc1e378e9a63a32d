// SPDX-License-Identifier: Apache-2.0
import Errors

/// VFIO PCI region indexes: 0-5 BARs, 6 ROM, 7 configuration space, 8 VGA.
package enum RegionIndex {
    package static let rom: UInt32 = 6
    package static let configuration: UInt32 = 7
    /// All indexes are below.
    package static let count: UInt32 = 9
}

/// What DEVICE_GET_REGION_INFO tells of a region.
package struct RegionInfo: Equatable, Sendable {
    /// In bytes; 0 means that there is no such region.
    package var size: UInt64
    package var isReadable: Bool
    package var isWritable: Bool
    /// Parts that the client may map from `file`; offsets within the region, which are those in the file too. Empty: none.
    package var mappable: [Range<UInt64>]
    /// Valid while the device lives; sent with the answer. nil: nothing can be mapped.
    package var file: Int32?

    package init(
        size: UInt64, isReadable: Bool = true, isWritable: Bool = true, mappable: [Range<UInt64>] = [],
        file: Int32? = nil
    ) {
        self.size = size
        self.isReadable = isReadable
        self.isWritable = isWritable
        self.mappable = mappable
        self.file = file
    }

    /// A region that is not there.
    package static let none = RegionInfo(size: 0, isReadable: false, isWritable: false)

    /// `struct vfio_region_info`.
    private static let byteCount: UInt32 = 32
    private static let readFlag: UInt32 = 1 << 0
    private static let writeFlag: UInt32 = 1 << 1
    private static let mapFlag: UInt32 = 1 << 2
    private static let capabilitiesFlag: UInt32 = 1 << 3
    /// VFIO_REGION_INFO_CAP_SPARSE_MMAP
    private static let mappablePartsCapability: UInt16 = 1

    /// The file to send along with `encoded`.
    var mappableFile: Int32? { mappable.isEmpty ? nil : file }

    /// The request: `u32 argsz, flags, index, cap_offset; u64 size, offset`, of which the first and third mean something.
    ///
    /// - Returns: the region, and how many bytes the reply may have.
    static func decodeRequest(_ payload: [UInt8]) throws(Errno) -> (index: UInt32, limit: UInt32) {
        var reader = try WireReader(payload, expecting: Int(byteCount))
        let limit = try reader.u32()
        _ = try reader.u32()
        let index = try reader.u32()
        guard limit >= byteCount, index < RegionIndex.count else { throw .EINVAL }
        return (index, limit)
    }

    /// The reply of at most `limit` bytes, which is 32 or more; behind the fields the parts that can be mapped, unless it is all.
    ///
    /// Where they do not fit, `argsz` says how much does, and QEMU asks again. It wants to see them announced already.
    func encoded(index: UInt32, limit: UInt32) -> [UInt8] {
        let isMappable = mappableFile != nil
        let hasParts = isMappable && mappable != [0..<size]
        let full = Int(Self.byteCount) + (hasParts ? 16 + 16 * mappable.count : 0)
        var flags: UInt32 = 0
        if isReadable { flags |= Self.readFlag }
        if isWritable { flags |= Self.writeFlag }
        if isMappable { flags |= Self.mapFlag }
        if hasParts { flags |= Self.capabilitiesFlag }

        var writer = ByteWriter(capacity: full)
        writer.u32(UInt32(truncatingIfNeeded: full))
        writer.u32(flags)
        writer.u32(index)
        writer.u32(hasParts ? Self.byteCount : 0)
        writer.u64(size)
        writer.u64(0)  // where the region begins in the file
        guard hasParts, full <= Int(limit) else { return writer.bytes }
        writer.u16(Self.mappablePartsCapability)
        writer.u16(1)  // version
        writer.u32(0)  // no other capability
        writer.u32(UInt32(truncatingIfNeeded: mappable.count))
        writer.u32(0)
        for part in mappable {
            writer.u64(part.lowerBound)
            writer.u64(part.upperBound - part.lowerBound)
        }
        return writer.bytes
    }
}
