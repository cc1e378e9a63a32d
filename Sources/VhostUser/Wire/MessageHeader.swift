// SPDX-License-Identifier: Apache-2.0

/// `struct vhost_user_hdr`, 12 bytes: begins every message in both directions.
package struct MessageHeader: Equatable, Sendable {
    /// What the low two bits of `flags` must hold.
    package static let version: UInt32 = 1
    package static let byteCount = 12
    /// Payloads above this are not read: the largest we know, `SharedMemorySizes`, has 2056 bytes.
    package static let maximumPayloadByteCount = 4096

    /// A `FrontendRequest` or, on the back-end channel, a `BackendRequest`; any number from a hostile peer.
    package var request: UInt32
    package var flags: MessageFlags
    package var payloadByteCount: UInt32

    package init(request: UInt32, flags: MessageFlags, payloadByteCount: UInt32) {
        self.request = request
        self.flags = flags
        self.payloadByteCount = payloadByteCount
    }

    package init(decoding bytes: [UInt8]) throws(VhostUserError) {
        var reader = try WireReader(bytes, expecting: Self.byteCount)
        request = try reader.u32()
        flags = MessageFlags(rawValue: try reader.u32())
        payloadByteCount = try reader.u32()
    }

    package var encoded: [UInt8] {
        var writer = WireWriter(capacity: Self.byteCount)
        writer.u32(request)
        writer.u32(flags.rawValue)
        writer.u32(payloadByteCount)
        return writer.bytes
    }
}

/// `vhost_user_hdr.flags`: the protocol version in bits 0-1 and two marks.
package struct MessageFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// A request that needs no acknowledgement: version 1 and nothing else.
    package static let request = MessageFlags(rawValue: MessageHeader.version)
    /// Exactly what QEMU and UML accept on a reply.
    package static let answer: MessageFlags = [.request, .reply]

    package static let reply = MessageFlags(rawValue: 1 << 2)
    package static let needReply = MessageFlags(rawValue: 1 << 3)

    package var version: UInt32 { rawValue & 3 }
}
