// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import GuestMemory
import HostOS
import Testing
import Virtqueue

/// Random ring memory: a pop gives a chain or throws, and a chain lies in guest memory, whatever the bytes are.
@Suite struct HostileRingTests {
    private static let size = 8
    private static let memoryEnd: UInt64 = 0x4000

    /// One region [0, 0x4000) with a ring at 0, and all of it random within what is nearly right.
    private func fill(_ layout: RingLayout, _ memory: GuestMemory, _ random: inout SeededGenerator) throws {
        func number(below limit: UInt64) -> UInt64 {
            switch Int.random(in: 0..<16, using: &random) {
            case 0: .random(in: 0...(.max), using: &random)
            case 1: limit
            case 2: limit &- 1
            default: .random(in: 0..<limit, using: &random)
            }
        }
        func poke(_ index: Int, _ table: SharedArea) {
            let flags: UInt16 = [
                0, NEXT, NEXT, NEXT, WRITE, WRITE | NEXT, INDIRECT, .random(in: 0...(.max), using: &random),
            ]
            .randomElement(using: &random)!
            let isIndirect = flags & INDIRECT != 0
            let byteCount =
                isIndirect
                ? 16 &* UInt32(truncatingIfNeeded: number(below: 16))
                : UInt32(truncatingIfNeeded: number(below: Bool.random(using: &random) ? 64 : Self.memoryEnd))
            let address = isIndirect ? 0x1000 &+ 16 &* number(below: 16) : number(below: Self.memoryEnd)
            pokeDescriptor(
                index, of: table, address, byteCount, flags: flags,
                next: UInt16(truncatingIfNeeded: number(below: UInt64(Self.size))))
        }
        // Where indirect descriptors point, mostly.
        let tables = try memory.area(at: GuestAddress(0x1000), byteCount: 0x100, alignment: 16)
        for index in 0..<16 { poke(index, tables) }
        for index in 0..<Self.size {
            poke(index, layout.descriptors)
            layout.available.storeRelaxed16(
                4 + 2 * index, UInt16(truncatingIfNeeded: number(below: UInt64(Self.size))))
        }
        layout.available.storeRelaxed16(2, UInt16(truncatingIfNeeded: number(below: UInt64(Self.size) + 1)))
    }

    @Test(arguments: [[], .all] as [RingFeatures]) func randomImages(features: RingFeatures) throws {
        let seed = SeededGenerator.announcedSeed("HostileRingTests.randomImages(\(features.rawValue >> 28))")
        var random = SeededGenerator(seed: seed)
        let region = try makeRegion(at: 0, byteCount: Self.memoryEnd)
        let memory = try GuestMemory(regions: [region])
        let layout = try RingLayout(size: Self.size, contiguousAt: GuestAddress(0), memory: memory)
        let whole = IOVectorList(capacity: 1)
        try memory.append(GuestAddress(0), byteCount: Int(Self.memoryEnd), to: whole)
        let piece = whole.window(from: 0, atMost: .max).base![0]
        let inside =
            UInt(bitPattern: piece.iov_base)...UInt(bitPattern: piece.iov_base) + UInt(Self.memoryEnd)

        let chain = Chain()
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 16)
        defer { scratch.deallocate() }
        var faults: [RingFault: Int] = [:]
        var chains = 0
        for round in 0..<10_000 {
            try fill(layout, memory, &random)
            let device = DeviceQueue(layout: layout, features: features)
            var pops = 0
            do throws(RingFault) {
                while try device.pop(into: chain, memory: memory) {
                    pops += 1
                    chains += 1
                    for vectors in [chain.readableVectors(from: 0), chain.writableVectors(from: 0)] {
                        for index in 0..<vectors.count {
                            let entry = vectors.base![index]
                            let start = UInt(bitPattern: entry.iov_base)
                            let isInside =
                                inside.contains(start) && inside.contains(start + UInt(entry.iov_len))
                            if !isInside { Issue.record("outside memory: seed \(seed) round \(round)") }
                        }
                    }
                    let copied = chain.copyReadable(from: 0, into: scratch)
                    if copied != min(256, chain.readableByteCount) {
                        Issue.record("short copy: seed \(seed)")
                    }
                    device.push(head: chain.head, written: 0)
                    if pops > 0x1_0000 { Issue.record("endless: seed \(seed) round \(round)"); break }
                }
            } catch { faults[error, default: 0] += 1 }
            device.publish()
            _ = device.needsNotification()
            _ = device.enableNotifications()
        }
        // The images are near enough to right that the rounds end in every way there is.
        #expect(chains > 1000)
        var expected: Set<RingFault> = [
            .availableIndexJumped, .headOutOfRange, .descriptorOutOfRange, .chainTooLong,
            .readableAfterWritable,
            .addressOutsideMemory,
        ]
        expected.formUnion(
            features.contains(.indirectDescriptors)
                ? [.nestedIndirect, .indirectWithNext, .badIndirectTableSize] : [.indirectNotNegotiated])
        #expect(expected.isSubset(of: faults.keys), "\(faults)")
    }

    /// A driver that rewrites the ring while the device walks it.
    @Test func changingUnderTheDevice() throws {
        let seed = SeededGenerator.announcedSeed("HostileRingTests.changingUnderTheDevice")
        let memory = try GuestMemory(regions: [makeRegion(at: 0, byteCount: Self.memoryEnd)])
        let layout = try RingLayout(size: Self.size, contiguousAt: GuestAddress(0), memory: memory)
        let stop = try EventFD()
        let scribbler = try Thread(name: "scribbler") {
            var random = SeededGenerator(seed: seed)
            var count: UInt64 = 0
            repeat {
                try? self.fill(layout, memory, &random)
            } while read(stop.descriptor.rawValue, &count, 8) != 8
        }
        let chain = Chain()
        var (chains, rounds) = (0, 0)
        // The scribbler is often not scheduled at once, and many of its images hold no chain.
        while chains < 3000, rounds < 1_000_000 {
            rounds += 1
            let device = DeviceQueue(layout: layout, features: .all)
            for _ in 0..<64 {
                guard (try? device.pop(into: chain, memory: memory)) == true else { break }
                chains += 1
                let total =
                    chain.readableVectors(from: 0).byteCount + chain.writableVectors(from: 0).byteCount
                if total != chain.readableByteCount + chain.writableByteCount { Issue.record("seed \(seed)") }
                device.push(head: chain.head, written: 0)
            }
            device.publish()
        }
        stop.signal()
        scribbler.join()
        #expect(chains >= 3000)
    }
}
