// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// Golden bytes are put together of these, one for each field.
func u16(_ value: UInt16) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
func u32(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
func u64(_ value: UInt64) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
func text(_ string: String) -> [UInt8] { Array(string.utf8) }
/// With its NUL.
func name(_ string: String) -> [UInt8] { text(string) + [0] }
func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
func raw<T>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

extension [UInt8] {
    func load<T: BitwiseCopyable>(_ type: T.Type, at offset: Int = 0) -> T {
        withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: type) }
    }
}

/// A `fuse_in_header` of 40 bytes and what follows it.
func message(
    _ opcode: UInt32, nodeID: UInt64 = 1, _ body: [UInt8] = [], extensions: [UInt8] = [], unique: UInt64 = 42,
    length: UInt32? = nil, extensionUnits: UInt16? = nil
) -> [UInt8] {
    u32(length ?? UInt32(40 + body.count + extensions.count))
        + u32(opcode)
        + u64(unique)
        + u64(nodeID)
        + u32(1000)  // uid
        + u32(100)  // gid
        + u32(77)  // pid
        + u16(extensionUnits ?? UInt16(extensions.count / 8))  // total_extlen
        + u16(0)  // padding
        + body + extensions
}

/// An INIT of Linux 7.2, 64 bytes of arguments.
func initBody(
    major: UInt32 = 7, minor: UInt32 = 45, maxReadahead: UInt32 = 131072, flags: UInt32 = 0x7fff_fffb,
    flags2: UInt32 = 0x7ff, count: Int = 64
) -> [UInt8] {
    Array((u32(major) + u32(minor) + u32(maxReadahead) + u32(flags) + u32(flags2) + zeros(44)).prefix(count))
}
