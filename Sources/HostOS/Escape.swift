// SPDX-License-Identifier: Apache-2.0

/// `bytes` as text that is safe to log or show: printable ASCII stays, every other byte and the backslash become `\xNN`.
/// What is longer than `limit` bytes ends in "…", so that no name makes a line endless.
package func escaped(_ bytes: some Sequence<UInt8>, limit: Int = 256) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for (index, byte) in bytes.enumerated() {
        if index == limit { return String(decoding: text, as: UTF8.self) + "…" }
        if byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "\\") {
            text.append(byte)
        } else {
            text += [UInt8(ascii: "\\"), UInt8(ascii: "x"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
    return String(decoding: text, as: UTF8.self)
}
