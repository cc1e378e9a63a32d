// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import FuseWire

@Suite struct TableExtensionTests {
    @Test func whatKernelsSendMeansNothing() {
        #expect(InitIn().follower == nil)
        #expect(!InitOut().tellsSlots)
    }

    @Test(arguments: [0, 1, 63]) func followersAreToldInUnusedWords(number: Int) {
        var message = InitIn()
        message.follower = number
        #expect(message.follower == number)
        #expect(message.unused[9] == 0x3162_7476 && message.unused[10] == UInt32(number))
        for index in 0..<9 { #expect(message.unused[index] == 0) }
        message.follower = nil
        #expect(message.unused[9] == 0 && message.unused[10] == 0)
    }

    @Test func aDaemonAnswersWithTheMark() {
        var reply = InitOut()
        reply.tellsSlots = true
        #expect(reply.tellsSlots)
        #expect((reply.unused[9], reply.unused[10]) == (0x7476, 0x3162))
        reply.tellsSlots = false
        #expect(reply.unused[9] == 0 && reply.unused[10] == 0)
    }
}
