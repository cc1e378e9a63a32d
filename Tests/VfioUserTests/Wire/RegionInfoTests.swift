// SPDX-License-Identifier: Apache-2.0
import Errors
import MessageTools
import Testing

@testable import VfioUser

@Suite struct RegionInfoTests {
    /// Two pages of 16 KiB can be mapped.
    static let withParts = RegionInfo(
        size: 0x4000, isReadable: true, isWritable: true, mappable: [0x1000..<0x2000, 0x3000..<0x4000],
        file: 9)
    static let partsReply: [UInt8] = [
        80, 0, 0, 0,  // argsz: what the whole answer has
        15, 0, 0, 0,  // flags: read, write, map, capabilities
        1, 0, 0, 0,  // index
        32, 0, 0, 0,  // cap_offset
        0, 0x40, 0, 0, 0, 0, 0, 0,  // size
        0, 0, 0, 0, 0, 0, 0, 0,  // offset in the file
        1, 0,  // capability: parts that can be mapped
        1, 0,  // version
        0, 0, 0, 0,  // no next
        2, 0, 0, 0,  // parts
        0, 0, 0, 0,
        0, 0x10, 0, 0, 0, 0, 0, 0,  // offset
        0, 0x10, 0, 0, 0, 0, 0, 0,  // size
        0, 0x30, 0, 0, 0, 0, 0, 0,
        0, 0x10, 0, 0, 0, 0, 0, 0,
    ]

    @Test func parts() {
        #expect(Self.withParts.encoded(index: 1, limit: 80) == Self.partsReply)
        #expect(Self.withParts.encoded(index: 1, limit: .max) == Self.partsReply)
        #expect(Self.withParts.mappableFile == 9)
    }

    /// No room for the parts: they are announced, with a place that QEMU finds right, but left out.
    @Test(arguments: [32, 33, 79] as [UInt32]) func withoutRoomForParts(limit: UInt32) {
        #expect(Self.withParts.encoded(index: 1, limit: limit) == Array(Self.partsReply.prefix(32)))
    }

    @Test func plainAndMissing() {
        let plain = RegionInfo(size: 256, isReadable: true, isWritable: false)
        #expect(
            plain.encoded(index: 7, limit: 32) == [
                32, 0, 0, 0,  // argsz
                1, 0, 0, 0,  // flags: read
                7, 0, 0, 0,  // index
                0, 0, 0, 0,  // cap_offset
                0, 1, 0, 0, 0, 0, 0, 0,  // size
                0, 0, 0, 0, 0, 0, 0, 0,  // offset
            ])
        #expect(RegionInfo.none.encoded(index: 8, limit: 32) == le32(32) + le32(0) + le32(8) + zeros(20))
        let writable = RegionInfo(size: 1, isReadable: false, isWritable: true)
        #expect(writable.encoded(index: 0, limit: 32) == le32(32) + le32(2) + zeros(8) + le64(1) + zeros(8))
    }

    /// All of it can be mapped: nothing more has to be said.
    @Test func wholeRegion() {
        let whole = RegionInfo(
            size: 0x2000, isReadable: true, isWritable: true, mappable: [0..<0x2000], file: 9)
        #expect(
            whole.encoded(index: 2, limit: 100) == le32(32) + le32(7) + le32(2) + le32(0) + le64(0x2000)
                + le64(0))
        #expect(whole.mappableFile == 9)
    }

    /// Parts without a file, and a file without parts: nothing can be mapped, no descriptor goes along.
    @Test func nothingToMap() {
        var info = Self.withParts
        info.file = nil
        #expect(info.encoded(index: 0, limit: 80) == le32(32) + le32(3) + zeros(8) + le64(0x4000) + le64(0))
        #expect(info.mappableFile == nil)
        info = Self.withParts
        info.mappable = []
        #expect(info.encoded(index: 0, limit: 80) == le32(32) + le32(3) + zeros(8) + le64(0x4000) + le64(0))
        #expect(info.mappableFile == nil)
    }

    @Test func request() throws {
        let bytes: [UInt8] =
            [
                80, 0, 0, 0,  // argsz
                0, 0, 0, 0,  // flags
                8, 0, 0, 0,  // index: the last
            ] + zeros(20)
        #expect(try RegionInfo.decodeRequest(bytes) == (8, 80))
        for wrong in [
            Array(bytes.dropLast()), bytes + [0], [], le32(31) + zeros(28),
            le32(32) + le32(0) + le32(9) + zeros(20),
            le32(32) + le32(0) + le32(.max) + zeros(20),
        ] {
            #expect(throws: Errno.EINVAL) { try RegionInfo.decodeRequest(wrong) }
        }
    }
}
