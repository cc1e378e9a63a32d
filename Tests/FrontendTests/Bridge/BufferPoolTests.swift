// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Frontend

@Suite struct BufferPoolTests {
    @Test func aReaderGetsBuffersAsLongAsThereAreAny() throws {
        let bench = try LaneBench(size: 64, buffers: 3)
        let pool = BufferPool(bench.buffers)
        var (first, second) = (BufferHand(), BufferHand())
        let hasFirst = pool.provide(&first)
        #expect(hasFirst && first.reading != first.spare)
        let hasSecond = pool.provide(&second)
        #expect(!hasSecond && second.reading >= 0 && second.spare < 0, "three for two readers")
        pool.giveBack(LaneRequest())
        let hasSecondStill = pool.provide(&second)
        #expect(!hasSecondStill, "a request without buffers")
        pool.giveBack(LaneRequest(replyBuffer: first.spare))
        let hasSecondNow = pool.provide(&second)
        #expect(hasSecondNow && second.spare == first.spare)
    }
}
