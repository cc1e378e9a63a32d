// SPDX-License-Identifier: Apache-2.0
import GuestMemory
import Testing
import Virtqueue

@testable import Frontend

@Suite struct FramingTests {
    private func pieces(_ framing: Framing, header: Int, data: Int, count: Int) -> [(UInt64, UInt32)] {
        var buffers: [GuestBuffer] = []
        framing.append(
            base: GuestAddress(0x1000), headerByteCount: header, dataOffset: data, byteCount: count,
            to: &buffers)
        return buffers.map { ($0.address.rawValue, $0.byteCount) }
    }

    @Test func linuxPutsHeaderArgumentsAndPagesApart() {
        // A WRITE of 5000 bytes: fuse_in_header, fuse_write_in, two pages.
        let write = pieces(.linux, header: 40, data: 80, count: 5080)
        #expect(write.map(\.1) == [40, 40, 4096, 904])
        #expect(write.map(\.0) == [0x1000, 0x1028, 0x1050, 0x2050])
        // A READ's reply: fuse_out_header, pages.
        #expect(pieces(.linux, header: 16, data: 16, count: 16 + 4097).map(\.1) == [16, 4096, 1])
        // A request without arguments, and a reply that is a header only.
        #expect(pieces(.linux, header: 40, data: 40, count: 40).map(\.1) == [40])
        #expect(pieces(.linux, header: 16, data: 16, count: 16).map(\.1) == [16])
        // Less than a header.
        #expect(pieces(.linux, header: 40, data: 40, count: 7).map(\.1) == [7])
        #expect(pieces(.linux, header: 16, data: 0, count: 0).isEmpty)
    }

    @Test(arguments: Framing.allCases) func everyByteIsCoveredOnce(framing: Framing) {
        for count in [1, 15, 16, 40, 56, 4096, 4097, 100_000] {
            var next: UInt64 = 0x1000
            for (address, length) in pieces(framing, header: 16, data: min(40, count), count: count) {
                #expect(address == next && length > 0)
                next += UInt64(length)
            }
            #expect(next == 0x1000 + UInt64(count))
        }
    }
}
