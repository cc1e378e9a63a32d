// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import GuestMemory
import HostOS
import Testing

@Suite struct GuestMemoryTests {
    private func place(_ memory: GuestMemory, _ address: UInt64, _ count: Int) -> Result<[Int], MemoryFault> {
        let list = IOVectorList(capacity: 8)
        do throws(MemoryFault) {
            try memory.append(GuestAddress(address), byteCount: count, to: list)
        } catch { return .failure(error) }
        return .success(lengths(of: list.window(from: 0, atMost: .max)))
    }

    @Test func sortsRegionsAndRefusesOverlap() throws {
        let low = try makeRegion(at: 0, byteCount: 0x4000)
        let high = try makeRegion(at: 0x10000, byteCount: 0x4000)
        let memory = try GuestMemory(regions: [high, low])
        #expect(memory.regions.map(\.guestAddress.rawValue) == [0, 0x10000])

        let touching = try makeRegion(at: 0x4000, byteCount: 0x1000)
        #expect(try memory.adding(touching).regions.count == 3)
        let overlapping = try makeRegion(at: 0x3fff, byteCount: 1)
        #expect(throws: Errno.EEXIST) { try memory.adding(overlapping) }
        #expect(throws: Errno.EEXIST) { try memory.adding(low) }
        #expect(memory.regions.count == 2)
    }

    @Test func limitsTheNumberOfRegions() throws {
        let regions = try (0..<509).map { try makeRegion(at: UInt64($0) * 0x1000, byteCount: 0x1000) }
        let full = try GuestMemory(regions: regions)
        let more = try makeRegion(at: 0x1_0000_0000, byteCount: 0x1000)
        #expect(throws: Errno.ENOSPC) { try full.adding(more) }
        // Every region is found, and a range over all of them is followed to its end.
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: 509 * 0x1000, alignment: 1)
        defer { target.deallocate() }
        for index in 0..<509 {
            try withUnsafeBytes(of: UInt16(index)) {
                try full.copy($0, to: GuestAddress(UInt64(index) * 0x1000 + 0xffe))
            }
        }
        try full.copy(from: GuestAddress(0), into: target)
        for index in 0..<509 {
            #expect(
                target.loadUnaligned(fromByteOffset: index * 0x1000 + 0xffe, as: UInt16.self) == UInt16(index)
            )
        }
    }

    @Test func removesOnlyTheExactRegion() throws {
        let region = try makeRegion(at: 0x1000, byteCount: 0x2000, user: 0x5000, offset: 0x1000)
        let memory = try GuestMemory(regions: [region])
        for (guest, count, user) in [
            (0x1001, 0x2000, 0x5000), (0x1000, 0x1fff, 0x5000), (0x1000, 0x2000, 0x5001),
        ] {
            #expect(throws: Errno.ENOENT) {
                try memory.removing(
                    guestAddress: GuestAddress(UInt64(guest)), byteCount: UInt64(count),
                    userAddress: UInt64(user))
            }
        }
        let empty = try memory.removing(
            guestAddress: GuestAddress(0x1000), byteCount: 0x2000, userAddress: 0x5000)
        #expect(empty.regions.isEmpty)
        #expect(memory.regions.count == 1)
        #expect(place(empty, 0x1000, 1) == .failure(.outsideMemory))
        #expect(place(memory, 0x1000, 1) == .success([1]))
    }

    @Test func translatesWithinAndAcrossRegions() throws {
        // Two that touch, a hole, one more. Separate mappings, so pieces do not join by chance of layout.
        let memory = try GuestMemory(regions: [
            makeRegion(at: 0x1000, byteCount: 0x1000, offset: 0x800),
            makeRegion(at: 0x2000, byteCount: 0x1000, offset: 0x400),
            makeRegion(at: 0x8000, byteCount: 0x1000),
        ])
        #expect(place(memory, 0x1000, 0x1000) == .success([0x1000]))
        #expect(place(memory, 0x1fff, 1) == .success([1]))
        #expect(place(memory, 0x1ff0, 0x20) == .success([0x10, 0x10]))
        #expect(place(memory, 0x1000, 0x2000) == .success([0x1000, 0x1000]))
        #expect(place(memory, 0x8fff, 1) == .success([1]))
        #expect(place(memory, 0x1234, 0) == .success([]))
        // A length of 0 needs no memory.
        #expect(place(memory, 0x5000, 0) == .success([]))

        let outside: [(UInt64, Int)] = [
            (0xfff, 1), (0xfff, 2), (0x3000, 1), (0x2fff, 2), (0x7fff, 2), (0x9000, 1), (0x8fff, 2),
            (.max, 1),
            (.max, .max), (0x1000, .max), (0x1000, -1), (0x1000, .min), (0, 0x9000),
        ]
        for (address, count) in outside {
            #expect(place(memory, address, count) == .failure(.outsideMemory), "\(address) \(count)")
        }
    }

    @Test func reportsAFullList() throws {
        let memory = try GuestMemory(regions: [
            makeRegion(at: 0x1000, byteCount: 0x1000, offset: 0x800),
            makeRegion(at: 0x2000, byteCount: 0x1000, offset: 0x400),
        ])
        let list = IOVectorList(capacity: 1)
        #expect(throws: MemoryFault.tooManyVectors) {
            try memory.append(GuestAddress(0x1ff0), byteCount: 0x20, to: list)
        }
    }

    @Test func copiesBothWaysAcrossABorder() throws {
        let memory = try GuestMemory(regions: [
            makeRegion(at: 0x1000, byteCount: 0x1000, offset: 0x123),
            makeRegion(at: 0x2000, byteCount: 0x1000),
        ])
        let sent: [UInt8] = (0..<200).map { UInt8($0) }
        try sent.withUnsafeBytes { try memory.copy($0, to: GuestAddress(0x2000 - 77)) }
        var received = [UInt8](repeating: 0, count: 200)
        try received.withUnsafeMutableBytes { try memory.copy(from: GuestAddress(0x2000 - 77), into: $0) }
        #expect(received == sent)
        #expect(throws: MemoryFault.outsideMemory) {
            try sent.withUnsafeBytes { try memory.copy($0, to: GuestAddress(0x3000 - 199)) }
        }
        #expect(throws: MemoryFault.outsideMemory) {
            try received.withUnsafeMutableBytes { try memory.copy(from: GuestAddress(0xfff), into: $0) }
        }
    }

    @Test func findsAreasByGuestAndByUserAddress() throws {
        let memory = try GuestMemory(regions: [
            makeRegion(at: 0x1000, byteCount: 0x1000, user: 0x9000_0000),
            makeRegion(at: 0x2000, byteCount: 0x1000, user: 0x8000_0000),
        ])
        memory.regions[1].fill()
        let byUser = try memory.area(atUser: 0x8000_0010, byteCount: 16, alignment: 16)
        #expect(byUser.loadRelaxedPair64(0).0 == 0x1716_1514_1312_1110)
        let byGuest = try memory.area(at: GuestAddress(0x2ff0), byteCount: 16, alignment: 16)
        #expect(byGuest.byteCount == 16)
        byUser.storeRelaxed32(4, 7)
        #expect(try memory.area(at: GuestAddress(0x2014), byteCount: 4, alignment: 4).loadRelaxed32(0) == 7)

        #expect(throws: Errno.EFAULT) { try memory.area(atUser: 0x9000_0ff0, byteCount: 17, alignment: 16) }
        #expect(throws: Errno.EFAULT) { try memory.area(atUser: 0x7fff_ffff, byteCount: 1, alignment: 1) }
        #expect(throws: Errno.EFAULT) { try memory.area(atUser: 0x8000_1000, byteCount: 1, alignment: 1) }
        #expect(throws: Errno.EFAULT) { try memory.area(atUser: .max, byteCount: .max, alignment: 1) }
        #expect(throws: Errno.EINVAL) { try memory.area(atUser: 0x8000_0008, byteCount: 16, alignment: 16) }
        #expect(throws: Errno.EINVAL) { try memory.area(atUser: 0x8000_0000, byteCount: 0, alignment: 16) }
        // An area lies in one region, even where the next one touches it.
        #expect(throws: Errno.EFAULT) {
            try memory.area(at: GuestAddress(0x1ff0), byteCount: 32, alignment: 16)
        }
        #expect(throws: Errno.EFAULT) {
            try memory.area(at: GuestAddress(0x3000), byteCount: 1, alignment: 1)
        }
    }
}

extension MemoryRegion {
    /// Byte n becomes n modulo 256.
    fileprivate func fill() {
        let memory = try! GuestMemory(regions: [self])
        let pattern = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0) }
        try! pattern.withUnsafeBytes { try memory.copy($0, to: guestAddress) }
    }
}
