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
            // Available: flags, index 1, ring[0] = 0, …, used_event
            0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
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

    @Test func laysOutAnIndirectChain() throws {
        let bench = try Bench(size: 2, features: .indirectDescriptors)
        let table = try bench.table(at: 0x10_8000, count: 3)
        let head = try bench.add(
            [buffer(0x10_0000, 1), buffer(0x10_1000, 2)], [buffer(0x10_2000, 3)], table: table)
        #expect(head == 0)
        #expect(bench.driver.freeDescriptors == 1)
        let ring: [UInt8] = [
            0x00, 0x80, 0x10, 0, 0, 0, 0, 0,  // the table
            48, 0, 0, 0, 4, 0, 0, 0,  //         3 × 16 bytes, INDIRECT
        ]
        #expect(try bench.read(16, at: 0) == ring)
        let content: [UInt8] = [
            0x00, 0x00, 0x10, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0,  // NEXT, next 1
            0x00, 0x10, 0x10, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 2, 0,  // NEXT, next 2
            0x00, 0x20, 0x10, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0,  // WRITE
        ]
        #expect(try bench.read(48, at: 0x10_8000) == content)
        #expect(try bench.pop())
        #expect(bench.chain.readableByteCount == 3)
        #expect(bench.chain.writableByteCount == 3)
        bench.device.push(head: 0, written: 3)
        bench.device.publish()
        #expect(try bench.driver.popUsed() == UsedElement(head: 0, written: 3))
        #expect(bench.driver.freeDescriptors == 2)
    }

    @Test func refusesWhatDoesNotFit() throws {
        let bench = try Bench(size: 4, features: .indirectDescriptors)
        let one = buffer(0x10_0000, 1)
        #expect(throws: Errno.EINVAL) { try bench.add([], []) }
        #expect(throws: Errno.EINVAL) { try bench.add([one, one, one], [one, one]) }
        let table = try bench.table(at: 0x10_8000, count: 2)
        #expect(throws: Errno.EINVAL) { try bench.add([one, one], [one], table: table) }
        #expect(throws: Errno.EINVAL) { try bench.add([], [], table: table) }
        #expect(bench.driver.freeDescriptors == 4)

        try bench.add([one, one], [one])
        #expect(throws: Errno.ENOSPC) { try bench.add([one], [one]) }
        try bench.add([one], [one], table: table)
        #expect(bench.driver.freeDescriptors == 0)
        #expect(bench.driver.outstanding == 2)
        #expect(throws: Errno.ENOSPC) { try bench.add([one], []) }
        #expect(throws: Errno.ENOSPC) { try bench.add([one], [], table: table) }

        let plain = try Bench(size: 4)
        #expect(throws: Errno.EINVAL) {
            try plain.add([one], [], table: plain.table(at: 0x10_8000, count: 1))
        }
    }

    @Test func publishesABatchAtOnce() throws {
        let bench = try Bench(size: 4)
        let one = [buffer(0x10_0000, 1)]
        let none: [GuestBuffer] = []
        for _ in 0..<3 { _ = try bench.driver.add(readable: one.span, writable: none.span) }
        #expect(!bench.driver.needsKick())
        #expect(!bench.device.hasAvailable)
        bench.driver.publish()
        #expect(bench.driver.needsKick())
        for _ in 0..<3 { #expect(try bench.pop()) }
        #expect(try bench.pop() == false)
    }

    @Test func chainsComeBackInAnyOrder() throws {
        let bench = try Bench(size: 8)
        let heads = try (1...3).map { count in
            try bench.add([GuestBuffer](repeating: buffer(0x10_0000, 1), count: count), [])
        }
        for _ in heads { #expect(try bench.pop()) }
        for head in [heads[1], heads[2], heads[0]] { bench.device.push(head: head, written: 0) }
        bench.device.publish()
        #expect(try bench.driver.popUsed()?.head == heads[1])
        #expect(bench.driver.freeDescriptors == 4)
        #expect(try bench.driver.popUsed()?.head == heads[2])
        #expect(try bench.driver.popUsed()?.head == heads[0])
        #expect(bench.driver.freeDescriptors == 8)
        // All of them can be used in one chain again.
        try bench.add([GuestBuffer](repeating: buffer(0x10_0000, 1), count: 8), [])
        #expect(try bench.pop())
        #expect(bench.chain.readableByteCount == 8)
    }
}
