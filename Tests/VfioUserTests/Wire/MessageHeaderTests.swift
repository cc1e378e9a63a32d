// SPDX-License-Identifier: Apache-2.0
import Errors
import MessageTools
import Testing

@testable import VfioUser

@Suite struct MessageHeaderTests {
    @Test func header() throws {
        let bytes: [UInt8] = [
            0x34, 0x12,  // id
            10, 0,  // command: REGION_WRITE
            0x22, 0, 0, 0,  // size: 16 + 16 + 2
            0x10, 0, 0, 0,  // flags: a command, no reply
            0, 0, 0, 0,  // error
        ]
        let header = MessageHeader(
            id: 0x1234, command: 10, messageByteCount: 34, flags: .noReply, error: 0)
        try expectBothWays(header, bytes)
        #expect(header.flags.type == 0)
    }

    @Test func errorReply() throws {
        let bytes: [UInt8] = [
            0xff, 0xff,  // id
            2, 0,  // command: DMA_MAP
            0x10, 0, 0, 0,  // size: nothing but the header
            0x21, 0, 0, 0,  // flags: a reply, error
            17, 0, 0, 0,  // error: EEXIST
        ]
        let header = MessageHeader(
            id: 0xffff, command: 2, messageByteCount: 16, flags: [.reply, .error], error: 17)
        try expectBothWays(header, bytes)
        #expect(header.flags.type == MessageFlags.reply.rawValue)
    }

    private func expectBothWays(_ header: MessageHeader, _ bytes: [UInt8]) throws {
        var writer = ByteWriter(capacity: 16)
        header.encode(into: &writer)
        #expect(writer.bytes == bytes)
        #expect(try MessageHeader(decoding: bytes) == header)
        for wrong in [Array(bytes.dropLast()), bytes + [0], []] {
            #expect(throws: Errno.EINVAL) { try MessageHeader(decoding: wrong) }
        }
    }

    /// max_data_xfer_size is about the data; its fields come on top.
    @Test func largestMessage() {
        #expect(MessageHeader.maximumMessageByteCount == 16 + 16 + 1_048_576)
    }

    @Test func numbers() {
        #expect(Command.allCases.map(\.rawValue) == [1, 2, 3, 4, 5, 7, 8, 9, 10, 13, 15])
    }
}
