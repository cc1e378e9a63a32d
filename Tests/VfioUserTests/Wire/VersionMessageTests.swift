// SPDX-License-Identifier: Apache-2.0
import Errors
import MessageTools
import Testing
import VfioClient

@testable import VfioUser

@Suite struct VersionMessageTests {
    static let start: [UInt8] = [
        0, 0,  // major
        0, 0,  // minor
    ]

    @Test(arguments: [
        "{}", " {} ", "\t{\"capabilities\":{}}\r\n", VfioClient.qemuCapabilities, "{\"é\":\"🙂\"}",
    ])
    func data(text: String) throws {
        try VersionMessage.check(Self.start + Array(text.utf8) + [0])
    }

    @Test func withoutData() throws { try VersionMessage.check(Self.start) }

    /// Whoever speaks a later minor version speaks 0.0 too.
    @Test(arguments: [1, 2, 0xffff] as [UInt16]) func laterMinor(minor: UInt16) throws {
        try VersionMessage.check(le16(0) + le16(minor))
    }

    @Test(arguments: [1, 2, 0xffff] as [UInt16]) func otherMajor(major: UInt16) {
        #expect(throws: Errno.EINVAL) { try VersionMessage.check(le16(major) + le16(0)) }
    }

    @Test(
        arguments: [
            [0],  // empty
            Array("{}".utf8),  // no NUL
            Array("{".utf8) + [0],
            Array("}".utf8) + [0],
            Array("}{".utf8) + [0],
            Array("[]".utf8) + [0],
            Array("  ".utf8) + [0],
            Array("{} x".utf8) + [0],
            Array("x {}".utf8) + [0],
            Array("{\0}".utf8) + [0],  // a NUL inside
            Array("{}".utf8) + [0, 0],
            Array("{".utf8) + [0xff] + Array("}".utf8) + [0],  // not UTF-8
        ] as [[UInt8]]) func wrongData(data: [UInt8])
    {
        #expect(throws: Errno.EINVAL) { try VersionMessage.check(Self.start + data) }
    }

    @Test(arguments: 0..<4) func tooShort(count: Int) {
        #expect(throws: Errno.EINVAL) { try VersionMessage.check(Array(Self.start.prefix(count))) }
    }

    @Test func reply() {
        let text =
            #"{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"max_dma_maps":77,"pgsizes":4096}}"#
        #expect(VersionMessage.reply(maximumMaps: 77) == Self.start + Array(text.utf8) + [0])
    }
}
