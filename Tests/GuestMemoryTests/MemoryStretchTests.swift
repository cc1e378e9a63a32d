// SPDX-License-Identifier: Apache-2.0
import GuestMemory
import Testing

@Suite struct MemoryStretchTests {
    @Test func isTheWholeRegionAndNoMore() throws {
        let memory = try GuestMemory(regions: [
            makeRegion(at: 0x1000, byteCount: 0x1000, offset: 0x800),
            makeRegion(at: 0x2000, byteCount: 0x1000),
        ])
        try withUnsafeBytes(of: UInt64(0x1122_3344_5566_7788)) {
            try memory.copy($0, to: GuestAddress(0x1ff8))
        }
        let stretch = memory.stretch(around: GuestAddress(0x1234))
        let word = stretch.host(GuestAddress(0x1ff8), byteCount: 8)
        #expect(word?.loadUnaligned(as: UInt64.self) == 0x1122_3344_5566_7788)
        let all = stretch.host(GuestAddress(0x1000), byteCount: 0x1000)
        #expect(all != nil && word.map { $0 - 0xff8 } == all)

        let outside: [(UInt64, UInt64)] = [
            (0xfff, 1), (0x2000, 1), (0x1fff, 2), (0x1000, 0x1001), (0x1800, 0), (0x1000, .max), (.max, 1),
            (0, 0x2000), (.max, .max),
        ]
        for (address, count) in outside {
            #expect(stretch.host(GuestAddress(address), byteCount: count) == nil, "\(address) \(count)")
        }
        // Hints about what is not there do nothing.
        stretch.prefetch(GuestAddress(0x9000))
        stretch.prefetch(through: GuestAddress(0x1ff8))
        stretch.prefetch(through: GuestAddress(0x1ffc))
    }

    @Test func isNothingOutsideAndWhereMemoryMayGo() throws {
        let memory = try GuestMemory(regions: [
            makeRegion(at: 0x1000, byteCount: 0x1000),
            makeRegion(at: 0x8000, byteCount: 0x1000, mayShrink: true),
        ])
        for address in [0, 0xfff, 0x2000, 0x8000, 0x8fff, .max] as [UInt64] {
            let stretch = memory.stretch(around: GuestAddress(address))
            #expect(stretch.host(GuestAddress(address), byteCount: 1) == nil, "\(address)")
        }
        #expect(MemoryStretch.none.host(GuestAddress(0), byteCount: 1) == nil)
    }
}
