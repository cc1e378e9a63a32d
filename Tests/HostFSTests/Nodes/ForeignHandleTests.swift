// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena
import Testing

@testable import HostFS

/// T20: a file handle of something outside the share, in the table of what the guest knows. No guest can put it there; but with
/// CAP_DAC_READ_SEARCH a handle opens anything of its file system, so what it leads to is compared with what was looked up.
@Suite struct ForeignHandleTests {
    /// Puts the handle of `path` into the record of `node`.
    private func tamper(_ test: TestShare, _ node: NodeID, _ path: String) throws -> InodeRecord {
        let slot = try #require(test.share.inodes.slots.find(node.rawValue))
        let record = test.share.inodes.record(slot)
        #expect(record.hasHandle && record.descriptor < 0 && !record.has(VFS_INODE_VERIFIED))
        let object = OwnedDescriptor(adopting: try systemCall { open(path, O_PATH | O_CLOEXEC) })
        let handle = FileHandleBuffer()
        #expect(try handle.load(of: object.rawValue) == record.mount)
        record.storeHandle(handle.address, byteCount: handle.byteCount)
        return record
    }

    @Test(arguments: ["/tmp", "/dev/shm"]) func aHandleOfAnotherObjectLeadsNowhere(base: String) throws {
        let test = try TestShare(on: base)
        guard test.share.usesFileHandles else {
            return print("skipped: no file handles here")
        }
        let outside = try TemporaryDirectory(prefix: "outside.", in: base)
        let victim = outside.path + "/victim"
        try Files.replace(victim, with: Array("secret".utf8))
        test.write("file", "inside")
        Glibc.mkdir(test.host("directory"), 0o755)

        let requests: [(HostFS, NodeID) throws -> Void] = [
            { _ = try $0.getattr(.root, nodeID: $1, handle: nil) },
            { _ = try $0.reopen($1, flags: O_RDWR | O_TRUNC) },
            { fs, node in
                var size = SetAttrIn()
                size.valid = SetAttrValid.size
                _ = try fs.setattr(.root, nodeID: node, size)
            },
            { fs, node in
                try withName("x") { _ = try fs.link(.root, nodeID: node, newParent: .root, name: $0) }
            },
            { fs, node in try withName("victim") { _ = try fs.lookup(.root, parent: node, name: $0) } },
            { fs, node in try withName("victim") { try fs.unlink(.root, parent: node, name: $0) } },
        ]
        for request in requests {
            for (name, foreign) in [("file", victim), ("directory", outside.path)] {
                let node = try test.node(name)
                let record = try tamper(test, node, foreign)
                #expect(test.error { try request($0, node) } == .ESTALE, "\(name)")
                #expect(!record.has(VFS_INODE_VERIFIED) && record.descriptor < 0)
                test.request { $0.forget(node, count: 1) }
            }
        }
        #expect(try Files.text(victim) == "secret")
        #expect(!test.exists("x"))
    }
}
