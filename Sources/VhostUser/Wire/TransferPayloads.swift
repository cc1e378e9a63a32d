// SPDX-License-Identifier: Apache-2.0

// Payloads of crash recovery and migration.

/// `VhostUserInflight`: the memory that says which descriptors are in flight.
package struct InflightDescription: Equatable, Sendable {
    package var mapByteCount: UInt64
    package var mapOffset: UInt64
    package var queueCount: UInt16
    package var queueSize: UInt16
    /// Packed the structure has 20 bytes, as QEMU's C structure 24: a reply has as many as its request.
    package var isPadded: Bool

    package init(
        mapByteCount: UInt64, mapOffset: UInt64, queueCount: UInt16, queueSize: UInt16, isPadded: Bool
    ) {
        self.mapByteCount = mapByteCount
        self.mapOffset = mapOffset
        self.queueCount = queueCount
        self.queueSize = queueSize
        self.isPadded = isPadded
    }

    package init(decoding bytes: [UInt8]) throws(VhostUserError) {
        guard bytes.count == 20 || bytes.count == 24 else { throw .payloadSize(bytes.count) }
        var reader = WireReader(bytes)
        mapByteCount = try reader.u64()
        mapOffset = try reader.u64()
        queueCount = try reader.u16()
        queueSize = try reader.u16()
        isPadded = bytes.count == 24
    }

    package var encoded: [UInt8] {
        var writer = WireWriter(capacity: 24)
        writer.u64(mapByteCount)
        writer.u64(mapOffset)
        writer.u16(queueCount)
        writer.u16(queueSize)
        if isPadded { writer.zeros(4) }
        return writer.bytes
    }
}

/// `VhostUserLog`, 16 bytes: where the bitmap of written guest pages lies in its file.
package struct LogDescription: Equatable, Sendable {
    package static let byteCount = 16
    package var mapByteCount: UInt64
    package var mapOffset: UInt64

    package init(mapByteCount: UInt64, mapOffset: UInt64) {
        self.mapByteCount = mapByteCount
        self.mapOffset = mapOffset
    }

    package init(decoding bytes: [UInt8]) throws(VhostUserError) {
        var reader = try WireReader(bytes, expecting: Self.byteCount)
        mapByteCount = try reader.u64()
        mapOffset = try reader.u64()
    }

    package var encoded: [UInt8] {
        var writer = WireWriter(capacity: Self.byteCount)
        writer.u64(mapByteCount)
        writer.u64(mapOffset)
        return writer.bytes
    }
}

/// `VhostUserTransferDeviceState`, 8 bytes: which way the device's state goes through the descriptor.
package struct DeviceStateTransfer: Equatable, Sendable {
    package enum Direction: UInt32, Sendable {
        case save = 0
        case load = 1
    }
    package static let byteCount = 8
    package var direction: Direction

    package init(direction: Direction) { self.direction = direction }

    /// - Throws: `invalidValue` for an unknown direction, or a phase other than 0 (device stopped).
    package init(decoding bytes: [UInt8]) throws(VhostUserError) {
        var reader = try WireReader(bytes, expecting: Self.byteCount)
        guard let direction = Direction(rawValue: try reader.u32()), try reader.u32() == 0 else {
            throw .invalidValue
        }
        self.direction = direction
    }

    package var encoded: [UInt8] {
        var writer = WireWriter(capacity: Self.byteCount)
        writer.u32(direction.rawValue)
        writer.u32(0)
        return writer.bytes
    }
}
