// SPDX-License-Identifier: Apache-2.0

/// Reads an input from its front; what lies behind its end is zero.
struct FuzzInput {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isEmpty: Bool { position == bytes.count }

    mutating func byte() -> UInt8 {
        if isEmpty { return 0 }
        defer { position += 1 }
        return bytes[position]
    }

    /// Little-endian.
    mutating func number<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type = T.self) -> T {
        var value: T = 0
        for place in 0..<MemoryLayout<T>.size { value |= T(byte()) << (8 * place) }
        return value
    }

    /// The next `count` bytes, or as many as there are.
    mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
        let end = min(bytes.count, position + count)
        defer { position = end }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<end])
    }

    mutating func rest() -> UnsafeRawBufferPointer { take(.max / 2) }
}

/// Builds what `FuzzInput` reads.
struct FuzzBytes {
    private(set) var bytes: [UInt8] = []

    mutating func append<T: FixedWidthInteger>(_ number: T) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }
}
