// SPDX-License-Identifier: Apache-2.0

/// Takes fixed-width little-endian fields off a private copy of a message, front to back.
///
/// vhost-user is in the host's byte order; every host this project builds for is little-endian.
struct WireReader {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// - Throws: `payloadSize` unless there are exactly `byteCount` bytes.
    init(_ bytes: [UInt8], expecting byteCount: Int) throws(VhostUserError) {
        guard bytes.count == byteCount else { throw .payloadSize(bytes.count) }
        self.bytes = bytes
    }

    var remainingByteCount: Int { bytes.count - offset }

    mutating func take(_ byteCount: Int) throws(VhostUserError) -> ArraySlice<UInt8> {
        guard byteCount >= 0, byteCount <= remainingByteCount else { throw .payloadSize(bytes.count) }
        defer { offset += byteCount }
        return bytes[offset..<offset + byteCount]
    }

    mutating func u8() throws(VhostUserError) -> UInt8 { try integer() }
    mutating func u16() throws(VhostUserError) -> UInt16 { try integer() }
    mutating func u32() throws(VhostUserError) -> UInt32 { try integer() }
    mutating func u64() throws(VhostUserError) -> UInt64 { try integer() }

    private mutating func integer<T: FixedWidthInteger>() throws(VhostUserError) -> T {
        try take(MemoryLayout<T>.size).reversed().reduce(0) { $0 << 8 | T($1) }
    }
}

/// Builds a message field by field; the mirror of `WireReader`.
struct WireWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    mutating func u8(_ value: UInt8) { bytes.append(value) }
    mutating func u16(_ value: UInt16) { integer(value) }
    mutating func u32(_ value: UInt32) { integer(value) }
    mutating func u64(_ value: UInt64) { integer(value) }
    mutating func zeros(_ count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }
    mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

    private mutating func integer<T: FixedWidthInteger>(_ value: T) {
        for byte in 0..<MemoryLayout<T>.size { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * byte))) }
    }
}

extension UInt64 {
    /// The payload of the many messages that carry one number.
    package init(decodingPayload bytes: [UInt8]) throws(VhostUserError) {
        var reader = try WireReader(bytes, expecting: 8)
        self = try reader.u64()
    }

    package var encodedPayload: [UInt8] {
        var writer = WireWriter(capacity: 8)
        writer.u64(self)
        return writer.bytes
    }
}
