// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// A FUSE request while it is put together: the header, arguments in wire order, bulk data, extension blocks.
package struct FuseRequest: Sendable {
    package var header = InHeader()
    /// Fixed-size arguments and names.
    package var arguments: [UInt8] = []
    /// What WRITE carries.
    package var data: [UInt8] = []
    /// FUSE_SECURITY_CTX and FUSE_EXT_GROUPS blocks, each a multiple of eight bytes.
    package var extensions: [UInt8] = []
    /// The longest body a reply may have; nil: no reply is expected, and none has room.
    package var replyBodyByteCount: Int? = 0
    /// How much of that body comes before bulk data; nil: all.
    package var replyFixedByteCount: Int?

    package init(_ opcode: Opcode, _ nodeID: NodeID) {
        header.opcode = opcode.rawValue
        header.nodeID = nodeID.rawValue
    }

    /// A request with one fixed-size argument.
    package init(_ opcode: Opcode, _ nodeID: NodeID, _ argument: some BitwiseCopyable) {
        self.init(opcode, nodeID)
        append(argument)
    }

    /// Appends a wire struct.
    package mutating func append(_ value: some BitwiseCopyable) { arguments += wireBytes(of: value) }

    /// Appends a name and its NUL.
    package mutating func append(name: some Collection<UInt8>) {
        arguments += name
        arguments.append(0)
    }

    /// Appends FUSE_EXT_GROUPS with one supplementary group (FUSE_CREATE_SUPP_GROUP).
    package mutating func append(supplementaryGroup group: UInt32) {
        extensions += [UInt32(16), 32, 1, group].flatMap { wireBytes(of: $0) }
    }

    /// Appends a `fuse_secctx` with one label (FUSE_SECURITY_CTX).
    package mutating func append(label name: some Collection<UInt8>, value: some Collection<UInt8>) {
        var block = [UInt32(value.count), 0].flatMap { wireBytes(of: $0) } + name + [0] + value
        block += [UInt8](repeating: 0, count: (8 - block.count % 8) % 8)
        extensions += [UInt32(block.count + 8), 1].flatMap { wireBytes(of: $0) } + block
    }

    /// How long the request is as it stands.
    package var byteCount: Int {
        MemoryLayout<InHeader>.size + arguments.count + data.count + extensions.count
    }

    /// Makes the header's lengths those of the parts.
    package mutating func setLengths() {
        header.length = UInt32(clamping: byteCount)
        header.totalExtensionLength = UInt16(clamping: extensions.count / 8)
    }

    /// The request as the device sees it, with the header as it stands.
    package var message: RequestMessage {
        let headerByteCount = MemoryLayout<OutHeader>.size
        var bytes = wireBytes(of: header)
        bytes.reserveCapacity(byteCount)
        bytes += arguments
        bytes += data
        bytes += extensions
        return RequestMessage(
            bytes, dataOffset: data.isEmpty ? nil : MemoryLayout<InHeader>.size + arguments.count,
            replyByteCount: replyBodyByteCount.map { headerByteCount + $0 } ?? 0,
            replyDataOffset: replyFixedByteCount.map { headerByteCount + $0 })
    }
}

/// The bytes of a wire struct, which has no padding of the compiler's.
package func wireBytes(of value: some BitwiseCopyable) -> [UInt8] {
    unsafe withUnsafeBytes(of: value) { unsafe Array($0) }
}

/// A wire struct from the first bytes of `bytes`; nil when there are too few.
package func wireValue<T: BitwiseCopyable>(_ type: T.Type = T.self, from bytes: some Collection<UInt8>) -> T?
{
    let prefix = Array(bytes.prefix(MemoryLayout<T>.size))
    guard prefix.count == MemoryLayout<T>.size else { return nil }
    // SAFETY: wire structs are integers: every bit pattern is a value.
    return unsafe prefix.withUnsafeBytes { unsafe $0.loadUnaligned(as: T.self) }
}
