// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import Testing
import Virtqueue

@Suite struct DeviceQueueTests {
    @Test func popsRequestsAndReturnsReplies() throws {
        let bench = try Bench(size: 8)
        #expect(try bench.pop() == false)
        #expect(!bench.device.hasAvailable)
        try bench.write([1, 2, 3], at: 0x10_0000)
        try bench.write([4, 5], at: 0x10_1000)
        let head = try bench.add(
            [buffer(0x10_0000, 3), buffer(0x10_1000, 2)], [buffer(0x10_2000, 4), buffer(0x10_3000, 4)])
        #expect(bench.device.hasAvailable)
        #expect(try bench.pop())
        let chain = bench.chain
        #expect(chain.head == head)
        #expect(chain.readableByteCount == 5)
        #expect(chain.writableByteCount == 8)
        #expect(chain.request == [1, 2, 3, 4, 5])
        #expect(bytes(of: chain.readableVectors(from: 2, atMost: 2)) == [3, 4])
        #expect(lengths(of: chain.writableVectors(from: 1)) == [3, 4])
        #expect(lengths(of: chain.writableVectors(from: 1, atMost: 4)) == [3, 1])
        let reply: [UInt8] = [9, 8, 7, 6, 5]
        #expect(reply.withUnsafeBytes { chain.copyToWritable($0, at: 2) } == 5)
        #expect(reply.withUnsafeBytes { chain.copyToWritable($0, at: 6) } == 2)
        #expect(try bench.read(4, at: 0x10_2000) == [0, 0, 9, 8])
        #expect(try bench.read(4, at: 0x10_3000) == [7, 6, 9, 8])

        #expect(bench.device.inFlight == 1)
        bench.device.push(head: chain.head, written: 7)
        #expect(bench.device.inFlight == 0)
        #expect(!bench.driver.hasUsed)
        bench.device.publish()
        #expect(bench.driver.hasUsed)
        #expect(try bench.driver.popUsed() == UsedElement(head: head, written: 7))
        #expect(bench.device.nextAvailable == 1)
    }

    @Test func eitherDirectionMayBeEmptyAndEmptyDescriptorsAreSkipped() throws {
        let bench = try Bench(size: 8)
        try bench.add([buffer(0x10_0000, 48)], [])
        #expect(try bench.pop())
        #expect(bench.chain.readableByteCount == 48)
        #expect(bench.chain.writableByteCount == 0)
        #expect(bench.chain.writableVectors(from: 0).count == 0)
        try bench.add([], [buffer(0x10_0000, 48)])
        #expect(try bench.pop())
        #expect(bench.chain.readableByteCount == 0)
        #expect(bench.chain.writableByteCount == 48)
        // Empty descriptors need no address, and their direction does not matter.
        try bench.add([buffer(.max, 0), buffer(0x10_0000, 1)], [buffer(0, 0)])
        #expect(try bench.pop())
        #expect(bench.chain.readableByteCount == 1)
        #expect(bench.chain.writableByteCount == 0)
        bench.layout.poke(7, 0, 0, flags: WRITE | NEXT, next: 6)
        bench.layout.poke(6, 0x10_0000, 2, flags: 0)
        bench.layout.pokeAvailable([0, 0, 0, 7], index: 4)
        #expect(try bench.pop())
        #expect(bench.chain.readableByteCount == 2)
    }

    @Test func chainsMayCrossRegions() throws {
        let bench = try Bench(size: 4)
        let content = (0..<100).map { UInt8($0) }
        try bench.write(content, at: Bench.border - 30)
        try bench.add([buffer(Bench.border - 30, 100)], [buffer(Bench.border - 8, 16)])
        #expect(try bench.pop())
        #expect(bench.chain.request == content)
        #expect(lengths(of: bench.chain.readableVectors(from: 10)) == [20, 70])
        #expect(lengths(of: bench.chain.writableVectors(from: 0)) == [8, 8])
    }

    /// Pages that follow on one another are put together, but neither across regions nor across the two directions.
    @Test func neighboursMakeOnePiece() throws {
        let bench = try Bench(size: 8)
        let content = (0..<96).map { UInt8($0) }
        try bench.write(content, at: Bench.border - 64)
        try bench.add(
            [buffer(Bench.border - 64, 32), buffer(Bench.border - 32, 48), buffer(Bench.border + 16, 16)],
            [buffer(Bench.border + 32, 8), buffer(Bench.border + 40, 8), buffer(Bench.border + 64, 8)])
        #expect(try bench.pop())
        #expect(bench.chain.request == content)
        #expect(lengths(of: bench.chain.readableVectors(from: 0)) == [64, 32])
        #expect(lengths(of: bench.chain.writableVectors(from: 0)) == [16, 8])
        // The next chain begins anew, where the last one ended too.
        try bench.add([buffer(Bench.border + 72, 8)], [])
        #expect(try bench.pop())
        #expect(bench.chain.readableByteCount == 8 && bench.chain.writableByteCount == 0)
    }

    @Test func followsIndirectTables() throws {
        let bench = try Bench(size: 2, features: .indirectDescriptors)
        try bench.write([1, 2, 3], at: 0x10_0000)
        // A table may cross a region border and be aligned to 8 only; longer than the ring is fine too.
        let table = Bench.border - 24
        func pokeTable(_ index: UInt64, _ address: UInt64, _ count: UInt32, _ flags: UInt16, _ next: UInt16)
            throws
        {
            let rest = UInt64(count) | UInt64(flags) << 32 | UInt64(next) << 48
            try withUnsafeBytes(of: (address, rest)) {
                try bench.memory.copy($0, to: GuestAddress(table + 16 * index))
            }
        }
        try pokeTable(0, 0x10_0000, 1, NEXT, 3)
        try pokeTable(3, 0x10_0001, 2, NEXT, 1)
        try pokeTable(1, 0x10_0010, 5, WRITE | NEXT, 2)
        try pokeTable(2, 0x10_0020, 6, WRITE, 0)
        // The device-writable flag of the indirect descriptor itself means nothing; a direct part may come before it.
        bench.layout.poke(1, 0x10_0002, 1, flags: NEXT, next: 0)
        bench.layout.poke(0, table, 64, flags: INDIRECT | WRITE)
        bench.layout.pokeAvailable([1], index: 1)
        #expect(try bench.pop())
        #expect(bench.chain.head == 1)
        #expect(bench.chain.request == [3, 1, 2, 3])
        #expect(bench.chain.writableByteCount == 11)
    }

    /// Whatever a chain remembers of the memory it was last translated by.
    @Test func translatesByTheMemoryOfEachPop() throws {
        let bench = try Bench(size: 4, features: .indirectDescriptors)
        let other = try Bench(size: 4, features: .indirectDescriptors)
        try bench.write([1], at: 0x10_0000)
        try other.write([2], at: 0x10_0000)
        for (isIndirect, address) in [(false, 0x10_0000), (true, 0x10_0100)] as [(Bool, UInt64)] {
            for (memory, content) in [(bench, 1), (other, 2), (bench, 1)] as [(Bench, UInt8)] {
                // The ring is the first one's; a table is in the memory that counts.
                let table = try memory.table(at: 0x10_0100, count: 1)
                pokeDescriptor(0, of: table.area, 0x10_0000, 1, flags: 0)
                bench.layout.poke(0, address, isIndirect ? 16 : 1, flags: isIndirect ? INDIRECT : 0)
                try bench.device.take(0, into: bench.chain, memory: memory.memory)
                #expect(bench.chain.request == [content])
                bench.device.push(head: 0, written: 0)
            }
        }
    }

    @Test func indicesWrap() throws {
        let bench = try Bench(size: 4)
        // As after 65534 requests, with the ring taken over from another device.
        bench.layout.used.storeRelease16(2, 0xfffe)
        let device = DeviceQueue(layout: bench.layout, nextAvailable: 0xfffe, features: [])
        for index in 0..<4 { bench.layout.poke(index, 0x10_0000, UInt32(index + 1), flags: 0) }
        // Entries 0xfffe and 0xffff are ring places 2 and 3.
        bench.layout.pokeAvailable([2, 3, 0, 1], index: 2)
        for expected in [0, 1, 2, 3] as [UInt16] {
            #expect(try device.pop(into: bench.chain, memory: bench.memory))
            #expect(bench.chain.head == expected)
            device.push(head: expected, written: 0)
        }
        #expect(try device.pop(into: bench.chain, memory: bench.memory) == false)
        #expect(device.nextAvailable == 2)
        device.publish()
        #expect(bench.layout.used.loadAcquire16(2) == 2)
        #expect((0..<4).map { bench.layout.used.loadRelaxed32(4 + 8 * $0) } == [2, 3, 0, 1])
    }

    @Test(arguments: [[], .eventIndex] as [RingFeatures]) func runsPastTheWrap(features: RingFeatures) throws
    {
        let bench = try Bench(size: 4, features: features)
        for round in 0..<66_000 {
            let head = try bench.add([buffer(0x10_0000, 1)], [])
            guard try bench.pop() else { Issue.record("lost request \(round)"); return }
            bench.device.push(head: bench.chain.head, written: 0)
            bench.device.publish()
            guard try bench.driver.popUsed()?.head == head else {
                Issue.record("lost reply \(round)"); return
            }
        }
        #expect(bench.device.nextAvailable == UInt16(66_000 - 65_536))
    }

    @Test func relocatesWithItsIndices() throws {
        let bench = try Bench(size: 4)
        try bench.add([buffer(0x10_0000, 1)], [])
        #expect(try bench.pop())
        try bench.add([buffer(0x10_0000, 2)], [])
        // The VMM moves the ring: the same bytes elsewhere.
        let ring = try bench.read(RingLayout.contiguousByteCount(4), at: 0)
        try bench.write(ring, at: 0x1000)
        let moved = try RingLayout(size: 4, contiguousAt: GuestAddress(0x1000), memory: bench.memory)
        bench.device.relocate(to: moved)
        #expect(try bench.pop())
        #expect(bench.chain.readableByteCount == 2)
        bench.device.push(head: 0, written: 0)
        bench.device.publish()
        #expect(moved.used.loadAcquire16(2) == 1)
        #expect(bench.layout.used.loadAcquire16(2) == 0)
    }

    @Test func aChainKeepsItsMemory() throws {
        let chain = Chain()
        weak var gone: GuestMemory?
        do {
            let bench = try Bench(size: 2)
            gone = bench.memory
            try bench.write([42], at: 0x10_0000)
            try bench.add([buffer(0x10_0000, 1)], [])
            #expect(try bench.device.pop(into: chain, memory: bench.memory))
        }
        #expect(gone != nil)
        #expect(chain.request == [42])
    }
}
