// SPDX-License-Identifier: Apache-2.0
import Errors
import Testing

private enum Failure: MessageSizeError, Equatable {
    case payloadSize(Int)
}

@Suite struct MessageBytesTests {
    @Test func fieldsBothWays() throws {
        let bytes: [UInt8] = [
            1,  // u8
            0x03, 0x02,  // u16
            7, 6, 5, 4,  // u32
            15, 14, 13, 12, 11, 10, 9, 8,  // u64
            0, 0,  // zeros
            42,
        ]
        var writer = ByteWriter(capacity: 4)
        writer.u8(1)
        writer.u16(0x0203)
        writer.u32(0x0405_0607)
        writer.u64(0x0809_0a0b_0c0d_0e0f)
        writer.zeros(2)
        writer.append([42])
        #expect(writer.bytes == bytes)

        var reader = ByteReader<Failure>(bytes)
        #expect(try reader.u8() == 1)
        #expect(try reader.u16() == 0x0203)
        #expect(try reader.u32() == 0x0405_0607)
        #expect(try reader.u64() == 0x0809_0a0b_0c0d_0e0f)
        #expect(reader.remainingByteCount == 3)
        #expect(try reader.take(3) == [0, 0, 42])
        #expect(try reader.take(0) == [])
    }

    @Test func beyondTheEnd() throws {
        for count in 0..<8 {
            var reader = ByteReader<Failure>([UInt8](repeating: 1, count: count))
            #expect(throws: Failure.payloadSize(count)) { try reader.u64() }
            // Nothing was taken.
            #expect(reader.remainingByteCount == count)
        }
        var reader = ByteReader<Failure>([1, 2])
        #expect(throws: Failure.payloadSize(2)) { _ = try reader.take(3) }
        #expect(throws: Failure.payloadSize(2)) { _ = try reader.take(-1) }
        #expect(throws: Failure.payloadSize(2)) { _ = try reader.take(.max) }
    }

    @Test func exactSize() throws {
        #expect(throws: Never.self) { _ = try ByteReader<Failure>([1, 2], expecting: 2) }
        #expect(throws: Failure.payloadSize(2)) { _ = try ByteReader<Failure>([1, 2], expecting: 3) }
        #expect(throws: Failure.payloadSize(2)) { _ = try ByteReader<Failure>([1, 2], expecting: 1) }
    }
}
