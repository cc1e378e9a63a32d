// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import Testing
import Virtqueue

/// Every way to break a ring, from the smallest one on, next to what is still allowed.
@Suite struct RingFaultTests {
    private static let data: UInt64 = 0x10_0000
    private static let tableAddress: UInt64 = 0x14_0000

    private func expect(
        _ fault: RingFault?, _ bench: Bench, location: SourceLocation = #_sourceLocation
    ) {
        let before = bench.device.nextAvailable
        do throws(RingFault) {
            let popped = try bench.pop()
            #expect(
                popped && fault == nil, "popped instead of \(String(describing: fault))",
                sourceLocation: location)
        } catch {
            #expect(error == fault, sourceLocation: location)
            #expect(bench.device.nextAvailable == before, sourceLocation: location)
        }
    }

    @Test func availableIndex() throws {
        let bench = try Bench(size: 4)
        for index in 0..<4 { bench.layout.poke(index, Self.data, 1, flags: 0) }
        bench.layout.pokeAvailable([0, 1, 2, 3], index: 5)
        expect(.availableIndexJumped, bench)
        bench.layout.pokeAvailable([], index: 0xffff)  // backwards
        expect(.availableIndexJumped, bench)
        bench.layout.pokeAvailable([], index: 4)
        for _ in 0..<4 { expect(nil, bench) }
        // Its four chains are all with us, so a fifth cannot be meant.
        bench.layout.pokeAvailable([], index: 5)
        expect(.tooManyInFlight, bench)
        bench.device.push(head: 0, written: 0)
        expect(nil, bench)
    }

    @Test func heads() throws {
        let bench = try Bench(size: 4)
        for head in [4, 5, 0x8000, 0xffff] as [UInt16] {
            bench.layout.pokeAvailable([head], index: 1)
            expect(.headOutOfRange, bench)
        }
        bench.layout.poke(3, Self.data, 1, flags: 0)
        bench.layout.pokeAvailable([3], index: 1)
        expect(nil, bench)
    }

    @Test func links() throws {
        let bench = try Bench(size: 4)
        bench.layout.pokeAvailable([0], index: 1)
        for next in [4, 0xffff] as [UInt16] {
            bench.layout.poke(0, Self.data, 1, flags: NEXT, next: next)
            expect(.descriptorOutOfRange, bench)
        }
        bench.layout.poke(0, Self.data, 1, flags: NEXT, next: 0)  // itself
        expect(.chainTooLong, bench)
        bench.layout.poke(0, Self.data, 0, flags: NEXT, next: 1)  // a loop of empty descriptors
        bench.layout.poke(1, Self.data, 0, flags: NEXT, next: 0)
        expect(.chainTooLong, bench)
        for index in 0..<3 { bench.layout.poke(index, Self.data, 1, flags: NEXT, next: UInt16(index + 1)) }
        bench.layout.poke(3, Self.data, 1, flags: NEXT, next: 0)
        expect(.chainTooLong, bench)
        bench.layout.poke(3, Self.data, 1, flags: 0, next: 0xffff)  // next means nothing without the flag
        expect(nil, bench)
    }

    @Test func directions() throws {
        let bench = try Bench(size: 4)
        bench.layout.poke(0, Self.data, 1, flags: WRITE | NEXT, next: 1)
        bench.layout.poke(1, Self.data, 1, flags: 0)
        bench.layout.pokeAvailable([0], index: 1)
        expect(.readableAfterWritable, bench)
        bench.layout.poke(1, Self.data, 1, flags: WRITE)
        expect(nil, bench)
    }

    @Test func addressesAndLengths() throws {
        let bench = try Bench(size: 4)
        bench.layout.pokeAvailable([0], index: 1)
        let outside: [(UInt64, UInt32)] = [
            (Bench.end, 1), (Bench.end - 1, 2), (.max, 1), (.max, .max), (.max - 3, 8), (Self.data, .max),
        ]
        for (address, count) in outside {
            for flags in [0, WRITE] {
                bench.layout.poke(0, address, count, flags: flags)
                expect(.addressOutsideMemory, bench)
            }
        }
        bench.layout.poke(0, Bench.end - 1, 1, flags: 0)
        expect(nil, bench)
    }

    @Test func totalLength() throws {
        // 1 GiB of memory that is never touched, given five times.
        let memory = try GuestMemory(regions: [makeRegion(at: 0, byteCount: 0x4000_0000)])
        let layout = try RingLayout(size: 8, contiguousAt: GuestAddress(0), memory: memory)
        let device = DeviceQueue(layout: layout, features: [])
        let chain = Chain()
        for index in 0..<5 {
            layout.poke(index, 0, 0x4000_0000, flags: (index > 1 ? WRITE : 0) | NEXT, next: UInt16(index + 1))
        }
        layout.poke(3, 0, 0x4000_0000, flags: WRITE)
        layout.pokeAvailable([0], index: 1)
        #expect(try device.pop(into: chain, memory: memory))
        #expect(chain.readableByteCount == 1 << 31)
        #expect(chain.writableByteCount == 1 << 31)
        layout.poke(3, 0, 0x4000_0000, flags: WRITE | NEXT, next: 4)
        layout.poke(4, 0, 1, flags: WRITE)
        layout.pokeAvailable([0, 0], index: 2)
        #expect(throws: RingFault.lengthOverflow) { try device.pop(into: chain, memory: memory) }
    }

    @Test func pieces() throws {
        let bench = try Bench(size: 8)
        let small = Chain(capacity: 2)
        for (index, address) in [Self.data, Self.data + 10, Self.data + 20].enumerated() {
            bench.layout.poke(index, address, 1, flags: NEXT, next: UInt16(index + 1))
        }
        bench.layout.poke(3, Self.data, 1, flags: WRITE)
        bench.layout.pokeAvailable([0, 1], index: 1)
        #expect(throws: RingFault.tooManyVectors) { try bench.device.pop(into: small, memory: bench.memory) }
        bench.layout.poke(1, Self.data + 1, 1, flags: NEXT, next: 2)  // continues the first
        #expect(try bench.device.pop(into: small, memory: bench.memory))
    }

    @Test func indirectWithoutTheFeature() throws {
        let bench = try Bench(size: 4)
        bench.layout.poke(0, Self.tableAddress, 16, flags: INDIRECT)
        bench.layout.pokeAvailable([0], index: 1)
        expect(.indirectNotNegotiated, bench)
    }

    @Test func indirectTables() throws {
        let bench = try Bench(size: 4, features: .indirectDescriptors)
        let limit = UInt32(DeviceQueue.maximumIndirectDescriptors)
        let table = try bench.table(at: Self.tableAddress, count: Int(limit) + 1).area
        pokeDescriptor(0, of: table, Self.data, 1, flags: 0)
        bench.layout.pokeAvailable([0], index: 1)
        for byteCount in [0, 1, 15, 17, 31, 16 * limit + 16, .max, 0xffff_fff0] as [UInt32] {
            bench.layout.poke(0, Self.tableAddress, byteCount, flags: INDIRECT)
            expect(.badIndirectTableSize, bench)
        }
        for address in [Bench.end, Bench.end - 8, .max, .max - 15] {
            bench.layout.poke(0, address, 16, flags: INDIRECT)
            expect(.addressOutsideMemory, bench)
        }
        bench.layout.poke(0, Self.tableAddress, 16, flags: INDIRECT | NEXT, next: 1)
        expect(.indirectWithNext, bench)

        bench.layout.poke(0, Self.tableAddress, 32, flags: INDIRECT)
        pokeDescriptor(0, of: table, Self.tableAddress, 16, flags: INDIRECT)
        expect(.nestedIndirect, bench)
        // Bounded by the table, not the ring
        pokeDescriptor(0, of: table, Self.data, 1, flags: NEXT, next: 2)
        expect(.descriptorOutOfRange, bench)
        pokeDescriptor(0, of: table, Self.data, 1, flags: NEXT, next: 1)
        pokeDescriptor(1, of: table, Self.data, 1, flags: NEXT, next: 0)
        expect(.chainTooLong, bench)
        pokeDescriptor(1, of: table, Bench.end, 1, flags: 0)
        expect(.addressOutsideMemory, bench)
        // Readable after writable also counts across the table's border.
        bench.layout.poke(1, Self.data, 1, flags: WRITE | NEXT, next: 0)
        bench.layout.pokeAvailable([1], index: 1)
        expect(.readableAfterWritable, bench)

        // The longest table, every second descriptor far from the one before it.
        for index in 0..<Int(limit) {
            let isLast = index + 1 == Int(limit)
            pokeDescriptor(
                index, of: table, Self.data + UInt64(index % 2) * 64, 1, flags: isLast ? 0 : NEXT,
                next: UInt16(index + 1))
        }
        bench.layout.poke(0, Self.tableAddress, 16 * limit, flags: INDIRECT)
        bench.layout.pokeAvailable([0], index: 1)
        expect(nil, bench)
        #expect(bench.chain.readableByteCount == Int(limit))
    }

    @Test func whatADeviceCanBreak() throws {
        let bench = try Bench(size: 4)
        func used(_ id: UInt32, _ length: UInt32, index: UInt16) {
            bench.layout.used.storeRelaxed32(4, id)
            bench.layout.used.storeRelaxed32(8, length)
            bench.layout.used.storeRelease16(2, index)
        }
        let head = try bench.add([buffer(Self.data, 1)], [buffer(Self.data, 3), buffer(Self.data, 4)])
        #expect(head == 0)
        for index in [2, 5, 0xffff] as [UInt16] {
            used(0, 0, index: index)
            #expect(throws: RingFault.usedIndexJumped) { try bench.driver.popUsed() }
        }
        for id in [1, 3, 4, 0x1_0000, .max] as [UInt32] {
            used(id, 0, index: 1)
            #expect(throws: RingFault.unknownUsedElement) { try bench.driver.popUsed() }
        }
        used(0, 8, index: 1)
        #expect(throws: RingFault.usedLengthTooLong) { try bench.driver.popUsed() }
        used(0, 7, index: 1)
        #expect(try bench.driver.popUsed() == UsedElement(head: 0, written: 7))
        #expect(bench.driver.freeDescriptors == 4)
        // Twice is once too often, even if another chain is out.
        try bench.add([buffer(Self.data, 1)], [])
        try bench.add([buffer(Self.data, 1)], [])
        bench.layout.used.storeRelaxed32(12, 3)
        bench.layout.used.storeRelease16(2, 2)
        #expect(throws: RingFault.unknownUsedElement) { try bench.driver.popUsed() }
    }
}
