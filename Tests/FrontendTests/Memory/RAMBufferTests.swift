// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import Testing

@testable import Frontend

@Suite struct RAMBufferTests {
    @Test func weAndTheGuestSeeTheSameBytes() throws {
        let ram = try GuestRAM(byteCount: 1 << 17, regionByteCount: 1 << 16, guestBase: 0x1_0000_0000)
        let buffer = try RAMBuffer(
            at: GuestAddress(0x1_0001_0000), byteCount: 8192, memory: ram.memory)
        [UInt8]([1, 2, 3]).withUnsafeBytes { buffer.copy($0, at: 4095) }
        #expect(try ram.read(3, at: GuestAddress(0x1_0001_0fff)) == [1, 2, 3])
        let part = buffer.part(at: 4095, byteCount: 3)
        #expect(part.address == GuestAddress(0x1_0001_0fff) && part.byteCount == 3)
        let vector = buffer.vector(at: 4095, byteCount: 3)
        #expect(vector.iov_base == buffer.base + 4095 && vector.iov_len == 3)
        #expect(UInt(bitPattern: buffer.base) % 4096 == 0)
        try ram.write([9].span, at: GuestAddress(0x1_0001_0000))
        var back: [UInt8] = [0]
        back.withUnsafeMutableBytes { buffer.copy(from: 0, into: $0) }
        #expect(back == [9])
    }

    @Test func aTableLiesInTheBuffer() throws {
        let ram = try GuestRAM(byteCount: 1 << 16)
        let buffer = try RAMBuffer(at: GuestAddress(4096), byteCount: 4096, memory: ram.memory)
        let table = buffer.table(at: 32, descriptors: 3)
        #expect(table.address == GuestAddress(4128) && table.area.byteCount == 48)
        table.area.storeRelaxed32(0, 0x0403_0201)
        #expect(try ram.read(4, at: GuestAddress(4128)) == [1, 2, 3, 4])
    }

    @Test func aBufferMustLieInOneRegion() throws {
        let ram = try GuestRAM(byteCount: 1 << 17, regionByteCount: 1 << 16)
        #expect(throws: Errno.EFAULT) {
            try RAMBuffer(at: GuestAddress(1 << 16 - 4096), byteCount: 8192, memory: ram.memory)
        }
        #expect(throws: Errno.EFAULT) {
            try RAMBuffer(at: GuestAddress(1 << 17), byteCount: 4096, memory: ram.memory)
        }
    }
}
