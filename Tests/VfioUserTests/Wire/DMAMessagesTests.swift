// SPDX-License-Identifier: Apache-2.0
import Errors
import MessageTools
import Testing

@testable import VfioUser

@Suite struct DMAMessagesTests {
    private func map(
        argumentByteCount: UInt32 = 32, flags: UInt32 = 3, offset: UInt64 = 0, address: UInt64 = 0,
        size: UInt64 = 4096
    ) -> [UInt8] {
        le32(argumentByteCount) + le32(flags) + le64(offset) + le64(address) + le64(size)
    }

    @Test func mapGolden() throws {
        let bytes: [UInt8] = [
            32, 0, 0, 0,  // argsz
            3, 0, 0, 0,  // flags: readable, writable
            0, 0x10, 0, 0, 0, 0, 0, 0,  // offset in the file: 4096
            0, 0, 0, 0, 1, 0, 0, 0,  // address: 4 GiB
            0, 0, 0x20, 0, 0, 0, 0, 0,  // size: 2 MiB
        ]
        let range = DMARange(
            address: 1 << 32, size: 2 << 20, fileOffset: 4096, isReadable: true, isWritable: true)
        #expect(try DMARange(decoding: bytes) == range)
        for wrong in [Array(bytes.dropLast()), bytes + [0], []] {
            #expect(throws: Errno.EINVAL) { try DMARange(decoding: wrong) }
        }
    }

    @Test func mapFlags() throws {
        for flags: UInt32 in 0...31 {
            let bytes = map(flags: flags)
            guard flags < 16, flags & 3 != 0 else {
                #expect(throws: Errno.EINVAL) { try DMARange(decoding: bytes) }
                continue
            }
            let range = try DMARange(decoding: bytes)
            #expect(range.isReadable == (flags & 1 != 0))
            #expect(range.isWritable == (flags & 2 != 0))
        }
        #expect(throws: Errno.EINVAL) { try DMARange(decoding: map(flags: 0x8000_0003)) }
    }

    /// The last that is allowed, and one page or byte more.
    @Test func mapBoundaries() throws {
        let top = UInt64.max - 4095
        let fileEnd = UInt64(Int64.max) & ~4095
        for bytes in [
            map(address: top - 4096), map(size: fileEnd), map(offset: fileEnd - 4096),
            map(offset: 4096, size: fileEnd - 4096), map(argumentByteCount: 33),
        ] {
            #expect(throws: Never.self) { try DMARange(decoding: bytes) }
        }
        for bytes in [
            map(address: top), map(size: top), map(address: 1 << 63, size: 1 << 63), map(size: 0),
            map(size: 4095), map(address: 1),
            map(address: 2048), map(offset: 512), map(offset: fileEnd), map(offset: top),
            map(offset: 4096, size: fileEnd), map(argumentByteCount: 31), map(argumentByteCount: 0),
        ] {
            #expect(throws: Errno.EINVAL) { try DMARange(decoding: bytes) }
        }
    }

    @Test func unmapGolden() throws {
        let bytes: [UInt8] = [
            24, 0, 0, 0,  // argsz
            0, 0, 0, 0,  // flags
            0, 0, 0, 0, 1, 0, 0, 0,  // address: 4 GiB
            0, 0, 0x20, 0, 0, 0, 0, 0,  // size: 2 MiB
        ]
        #expect(try DMAUnmap(decoding: bytes) == .range(address: 1 << 32, size: 2 << 20))
        for wrong in [Array(bytes.dropLast()), bytes + [0], []] {
            #expect(throws: Errno.EINVAL) { try DMAUnmap(decoding: wrong) }
        }
        let all: [UInt8] =
            [
                24, 0, 0, 0,  // argsz
                2, 0, 0, 0,  // flags: all
            ] + zeros(16)
        #expect(try DMAUnmap(decoding: all) == .all)
    }

    @Test func unmapRefusals() {
        for (argumentByteCount, flags, address, size): (UInt32, UInt32, UInt64, UInt64) in [
            (23, 0, 0, 4096), (24, 1, 0, 4096), (24, 4, 0, 4096), (24, 3, 0, 0), (24, 0, 0, 0),
            (24, 0, 1 << 63, 1 << 63), (24, 2, 4096, 0), (24, 2, 0, 4096),
        ] {
            let bytes = le32(argumentByteCount) + le32(flags) + le64(address) + le64(size)
            #expect(throws: Errno.EINVAL) { try DMAUnmap(decoding: bytes) }
        }
    }
}
