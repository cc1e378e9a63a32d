// SPDX-License-Identifier: Apache-2.0
import Errors
import MessageTools
import Testing

@testable import VfioUser

@Suite struct RegionAccessTests {
    static let bytes: [UInt8] = [
        0x14, 0, 0, 0, 1, 0, 0, 0,  // offset
        7, 0, 0, 0,  // region
        4, 0, 0, 0,  // count
    ]

    @Test func golden() throws {
        var reader = WireReader(Self.bytes + [1])
        let access = try RegionAccess(from: &reader)
        #expect(access.offset == 0x1_0000_0014)
        #expect(access.region == 7)
        #expect(access.count == 4)
        #expect(reader.remainingByteCount == 1)
        #expect(access.encoded == Self.bytes)
        for count in 0..<16 {
            var reader = WireReader(Array(Self.bytes.prefix(count)))
            #expect(throws: Errno.EINVAL) { try RegionAccess(from: &reader) }
        }
    }

    @Test func bounds() throws {
        let most: UInt32 = 1_048_576
        let huge: UInt64 = 1 << 30
        let cases: [(offset: UInt64, count: UInt32, size: UInt64, fits: Bool)] = [
            (0, 1, 1, true), (0, 2, 1, false), (1, 1, 1, false), (2, 1, 1, false), (0, 0, 1, false),
            (255, 1, 256, true), (255, 2, 256, false), (0, 256, 256, true), (.max, 1, 256, false),
            (.max, 1, .max, false), (0, 1, 0, false), (0, most, huge, true), (0, most + 1, huge, false),
            (huge, most, .max, true), (0, .max, .max, false), (.max, .max, .max, false),
        ]
        for (offset, count, size, fits) in cases {
            var reader = WireReader(le64(offset) + le32(0) + le32(count))
            #expect(try RegionAccess(from: &reader).fits(size) == fits, "\(offset) \(count) \(size)")
        }
    }
}
