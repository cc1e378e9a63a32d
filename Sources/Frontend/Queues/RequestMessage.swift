// SPDX-License-Identifier: Apache-2.0

/// What the device is given in one chain.
package struct RequestMessage: Sendable {
    /// Everything the device may read.
    package var bytes: [UInt8]
    /// Where bulk data begins in `bytes`; everything before it is header and arguments.
    package var dataOffset: Int
    /// How many bytes the device may write; 0: the request expects no reply.
    package var replyByteCount: Int
    /// Where bulk data begins in the reply.
    package var replyDataOffset: Int

    package init(_ bytes: [UInt8], dataOffset: Int? = nil, replyByteCount: Int, replyDataOffset: Int? = nil) {
        self.bytes = bytes
        self.dataOffset = dataOffset ?? bytes.count
        self.replyByteCount = replyByteCount
        self.replyDataOffset = replyDataOffset ?? replyByteCount
    }
}

/// Names a request that was submitted until its completion is taken.
package struct Ticket: Hashable, Sendable {
    let slot: Int
    let serial: UInt64
}

/// What came back for one request: `used.len`, and as many bytes of the reply.
package struct CompletedRequest: Sendable {
    package let written: Int
    package let reply: [UInt8]
}
