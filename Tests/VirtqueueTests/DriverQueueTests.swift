// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import Testing
import Virtqueue

@Suite struct DriverQueueTests {
    @Test func laysOutAChain() throws {
        let bench = try Bench(size: 4)
        let head = try bench.add(
            [buffer(0x10_1122, 40), buffer(0x10_3344, 0x55)], [buffer(0x10_6677, 0x8899)])
        #expect(head == 0)
        let golden: [UInt8] = [
            0x22, 0x11, 0x10, 0, 0, 0, 0, 0,  // 0: address
            40, 0, 0, 0, 1, 0, 1, 0,  //         length, NEXT, next 1
            0x44, 0x33, 0x10, 0, 0, 0, 0, 0,  // 1
            0x55, 0, 0, 0, 1, 0, 2, 0,  //       NEXT, next 2
            0x77, 0x66, 0x10, 0, 0, 0, 0, 0,  // 2
            0x99, 0x88, 0, 0, 2, 0, 0, 0,  //    WRITE
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  // 3
            0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  // available: flags, index 1, ring[0] = 0, …, used_event
        ]
        #expect(try bench.read(golden.count, at: 0) == golden)

        #expect(try bench.pop())
        bench.device.push(head: bench.chain.head, written: 0x1234)
        bench.device.publish()
        let used: [UInt8] = [
            0, 0, 1, 0,  // flags, index 1
            0, 0, 0, 0, 0x34, 0x12, 0, 0,  // ring[0]: id, length
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  // ring[1…3]
            0, 0,  // avail_event
        ]
        #expect(RingLayout.usedOffset(4) == 128)
        #expect(try bench.read(used.count, at: 128) == used)
        #expect(try bench.driver.popUsed() == UsedElement(head: 0, written: 0x1234))
        #expect(try bench.driver.popUsed() == nil)
    }
}
