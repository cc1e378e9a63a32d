// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Backend

@Suite struct DeviceConfigurationTests {
    @Test func theSpaceIsTagThenQueueCount() {
        let space = DeviceConfiguration(tag: Array("share".utf8), requestQueueCount: 4).space
        #expect(space.count == 40)
        #expect(Array(space[0..<5]) == Array("share".utf8))
        #expect(space[5..<36].allSatisfy { $0 == 0 })
        #expect(Array(space[36...]) == [4, 0, 0, 0])  // le32 num_request_queues
    }

    @Test func aTagOf36BytesHasNoTerminator() {
        let tag = [UInt8](repeating: UInt8(ascii: "x"), count: 36)
        let space = DeviceConfiguration(tag: tag, requestQueueCount: 64).space
        #expect(Array(space[0..<36]) == tag)
        #expect(Array(space[36...]) == [64, 0, 0, 0])
    }
}
