// SPDX-License-Identifier: Apache-2.0
import GuestMemory
import Testing

@Suite struct SharedAreaTests {
    @Test func accessesAreLittleEndianAndInPlace() throws {
        let storage = UnsafeMutableRawBufferPointer.allocate(byteCount: 32, alignment: 8)
        defer { storage.deallocate() }
        let area = SharedArea(base: storage.baseAddress!, byteCount: 32)
        area.zero()
        area.storeRelaxed64(8, 0x8877_6655_4433_2211)
        area.storeRelaxed32(16, 0xddcc_bbaa)
        area.storeRelaxed16(20, 0x0201)
        area.storeRelease16(30, 0xfffe)
        let expected: [UInt8] = [
            0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0xaa, 0xbb, 0xcc, 0xdd, 1,
            2,
            0, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff,
        ]
        #expect([UInt8](storage) == expected)
        #expect(area.loadRelaxedPair64(8).0 == 0x8877_6655_4433_2211)
        #expect(area.loadRelaxed32(12) == 0x8877_6655)
        #expect(area.loadRelaxed16(20) == 0x0201)
        #expect(area.loadAcquire16(30) == 0xfffe)

        let part = area.part(at: 8, byteCount: 8)
        #expect(part.byteCount == 8)
        #expect(part.loadRelaxed32(4) == 0x8877_6655)
        part.zero()
        #expect(area.loadRelaxedPair64(8).0 == 0)
        #expect(area.loadRelaxed32(16) == 0xddcc_bbaa)
    }

    @Test(arguments: [-1, 7, 8, Int.max, Int.min]) func trapsOutside(offset: Int) async {
        await #expect(processExitsWith: .failure) { [offset] in
            let storage = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 8)
            _ = SharedArea(base: storage, byteCount: 8).loadRelaxed16(offset)
        }
    }
}
