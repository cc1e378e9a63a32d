// SPDX-License-Identifier: Apache-2.0
import FuseServer
import FuseWire
import Testing

@Suite struct NullFSTests {
    let harness = Harness(NullFS())

    init() { harness.start() }

    @Test func theTree() {
        for (child, nodeID, mode) in [
            ("null", 2, 0o100666), ("directory", 3, 0o040755), ("link", 4, 0o120777),
        ] as [(String, UInt64, UInt32)] {
            let reply = harness.send(message(1, name(child)))
            #expect(reply.body.load(UInt64.self) == nodeID)
            #expect(reply.body.load(UInt32.self, at: 40 + 60) == mode)
            let attributes = harness.send(message(3, nodeID: nodeID, zeros(16)))
            #expect(attributes.body.load(UInt32.self, at: 16 + 60) == mode)
        }
        #expect(harness.send(message(1, name("nothing"))).error == -2)
        #expect(harness.send(message(1, nodeID: 2, name("null"))).error == -20)
        #expect(harness.send(message(3, nodeID: 9, zeros(16))).error == -116)
        #expect(harness.send(message(5, nodeID: 4)).body == text("null"))
    }

    /// Golden: three `fuse_dirent` with their names, padded to eight bytes.
    @Test func readdir() {
        func entry(_ ino: UInt64, _ next: UInt64, _ type: UInt32, _ child: String, padding: Int) -> [UInt8] {
            u64(ino) + u64(next) + u32(UInt32(child.utf8.count)) + u32(type) + text(child) + zeros(padding)
        }
        let whole =
            entry(2, 1, 8, "null", padding: 4) + entry(3, 2, 4, "directory", padding: 7)
            + entry(4, 3, 10, "link", padding: 4)
        func list(from offset: UInt64, size: UInt32, opcode: UInt32 = 28) -> [UInt8] {
            harness.send(message(opcode, u64(7) + u64(offset) + u32(size) + zeros(20))).body
        }
        #expect(list(from: 0, size: 4096) == whole)
        #expect(list(from: 1, size: 4096) == Array(whole.dropFirst(32)))
        #expect(list(from: 3, size: 4096) == [])
        #expect(list(from: .max, size: 4096) == [])
        #expect(list(from: 0, size: 71) == Array(whole.prefix(32)), "only whole entries")
        #expect(list(from: 0, size: 72) == Array(whole.prefix(72)))
        let plus = list(from: 0, size: 4096, opcode: 44)
        #expect(plus.count == whole.count + 3 * 128)
        #expect(plus.load(UInt64.self) == 2)
        #expect(Array(plus[128..<160]) == Array(whole.prefix(32)))
    }

    @Test func aFileLikeDevNull() {
        let opened = harness.send(message(14, nodeID: 2, zeros(8)))
        let handle = opened.body.load(UInt64.self)
        let read = harness.send(message(15, nodeID: 2, u64(handle) + u64(0) + u32(100) + zeros(20)))
        #expect(read.outcome == .reply(scratchByteCount: 16, directByteCount: 0))
        #expect(read.error == 0)
        let write = harness.send(
            message(16, nodeID: 2, u64(handle) + u64(0) + u32(3) + zeros(20) + text("abc")))
        #expect(write.body == u32(3) + u32(0))
        #expect(harness.send(message(15, nodeID: 2, u64(1) + u64(0) + u32(100) + zeros(20))).error == -9)
    }

    @Test func listxattr() {
        #expect(harness.send(message(23, zeros(8))).body == u32(10) + u32(0))
        #expect(harness.send(message(23, u32(10) + u32(0))).body == name("user.null"))
        #expect(harness.send(message(23, u32(9) + u32(0))).error == -34)
    }
}
