// SPDX-License-Identifier: Apache-2.0

/// Command-line arguments are bytes, the option parser wants Strings: an argument that is not UTF-8 travels as text in
/// which each byte above 0x7F is one private-use scalar, U+10FE80…U+10FEFF, and comes back unchanged.
enum ArgumentText {
    private static let base: UInt32 = 0x10FE00
    private static let escapes = base + 0x80...base + 0xFF

    /// The text of an argument. UTF-8 stays what it is, unless it holds such private-use scalars itself.
    static func encode(_ bytes: [UInt8]) -> String {
        if let text = String(validating: bytes, as: UTF8.self),
            !text.unicodeScalars.contains(where: { escapes.contains($0.value) })
        {
            return text
        }
        var scalars = String.UnicodeScalarView()
        for byte in bytes {
            if let scalar = Unicode.Scalar(byte < 0x80 ? UInt32(byte) : base + UInt32(byte)) {
                scalars.append(scalar)
            }
        }
        return String(scalars)
    }

    /// The bytes that `encode` was given.
    static func decode(_ text: some StringProtocol) -> [UInt8] {
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            if escapes.contains(scalar.value) {
                bytes.append(UInt8(truncatingIfNeeded: scalar.value))
            } else {
                bytes += Array(String(scalar).utf8)
            }
        }
        return bytes
    }
}
