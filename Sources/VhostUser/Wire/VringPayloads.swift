// SPDX-License-Identifier: Apache-2.0

/// `struct vhost_vring_state`, 8 bytes: a ring and one number about it (size, base, enable).
package struct VringState: Equatable, Sendable {
    package static let byteCount = 8
    package var ring: UInt32
    package var number: UInt32

    package init(ring: UInt32, number: UInt32) {
        self.ring = ring
        self.number = number
    }

    package init(decoding bytes: [UInt8]) throws(VhostUserError) {
        var reader = try WireReader(bytes, expecting: Self.byteCount)
        ring = try reader.u32()
        number = try reader.u32()
    }

    package var encoded: [UInt8] {
        var writer = WireWriter(capacity: Self.byteCount)
        writer.u32(ring)
        writer.u32(number)
        return writer.bytes
    }
}

/// `struct vhost_vring_addr`, 40 bytes: where the three parts of a ring are, as addresses of the front-end's process.
package struct VringAddresses: Equatable, Sendable {
    package static let byteCount = 40
    /// Bit 0 of `flags`: writes to the used ring are logged at `log`.
    package static let logFlag: UInt32 = 1

    package var ring: UInt32
    package var flags: UInt32 = 0
    package var descriptorTable: UInt64
    package var usedRing: UInt64
    package var availableRing: UInt64
    /// A guest address, unlike the other three.
    package var log: UInt64 = 0

    package init(ring: UInt32, descriptorTable: UInt64, availableRing: UInt64, usedRing: UInt64) {
        self.ring = ring
        self.descriptorTable = descriptorTable
        self.usedRing = usedRing
        self.availableRing = availableRing
    }

    package init(decoding bytes: [UInt8]) throws(VhostUserError) {
        var reader = try WireReader(bytes, expecting: Self.byteCount)
        ring = try reader.u32()
        flags = try reader.u32()
        descriptorTable = try reader.u64()
        usedRing = try reader.u64()
        availableRing = try reader.u64()
        log = try reader.u64()
    }

    package var encoded: [UInt8] {
        var writer = WireWriter(capacity: Self.byteCount)
        writer.u32(ring)
        writer.u32(flags)
        writer.u64(descriptorTable)
        writer.u64(usedRing)
        writer.u64(availableRing)
        writer.u64(log)
        return writer.bytes
    }
}

/// The number of SET_VRING_KICK, _CALL and _ERR: a ring, and whether a descriptor comes with it.
package struct VringNotifier: Equatable, Sendable {
    package static let byteCount = 8
    private static let noDescriptorFlag: UInt64 = 1 << 8

    package var ring: UInt8
    package var hasDescriptor: Bool

    package init(ring: UInt8, hasDescriptor: Bool) {
        self.ring = ring
        self.hasDescriptor = hasDescriptor
    }

    package init(decoding bytes: [UInt8]) throws(VhostUserError) {
        let word = try UInt64(decodingPayload: bytes)
        guard word < Self.noDescriptorFlag * 2 else { throw .invalidValue }
        ring = UInt8(truncatingIfNeeded: word)
        hasDescriptor = word & Self.noDescriptorFlag == 0
    }

    package var encoded: [UInt8] {
        (UInt64(ring) | (hasDescriptor ? 0 : Self.noDescriptorFlag)).encodedPayload
    }
}
