// SPDX-License-Identifier: Apache-2.0
import Errors

typealias WireReader = ByteReader<Errno>

/// Whatever is wrong with the payload of a command, its error reply says EINVAL.
extension Errno: MessageSizeError {
    package static func payloadSize(_ byteCount: Int) -> Errno { .EINVAL }
}

/// The header of every message in both directions, 16 bytes: id, command, size of the whole message, flags, error.
///
/// Spec: QEMU docs/interop/vfio-user.rst, "Header".
package struct MessageHeader: Equatable, Sendable {
    package static let byteCount = 16
    /// The most that one REGION_READ or REGION_WRITE moves (max_data_xfer_size).
    package static let maximumTransferByteCount: UInt32 = 1 << 20
    /// A larger message is not read: header, fields and data of the largest REGION_WRITE.
    package static let maximumMessageByteCount =
        UInt32(byteCount + RegionAccess.byteCount) + maximumTransferByteCount
    /// The most that one message carries (max_msg_fds); what QEMU sends at most, and all that it accepts to hear.
    package static let maximumDescriptorCount = 16

    /// Whatever the client chose; the reply has the same.
    package var id: UInt16
    /// A `Command`; any number from a hostile client.
    package var command: UInt16
    /// With the header.
    package var messageByteCount: UInt32
    package var flags: MessageFlags
    /// In an error reply the errno, or zero; otherwise without meaning.
    package var error: UInt32

    package init(
        id: UInt16, command: UInt16, messageByteCount: UInt32, flags: MessageFlags, error: UInt32 = 0
    ) {
        self.id = id
        self.command = command
        self.messageByteCount = messageByteCount
        self.flags = flags
        self.error = error
    }

    /// - Throws: EINVAL unless there are 16 bytes.
    package init(decoding bytes: [UInt8]) throws(Errno) {
        var reader = try WireReader(bytes, expecting: Self.byteCount)
        id = try reader.u16()
        command = try reader.u16()
        messageByteCount = try reader.u32()
        flags = MessageFlags(rawValue: try reader.u32())
        error = try reader.u32()
    }

    package func encode(into writer: inout ByteWriter) {
        writer.u16(id)
        writer.u16(command)
        writer.u32(messageByteCount)
        writer.u32(flags.rawValue)
        writer.u32(error)
    }
}

/// The flags of a header: the type in bits 0-3, two marks above.
package struct MessageFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The type of a reply.
    package static let reply = MessageFlags(rawValue: 1)
    /// The command is not to be answered, not even when it fails.
    package static let noReply = MessageFlags(rawValue: 1 << 4)
    /// The command that this replies to failed; nothing follows the header.
    package static let error = MessageFlags(rawValue: 1 << 5)

    /// 0 is a command, 1 a reply; there are no others.
    package var type: UInt32 { rawValue & 15 }
}

/// What a client may ask; the numbers between and above are the server's, of migration, or nobody's.
package enum Command: UInt16, CaseIterable, Sendable {
    case version = 1
    case mapDMA = 2
    case unmapDMA = 3
    case getDeviceInfo = 4
    case getRegionInfo = 5
    case getInterruptInfo = 7
    case setInterrupts = 8
    case readRegion = 9
    case writeRegion = 10
    case resetDevice = 13
    case writeRegions = 15

    /// How many descriptors the command may carry.
    var descriptors: ClosedRange<Int> {
        switch self {
        case .mapDMA: 0...1
        case .setInterrupts: 0...MessageHeader.maximumDescriptorCount
        default: 0...0
        }
    }
}
