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

@Suite struct IdentityTests {
    /// The guest holds a node whose object the host deletes; whatever gets the inode number next is another node, and the
    /// old one never shows the new object.
    @Test(arguments: ["/tmp", "/dev/shm"], [FileHandlePolicy.prefer, .never])
    func aReusedInodeNumberIsAnotherNode(base: String, policy: FileHandlePolicy) throws {
        let test = try TestShare(on: base) { $0.inodeFileHandles = policy }
        var reused = 0
        for round in 0..<300 {
            test.write("file", "old")
            let old = try test.lookup("file")
            let node = NodeID(rawValue: old.nodeID)
            if round % 2 == 0 { _ = try test.request { try $0.descriptor(of: node) } }  // hot, or cold
            #expect(unlink(test.host("file")) == 0)
            test.write("file", "newer")
            let new = try test.lookup("file")
            if new.attributes.ino == old.attributes.ino { reused += 1 }
            #expect(new.nodeID != old.nodeID)
            #expect(new.attributes.size == 5)
            do {
                let attributes = try test.request { try $0.getattr(.root, nodeID: node, handle: nil) }
                    .attributes
                #expect(attributes.size == 3 && attributes.nlink == 0)
            } catch let error as Errno {
                #expect(error == .ESTALE)
            }
            test.request { $0.forget(node, count: 1) }
            test.request { $0.forget(NodeID(rawValue: new.nodeID), count: 1) }
            #expect(unlink(test.host("file")) == 0)
        }
        print("inode numbers used again on \(base): \(reused) of 300")
        #expect(test.share.knownInodes == 1)
        #expect(test.share.guestDescriptors == 0)
    }

    /// A handle comes from a path walk of its own: when it leads to another object than statx(2) saw, the node is stale.
    @Test func aHandleOfAnotherObjectIsFoundOutAtFirstUse() throws {
        let test = try TestShare()
        guard test.share.usesFileHandles else { return print("skipped: no file handles here") }
        test.write("a")
        test.write("b")
        let status = try FileStatus(AT_FDCWD, test.host("a"))
        let handle = FileHandleBuffer()
        _ = try handle.load(AT_FDCWD, test.host("b"))
        #expect(test.share.mounts.retain(status.mount))
        let inserted = try #require(
            test.share.inodes.insert(
                Identity(status), descriptor: -1, handle: handle, flags: VFS_INODE_ON_MOUNT))
        #expect(test.error { try $0.getattr(.root, nodeID: inserted.node, handle: nil) } == .ESTALE)
        // The name is not lost: it gets a record of its own.
        let again = try test.lookup("a")
        #expect(again.nodeID != inserted.node.rawValue)
        #expect(
            test.error { try $0.getattr(.root, nodeID: NodeID(rawValue: again.nodeID), handle: nil) } == nil)
    }

    /// What is stale once would stay so for ever if a new LOOKUP found the same record.
    @Test func aStaleNodeGivesWayToANewOne() throws {
        let test = try TestShare()
        guard test.share.usesFileHandles else { return print("skipped: no file handles here") }
        test.write("file")
        let old = try test.node("file")
        #expect(unlink(test.host("file")) == 0)
        #expect(test.error { try $0.getattr(.root, nodeID: old, handle: nil) } == .ESTALE)
        #expect(!test.share.inodes.record(UInt32(truncatingIfNeeded: old.rawValue)).has(VFS_INODE_INDEXED))
        test.request { $0.forget(old, count: 1) }
        #expect(test.share.knownInodes == 1)
    }

    @Test func hotDescriptorsStayWithinTheirBudget() throws {
        let test = try TestShare { $0.hotDescriptors = 8 }
        guard test.share.usesFileHandles else { return print("skipped: no file handles here") }
        var nodes: [NodeID] = []
        for number in 0..<100 {
            test.write("file\(number)", "\(number)")
            nodes.append(try test.node("file\(number)"))
        }
        #expect(test.heldDescriptors == 0)  // a LOOKUP alone opens nothing
        for round in 0..<3 {
            for (number, node) in nodes.enumerated() {
                let attributes = try test.request { try $0.getattr(.root, nodeID: node, handle: nil) }
                    .attributes
                #expect(attributes.size == UInt64("\(number)".utf8.count), "\(round)")
                #expect(test.heldDescriptors <= 8)
            }
        }
        for node in nodes { test.request { $0.forget(node, count: 1) } }
        #expect(test.heldDescriptors == 0)
    }

    /// What one request uses is not closed by it, even when everything else must give way.
    @Test func aRequestKeepsItsDescriptors() throws {
        let test = try TestShare { $0.hotDescriptors = 4 }
        guard test.share.usesFileHandles else { return print("skipped: no file handles here") }
        var nodes: [NodeID] = []
        for number in 0..<8 {
            test.write("file\(number)")
            nodes.append(try test.node("file\(number)"))
        }
        try test.request { fs in
            var numbers: [Int32] = []
            for node in nodes { numbers.append(try fs.descriptor(of: node)) }
            #expect(Set(numbers).count == 8)
            for (number, node) in zip(numbers, nodes) {
                let record = try fs.hold(node)
                #expect(try FileStatus(of: number).raw.stx_ino == record.number)
            }
            #expect(!test.share.retired.isEmpty)
        }
        #expect(test.share.retired.isEmpty)
        #expect(test.heldDescriptors <= 4)
    }

    @Test func theGuestsDescriptorsHaveAQuota() throws {
        let quota = DescriptorQuota(limit: 2)
        try quota.take()
        try quota.take()
        #expect(throws: Errno.ENFILE) { try quota.take() }
        #expect(quota.usedCount == 2)
        quota.giveBack()
        try quota.take()
    }

    /// design.md: a known inode costs at most 160 bytes, its file handle included.
    @Test func manyKnownFilesAreSmall() throws {
        let test = try TestShare(on: "/dev/shm")
        let count = 30_000
        let directory = open(test.path, O_PATH)
        for number in 0..<count {
            close(openat(directory, "f\(number)", O_CREAT | O_WRONLY | O_CLOEXEC, 0o600))
        }
        close(directory)
        func allocated() -> Int {
            var status = stat()
            fstat(test.share.arena.file.rawValue, &status)
            return Int(status.st_blocks) * 512
        }
        let before = allocated()
        let handle = try test.request { try $0.opendir(.root, nodeID: .root, OpenIn()).handle }
        var arguments = ReadIn()
        arguments.handle = handle
        arguments.size = 1 << 20
        while true {
            let bytes = try reply(capacity: 1 << 20) { buffer in
                try test.request { try $0.readdirplus(.root, nodeID: .root, arguments, into: &buffer) }
            }
            guard let last = try parse(bytes, plus: true).last else { break }
            arguments.offset = last.dirent.offset
        }
        #expect(test.share.knownInodes == count + 1)
        #expect(allocated() - before <= count * 160)
        if test.share.usesFileHandles {
            #expect(test.heldDescriptors <= 1 + test.share.options.hotDescriptors)
        }
        test.request { $0.destroy() }
        #expect(test.share.knownInodes == 1)
        #expect(test.share.guestDescriptors == 0)
    }
}
