// SPDX-License-Identifier: Apache-2.0
import Errors

/// What REGION_READ and REGION_WRITE begin with, and their replies too: `u64 offset; u32 region, count`.
struct RegionAccess: Equatable {
    static let byteCount = 16

    var offset: UInt64
    var region: UInt32
    /// How many bytes are read or written.
    var count: UInt32

    init(from reader: inout WireReader) throws(Errno) {
        offset = try reader.u64()
        region = try reader.u32()
        count = try reader.u32()
    }

    var encoded: [UInt8] {
        var writer = ByteWriter(capacity: Self.byteCount)
        writer.u64(offset)
        writer.u32(region)
        writer.u32(count)
        return writer.bytes
    }

    /// Whether some bytes, not more than a message carries, lie in a region of `size` bytes.
    func fits(_ size: UInt64) -> Bool {
        count > 0 && count <= MessageHeader.maximumTransferByteCount && offset <= size
            && UInt64(count) <= size - offset
    }
}
