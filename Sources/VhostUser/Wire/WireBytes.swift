// SPDX-License-Identifier: Apache-2.0
import Errors

typealias WireReader = ByteReader<VhostUserError>
typealias WireWriter = ByteWriter

extension VhostUserError: MessageSizeError {}

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
