// SPDX-License-Identifier: Apache-2.0
import MessageTools
import Testing

@testable import VhostUser

/// protocol.md §1.10.
@Suite struct LegacyMapPayloadTests {
    private let entries = [
        LegacyMapEntry(fileOffset: 0x1000, windowOffset: 0x2000, length: 0x3000, flags: 3),
        LegacyMapEntry(fileOffset: 0x4000, windowOffset: 0x5000, length: .max, flags: 1),
    ]

    @Test func arrays() throws {
        let bytes =
            le64(0x1000) + le64(0x4000) + zeros(48)  // fd_offset[8]
            + le64(0x2000) + le64(0x5000) + zeros(48)  // c_offset[8]
            + le64(0x3000) + le64(.max) + zeros(48)  // len[8]
            + le64(3) + le64(1) + zeros(48)  // flags[8]
        #expect(bytes.count == 256)
        let message = LegacyMapMessage(entries)
        #expect(message.encodedArrays == bytes)
        #expect(try LegacyMapMessage(decoding: bytes, as: .arrays) == message)
        for count in [0, 255, 257] {
            #expect(throws: VhostUserError.payloadSize(count)) {
                try LegacyMapMessage(decoding: zeros(count), as: .arrays)
            }
        }
        // A step in the last place, behind empty ones.
        let sparse = zeros(56) + le64(1) + zeros(56) + le64(2) + zeros(56) + le64(3) + zeros(56) + le64(4)
        #expect(
            try LegacyMapMessage(decoding: sparse, as: .arrays).entries == [
                LegacyMapEntry(fileOffset: 1, windowOffset: 2, length: 3, flags: 4)
            ])
    }

    @Test func list() throws {
        let bytes =
            le32(1)  // flags: DROP_FSETID
            + le16(2) + le16(0)  // count, padding
            + le64(0x1000) + le64(0x2000) + le64(0x3000) + le64(3)  // fd_offset, c_offset, len, flags
            + le64(0x4000) + le64(0x5000) + le64(.max) + le64(1)
        let message = LegacyMapMessage(entries, losesSetIDBits: true)
        #expect(message.encodedList == bytes)
        #expect(try LegacyMapMessage(decoding: bytes, as: .list) == message)
        // Slots that are not counted may follow; entries without a length are none.
        #expect(try LegacyMapMessage(decoding: bytes + zeros(32), as: .list) == message)
        #expect(try LegacyMapMessage(decoding: zeros(4) + le16(1) + zeros(34), as: .list).entries.isEmpty)
        #expect(try LegacyMapMessage(decoding: zeros(8), as: .list).entries.isEmpty)
        for bad in [zeros(7), zeros(39), zeros(4) + le16(1) + zeros(2), zeros(8 + 33 * 32)] {
            #expect(throws: VhostUserError.self) { try LegacyMapMessage(decoding: bad, as: .list) }
        }
        #expect(throws: VhostUserError.invalidValue) {
            try LegacyMapMessage(decoding: le32(2) + zeros(4), as: .list)
        }
    }

    /// The number and the size tell who is speaking.
    @Test func kinds() {
        func kind(_ request: UInt32, _ size: Int) -> (LegacyMapKind.Operation, LegacyMapKind.Layout)? {
            LegacyMapKind(request: request, payloadByteCount: size).map { ($0.operation, $0.layout) }
        }
        let operations: [LegacyMapKind.Operation] = [.map, .unmap, .synchronize, .transfer]
        for (index, operation) in operations.enumerated() {
            for base: UInt32 in [6, 1002] {
                #expect(kind(base + UInt32(index), 256).map { $0 == (operation, .arrays) } == true)
            }
        }
        for size in [8, 40, 72, 264, 1032] {
            #expect(kind(6, size).map { $0 == (.map, .list) } == true)
            #expect(kind(7, size).map { $0 == (.unmap, .list) } == true)
            #expect(kind(8, size).map { $0 == (.transfer, .list) } == true)
            for request: UInt32 in [2, 5, 9, 10, 1002] { #expect(kind(request, size) == nil) }
        }
        // What the specification has made of these numbers since: a UUID, a mapping.
        for request: UInt32 in [6, 7, 8] { #expect(kind(request, 16) == nil) }
        for request: UInt32 in [9, 10] { #expect(kind(request, 40) == nil) }
        #expect(kind(6, 0) == nil && kind(5, 256) == nil && kind(10, 256) == nil && kind(1006, 256) == nil)
    }
}
