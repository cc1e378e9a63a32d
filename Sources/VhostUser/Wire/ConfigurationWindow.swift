// SPDX-License-Identifier: Apache-2.0

/// `VhostUserConfig`, 12 bytes and the content: a window of the device's configuration space.
package struct ConfigurationWindow: Equatable, Sendable {
    /// VHOST_USER_MAX_CONFIG_SIZE
    package static let maximumByteCount = 256
    package var offset: UInt32
    /// 0: the guest writes; 1: a migration destination writes.
    package var flags: UInt32 = 0
    /// In GET_CONFIG's request only their count means something.
    package var bytes: [UInt8]

    package init(offset: UInt32, bytes: [UInt8], flags: UInt32 = 0) {
        self.offset = offset
        self.flags = flags
        self.bytes = bytes
    }

    package init(decoding payload: [UInt8]) throws(VhostUserError) {
        var reader = WireReader(payload)
        offset = try reader.u32()
        let size = try reader.u32()
        flags = try reader.u32()
        let remaining = reader.remainingByteCount
        guard size == remaining, remaining <= Self.maximumByteCount else { throw .payloadSize(payload.count) }
        bytes = Array(try reader.take(remaining))
    }

    package var encoded: [UInt8] {
        var writer = WireWriter(capacity: 12 + bytes.count)
        writer.u32(offset)
        writer.u32(UInt32(truncatingIfNeeded: bytes.count))
        writer.u32(flags)
        writer.append(bytes)
        return writer.bytes
    }
}
