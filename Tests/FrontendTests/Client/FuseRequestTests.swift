// SPDX-License-Identifier: Apache-2.0
import FuseWire
import Testing

@testable import Frontend

@Suite struct FuseRequestTests {
    @Test func mkdirOnTheWire() {
        var argument = MkdirIn()
        (argument.mode, argument.umask) = (0o755, 0o022)
        var request = FuseRequest(.mkdir, NodeID(rawValue: 5), argument)
        request.append(name: "ab".utf8)
        request.append(supplementaryGroup: 7)
        request.header.unique = 2
        (request.header.uid, request.header.gid, request.header.pid) = (1000, 1001, 42)
        request.replyBodyByteCount = 128
        request.setLengths()
        let message = request.message
        #expect(
            message.bytes == [
                67, 0, 0, 0,  // length: 40 + 8 + 3 + 16
                9, 0, 0, 0,  // FUSE_MKDIR
                2, 0, 0, 0, 0, 0, 0, 0,  // unique
                5, 0, 0, 0, 0, 0, 0, 0,  // nodeid
                0xe8, 3, 0, 0, 0xe9, 3, 0, 0, 42, 0, 0, 0,  // uid, gid, pid
                2, 0, 0, 0,  // two units of eight bytes of extensions, padding
                0xed, 1, 0, 0, 0x12, 0, 0, 0,  // mode, umask
                0x61, 0x62, 0,  // name
                16, 0, 0, 0, 32, 0, 0, 0,  // size, FUSE_EXT_GROUPS
                1, 0, 0, 0, 7, 0, 0, 0,  // one group
            ])
        #expect(message.dataOffset == 67 && message.replyByteCount == 144 && message.replyDataOffset == 144)
    }

    @Test func aLabelOnTheWire() {
        var request = FuseRequest(.mkdir, .root)
        request.append(label: "a.b".utf8, value: [1, 2])
        #expect(
            request.extensions == [
                24, 0, 0, 0, 1, 0, 0, 0,  // fuse_secctx_header: size, one label
                2, 0, 0, 0, 0, 0, 0, 0,  // fuse_secctx: the value's size, padding
                0x61, 0x2e, 0x62, 0, 1, 2, 0, 0,  // name, value, padding
            ])
    }

    @Test func bulkDataBeginsBehindTheArguments() {
        let write = FuseClient.writeRequest(.root, 1, offset: 0, [1, 2, 3]).message
        #expect(write.bytes.count == 83 && write.dataOffset == 80)
        let read = FuseClient.readRequest(.read, .root, 1, offset: 0, size: 100).message
        #expect(read.dataOffset == 80 && read.replyByteCount == 116 && read.replyDataOffset == 16)
        let forget = FuseClient.forgetRequest(.root, count: 3).message
        #expect(forget.bytes.count == 48 && forget.replyByteCount == 0)
    }

    /// The ranges begin at byte 4, misaligned.
    @Test func rangesOfTheWindow() {
        let request = FuseClient.removeMappingRequest(
            NodeID(rawValue: 3), [(windowOffset: 0x20_0000, length: 0x20_0000), (windowOffset: 7, length: 8)])
        #expect(request.header.opcode == 49 && request.header.nodeID == 3)
        #expect(
            request.arguments == [
                2, 0, 0, 0,  // count
                0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0,  // offset, length
                7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0,
            ])
    }

    @Test func wireValues() {
        #expect(wireValue(UInt32.self, from: [1, 2, 0, 0, 9]) == 0x201)
        #expect(wireValue(UInt32.self, from: [1, 2, 0]) == nil)
    }

    @Test func directoryRecords() throws {
        var dirent = Dirent()
        (dirent.ino, dirent.offset, dirent.nameLength, dirent.type) = (9, 77, 3, 8)
        let record = wireBytes(of: dirent) + Array("abc".utf8) + [0, 0, 0, 0, 0]
        let records = try #require(FuseClient.parseRecords(record + record, plus: false))
        #expect(records.count == 2 && records[1].name == Array("abc".utf8) && records[1].dirent.offset == 77)
        #expect(records[0].entry == nil)
        var entry = EntryOut()
        entry.nodeID = 5
        let plus = try #require(FuseClient.parseRecords(wireBytes(of: entry) + record, plus: true))
        #expect(plus[0].entry?.nodeID == 5)
        #expect(FuseClient.parseRecords([], plus: true)?.isEmpty == true)
        #expect(FuseClient.parseRecords(Array(record.dropLast()), plus: false) == nil, "cut")
        dirent.nameLength = 0
        #expect(FuseClient.parseRecords(wireBytes(of: dirent), plus: false) == nil, "no name")
        dirent.nameLength = .max
        #expect(
            FuseClient.parseRecords(wireBytes(of: dirent), plus: false) == nil, "longer than a name can be")
        dirent.nameLength = 1
        let slash = wireBytes(of: dirent) + [UInt8(ascii: "/"), 0, 0, 0, 0, 0, 0, 0]
        #expect(FuseClient.parseRecords(slash, plus: false) == nil, "a path")
    }
}
