// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import GuestMemory
import Testing

@testable import Frontend

@Suite struct GuestRAMTests {
    @Test func regionsLieInTheFileInTheOppositeOrder() throws {
        let ram = try GuestRAM(
            byteCount: 0x5_0000, regionByteCount: 0x2_0000, guestBase: 0x1_0000_0000,
            userBase: 0x700_0000_0000)
        #expect(ram.regions.map(\.guestAddress) == [0x1_0000_0000, 0x1_0002_0000, 0x1_0004_0000])
        #expect(ram.regions.map(\.size) == [0x2_0000, 0x2_0000, 0x1_0000])
        #expect(ram.regions.map(\.userAddress) == [0x700_0000_0000, 0x700_0002_0000, 0x700_0004_0000])
        #expect(ram.regions.map(\.fileOffset) == [0x3_0000, 0x1_0000, 0])
        #expect(ram.userAddress(of: GuestAddress(0x1_0000_000c)) == 0x700_0000_000c)
    }

    @Test func bytesCrossBorders() throws {
        let ram = try GuestRAM(byteCount: 2 << 16, regionByteCount: 1 << 16)
        let border = GuestAddress(1 << 16 - 3)
        try ram.write([1, 2, 3, 4, 5, 6].span, at: border)
        #expect(try ram.read(6, at: border) == [1, 2, 3, 4, 5, 6])
        #expect(try ram.read(1, at: GuestAddress(1 << 16)) == [4])
    }

    @Test func outsideIsAnError() throws {
        let ram = try GuestRAM(byteCount: 1 << 16)
        #expect(throws: Errno.EFAULT) { try ram.read(2, at: GuestAddress(1 << 16 - 1)) }
        #expect(throws: Errno.EFAULT) { try ram.write([1, 2].span, at: GuestAddress(1 << 16 - 1)) }
    }

    @Test func theAllocatorKeepsContiguousPiecesInOneRegion() {
        var allocator = GuestAllocator(base: 0x10000, regionByteCount: 0x1000)
        #expect(allocator.take(0xf00, contiguous: true) == GuestAddress(0x10000))
        #expect(allocator.take(0x200, contiguous: true) == GuestAddress(0x11000))
        #expect(allocator.take(0x2000) == GuestAddress(0x11200), "others may cross")
        #expect(allocator.take(1, alignment: 64) == GuestAddress(0x13200))
        #expect(allocator.take(1, alignment: 64) == GuestAddress(0x13240))
        #expect(allocator.byteCount == 0x3241)
    }

    /// A back-end has the same descriptor: what it cuts off would be SIGBUS for us.
    @Test func nobodyShrinksIt() throws {
        let ram = try GuestRAM(byteCount: 1 << 16)
        #expect(ftruncate(ram.file, 4096) == -1 && errno == EPERM)
        #expect(try ram.read(1, at: GuestAddress(65535)) == [0])
    }
}
