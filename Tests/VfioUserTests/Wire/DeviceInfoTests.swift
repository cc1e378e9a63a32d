// SPDX-License-Identifier: Apache-2.0
import Errors
import MessageTools
import Testing

@testable import VfioUser

@Suite struct DeviceInfoTests {
    static let reply: [UInt8] = [
        16, 0, 0, 0,  // argsz
        3, 0, 0, 0,  // flags: can be reset, PCI
        9, 0, 0, 0,  // num_regions
        5, 0, 0, 0,  // num_irqs
    ]

    @Test func golden() throws { #expect(try DeviceInfo.reply(to: le32(16) + zeros(12)) == Self.reply) }

    /// Cloud Hypervisor sends and reads four bytes more, and says that it has room for the header too.
    @Test func longerStructure() throws {
        #expect(
            try DeviceInfo.reply(to: le32(36) + zeros(16)) == [20] + Self.reply.dropFirst() + zeros(4))
        #expect(
            try DeviceInfo.reply(to: le32(24) + zeros(20)) == [24] + Self.reply.dropFirst() + zeros(8))
    }

    @Test func refusals() {
        for bytes in [[], zeros(3), le32(16) + zeros(11), le32(15) + zeros(12), le32(64) + zeros(21)] {
            #expect(throws: Errno.EINVAL) { try DeviceInfo.reply(to: bytes) }
        }
    }
}
