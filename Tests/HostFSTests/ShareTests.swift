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

@Suite struct ShareTests {
    private func refusal(_ path: String, _ policy: FileHandlePolicy = .prefer) -> String? {
        var options = ShareOptions(sharedDirectory: Array(path.utf8))
        options.inodeFileHandles = policy
        do {
            _ = try Share(options, arena: StateArena())
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func whatCannotBeSharedIsSaidInOneLine() throws {
        let test = try TestShare()
        #expect(
            refusal(test.host("missing"))
                == "cannot share \(test.host("missing")): No such file or directory; make the directory first"
        )
        #expect(mkfifo(test.host("fifo"), 0o666) == 0)
        #expect(refusal(test.host("fifo"))?.contains("neither a directory nor a regular file") == true)
        #expect(refusal("/dev/null")?.contains("neither a directory nor a regular file") == true)
        #expect(refusal(test.path) == nil)
    }

    @Test func fileHandlesThatAreDemandedMustWork() throws {
        // procfs has none
        let line = try #require(refusal("/proc", .mandatory))
        #expect(line.hasPrefix("cannot use file handles for /proc: "))
        #expect(refusal("/proc", .prefer) == nil)
    }

    @Test func aSingleFileCanBeShared() throws {
        let test = try TestShare()
        test.write("file", "hello")
        let file = try TestShare { $0.sharedDirectory = Array(test.host("file").utf8) }
        let root = try file.request { try $0.getattr(.root, nodeID: .root, handle: nil) }.attributes
        #expect(root.mode == 0o100644 && root.size == 5)
        #expect(throws: Errno.ENOTDIR) { try file.lookup("x") }
        let opened = try file.request { try $0.reopen(.root, flags: O_RDWR).rawValue }
        #expect(opened > 2)
    }

    @Test func aSharedDirectoryThatVanishesIsAnError() throws {
        let test = try TestShare()
        #expect(rmdir(test.path) == 0)
        #expect(throws: Errno.ENOENT) {
            try test.request { fs in
                try withName("x") {
                    try fs.entry(parent: .root, parentDescriptor: try fs.descriptor(of: .root), name: $0)
                }
            }
        }
        #expect(try test.request { try $0.getattr(.root, nodeID: .root, handle: nil) }.attributes.nlink == 0)
    }

    @Test(.enabled(if: isRoot, "mounting needs root")) func submounts() throws {
        let test = try TestShare()
        mkdir(test.host("m"), 0o755)
        mkdir(test.host("plain"), 0o755)
        guard mount("none", test.host("m"), "tmpfs", 0, nil) == 0 else {
            return print("skipped: mounting a tmpfs failed: \(describe(Errno(rawValue: errno)))")
        }
        defer { umount2(test.host("m"), Int32(MNT_DETACH)) }
        test.write("m/inside", "hello")
        #expect(try test.lookup("m").attributes.flags == 0)  // not negotiated
        _ = try test.initialize()

        let top = try test.lookup("m")
        #expect(top.attributes.flags == AttributeFlags.submount)
        #expect(try test.lookup("plain").attributes.flags == 0)
        let inside = try test.lookup("inside", in: NodeID(rawValue: top.nodeID))
        #expect(inside.attributes.flags == 0 && inside.attributes.size == 5)
        let node = NodeID(rawValue: inside.nodeID)
        #expect(try test.request { try $0.getattr(.root, nodeID: node, handle: nil) }.attributes.size == 5)
        #expect(
            try test.request {
                try $0.lookupSpecial(.root, nodeID: NodeID(rawValue: top.nodeID), parent: true)
            }.nodeID == 1)

        // While the guest knows something there the mount is busy; when it has forgotten, it can go.
        #expect(umount2(test.host("m"), 0) == -1)
        test.request { $0.forget(node, count: 1) }
        test.request { $0.forget(NodeID(rawValue: top.nodeID), count: 9) }
        #expect(umount2(test.host("m"), 0) == 0)
        #expect(try test.lookup("m").nodeID != top.nodeID)
        #expect(test.error { try $0.getattr(.root, nodeID: node, handle: nil) } == .ESTALE)
    }
}
