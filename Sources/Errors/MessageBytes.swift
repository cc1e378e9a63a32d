// SPDX-License-Identifier: Apache-2.0
// vhost-user and vfio-user are in the host's byte order; every host this project builds for is little-endian.

/// An error that can say of a message that it has the wrong size.
package protocol MessageSizeError: Error {
    /// A payload of `byteCount` bytes is none of this message.
    static func payloadSize(_ byteCount: Int) -> Self
}

/// Takes fixed-width little-endian fields off a private copy of a message, front to back.
///
/// Whatever reaches beyond the end throws `payloadSize`.
package struct ByteReader<Failure: MessageSizeError> {
    private let bytes: [UInt8]
    private var offset = 0

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// - Throws: `payloadSize` unless there are exactly `byteCount` bytes.
    package init(_ bytes: [UInt8], expecting byteCount: Int) throws(Failure) {
        guard bytes.count == byteCount else { throw .payloadSize(bytes.count) }
        self.bytes = bytes
    }

    package var remainingByteCount: Int { bytes.count - offset }

    package mutating func take(_ byteCount: Int) throws(Failure) -> ArraySlice<UInt8> {
        guard byteCount >= 0, byteCount <= remainingByteCount else { throw .payloadSize(bytes.count) }
        defer { offset += byteCount }
        return bytes[offset..<offset + byteCount]
    }

    package mutating func u8() throws(Failure) -> UInt8 { try integer() }
    package mutating func u16() throws(Failure) -> UInt16 { try integer() }
    package mutating func u32() throws(Failure) -> UInt32 { try integer() }
    package mutating func u64() throws(Failure) -> UInt64 { try integer() }

    private mutating func integer<T: FixedWidthInteger>() throws(Failure) -> T {
        let byteCount = MemoryLayout<T>.size
        guard byteCount <= remainingByteCount else { throw .payloadSize(bytes.count) }
        var value: T = 0
        for place in 0..<byteCount { value |= T(truncatingIfNeeded: bytes[offset + place]) << (8 * place) }
        offset += byteCount
        return value
    }
}

/// Builds a message field by field; the mirror of `ByteReader`.
package struct ByteWriter {
    package private(set) var bytes: [UInt8] = []

    package init(capacity: Int) { bytes.reserveCapacity(capacity) }

    package mutating func u8(_ value: UInt8) { bytes.append(value) }
    package mutating func u16(_ value: UInt16) { integer(value) }
    package mutating func u32(_ value: UInt32) { integer(value) }
    package mutating func u64(_ value: UInt64) { integer(value) }
    package mutating func zeros(_ count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }
    package mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

    private mutating func integer<T: FixedWidthInteger>(_ value: T) {
        for byte in 0..<MemoryLayout<T>.size { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * byte))) }
    }
}
