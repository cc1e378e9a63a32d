// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import Testing

@testable import Virtqueue

@Suite struct RingLayoutTests {
    @Test func sizesAreTheSpecs() {
        #expect(RingLayout.descriptorsByteCount(256) == 4096)
        #expect(RingLayout.availableByteCount(256) == 518)
        #expect(RingLayout.usedByteCount(256) == 2054)
        #expect(RingLayout.availableOffset(256) == 4096)
        #expect(RingLayout.usedOffset(256) == 4096 + 576)
        #expect(RingLayout.contiguousByteCount(256) == 4096 + 576 + 2112)
        #expect(RingLayout.contiguousByteCount(1) == 64 + 64 + 64)
    }

    @Test func takesUserAddresses() throws {
        let memory = try GuestMemory(regions: [makeRegion(at: 0x1000, byteCount: 0x2000)])
        let base: UInt64 = 0x7000_0000_1000
        func layout(
            _ size: Int, _ descriptors: UInt64 = 0, _ available: UInt64 = 0x100, _ used: UInt64 = 0x200,
            maximum: Int = 1024
        ) throws(Errno) -> RingLayout {
            try RingLayout(
                size: size, maximumSize: maximum, userDescriptors: base &+ descriptors,
                userAvailable: base &+ available,
                userUsed: base &+ used, memory: memory)
        }
        let ring = try layout(16)
        ring.used.storeRelaxed16(0, 0x1234)
        #expect(
            try memory.area(at: GuestAddress(0x1200), byteCount: 2, alignment: 2).loadRelaxed16(0) == 0x1234)

        for size in [0, -1, .min, .max, 3, 24, 2048] { #expect(throws: Errno.EINVAL) { try layout(size) } }
        #expect(throws: Errno.EINVAL) { try layout(65536, maximum: .max) }
        _ = try layout(1)
        #expect(throws: Errno.EINVAL) { try layout(32, maximum: 16) }
        #expect(throws: Errno.EINVAL) { try layout(16, 8) }
        #expect(throws: Errno.EINVAL) { try layout(16, 0, 0x101) }
        #expect(throws: Errno.EINVAL) { try layout(16, 0, 0x100, 0x202) }
        // The last byte of each part decides.
        _ = try layout(16, 0x1f00, 0, 0)
        #expect(throws: Errno.EFAULT) { try layout(16, 0x1f10) }
        _ = try layout(16, 0, 0x1fda)
        #expect(throws: Errno.EFAULT) { try layout(16, 0, 0x1fdc) }
        _ = try layout(16, 0, 0x100, 0x1f78)
        #expect(throws: Errno.EFAULT) { try layout(16, 0, 0x100, 0x1f7c) }
        #expect(throws: Errno.EFAULT) { try layout(16, 0 &- 0x10) }
    }

    @Test func contiguousRingsNeedTheirMemory() throws {
        let memory = try GuestMemory(regions: [makeRegion(at: 0, byteCount: 0x1000)])
        #expect(throws: Errno.EFAULT) {
            try RingLayout(size: 256, contiguousAt: GuestAddress(0), memory: memory)
        }
        #expect(throws: Errno.EINVAL) {
            try RingLayout(size: 12, contiguousAt: GuestAddress(0), memory: memory)
        }
        #expect(throws: Errno.EINVAL) {
            try RingLayout(size: 8, contiguousAt: GuestAddress(8), memory: memory)
        }
        _ = try RingLayout(size: 8, contiguousAt: GuestAddress(16), memory: memory)
    }

    @Test func keepsTheRingBitsOfTheFeatures() {
        #expect(RingFeatures(negotiated: .max) == [.indirectDescriptors, .eventIndex])
        #expect(RingFeatures(negotiated: 0x1_3000_0000) == .all)
        #expect(RingFeatures(negotiated: 0x1000_0000) == .indirectDescriptors)
        #expect(RingFeatures(negotiated: 0x2000_0000) == .eventIndex)
        #expect(RingFeatures(negotiated: 0x4000_0000) == [])
    }

    /// The definition in words: some index in [old, new), counted modulo 2^16, is the event.
    @Test func passesIsTheHalfOpenIntervalAcrossTheWrap() {
        for old in [0, 1, 5, 0x7fff, 0x8000, 0xfffd, 0xffff] as [UInt16] {
            for step in [0, 1, 2, 7] as [UInt16] {
                for distance in -9...9 {
                    let event = old &+ UInt16(truncatingIfNeeded: distance)
                    let expected = (0..<step).contains { old &+ $0 == event }
                    #expect(
                        passes(event: event, from: old, to: old &+ step) == expected,
                        "\(old) \(step) \(distance)")
                }
            }
        }
    }
}
