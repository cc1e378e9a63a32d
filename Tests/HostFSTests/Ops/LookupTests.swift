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

@Suite struct LookupTests {
    @Test func aNameIsWhatStatShows() throws {
        let test = try TestShare()
        test.write("file", "hello", mode: 0o640)
        var expected = stat()
        #expect(stat(test.host("file"), &expected) == 0)

        let entry = try test.lookup("file")
        #expect(entry.nodeID > 1)
        #expect(entry.attributes.ino == expected.st_ino)
        #expect(entry.attributes.size == 5)
        #expect(entry.attributes.mode == 0o100640)
        #expect(entry.attributes.nlink == 1)
        #expect(entry.attributes.mtime == UInt64(expected.st_mtim.tv_sec))
        #expect(entry.attributes.mtimensec == UInt32(expected.st_mtim.tv_nsec))
        #expect(entry.entryValid == 1 && entry.attrValid == 1)
    }

    @Test(arguments: ["/tmp", "/dev/shm"], [FileHandlePolicy.prefer, .never])
    func theSameObjectIsTheSameNode(base: String, policy: FileHandlePolicy) throws {
        let test = try TestShare(on: base) { $0.inodeFileHandles = policy }
        test.write("one")
        #expect(Glibc.link(test.host("one"), test.host("two")) == 0)
        let one = try test.lookup("one")
        #expect(try test.lookup("one").nodeID == one.nodeID)
        #expect(try test.lookup("two").nodeID == one.nodeID)
        #expect(Glibc.rename(test.host("two"), test.host("three")) == 0)
        #expect(try test.lookup("three").nodeID == one.nodeID)
        #expect(test.share.inodes.record(UInt32(truncatingIfNeeded: one.nodeID)).lookups == 4)
    }

    @Test func aMissingNameMayBeRemembered() throws {
        let test = try TestShare { $0.negativeTimeout = Timeout(seconds: 3, nanoseconds: 7) }
        let missing = try test.lookup("missing")
        #expect(missing.nodeID == 0)
        #expect(missing.entryValid == 3 && missing.entryValidNsec == 7)
    }

    @Test func aMissingNameIsAnErrorWithoutATimeout() throws {
        let test = try TestShare { $0.negativeTimeout = .zero }
        #expect(throws: Errno.ENOENT) { try test.lookup("missing") }
        let never = try TestShare { $0.cache = .never }
        #expect(throws: Errno.ENOENT) { try never.lookup("missing") }
    }

    @Test func symbolicLinksAreNotFollowed() throws {
        let test = try TestShare()
        #expect(Glibc.symlink("/etc", test.host("link")) == 0)
        let link = try test.lookup("link")
        #expect(link.attributes.mode & 0o170000 == 0o120000)
        #expect(throws: Errno.ENOTDIR) { try test.lookup("passwd", in: NodeID(rawValue: link.nodeID)) }
    }

    @Test func aFileHasNoChildren() throws {
        let test = try TestShare()
        test.write("file")
        let file = try test.node("file")
        #expect(throws: Errno.ENOTDIR) { try test.lookup("x", in: file) }
    }

    @Test func namesAreBytes() throws {
        let test = try TestShare()
        let name: [UInt8] = [0xff, 0xfe, 0x0a, 0xc3, 0x28]  // no UTF-8, and a newline
        let path = (Array(test.path.utf8) + [0x2f] + name + [0]).map { CChar(bitPattern: $0) }
        close(open(path, O_CREAT | O_WRONLY, 0o600))
        let entry = try test.request { fs in
            try withName(bytes: name) { try fs.lookup(.root, parent: .root, name: $0) }
        }
        #expect(entry.nodeID != 0)
    }

    @Test(arguments: [0, 2, 1 << 32 | 1, 0xffff_ffff, UInt64.max, 1 << 26] as [UInt64])
    func forgedNodesAreStale(raw: UInt64) throws {
        let test = try TestShare()
        let node = NodeID(rawValue: raw)
        #expect(throws: Errno.ESTALE) { try test.lookup("x", in: node) }
        #expect(test.error { try $0.getattr(.root, nodeID: node, handle: nil) } == .ESTALE)
        test.request { $0.forget(node, count: 1) }
    }

    @Test func aForgottenNodeIsStaleAndItsSlotHasANewGeneration() throws {
        let test = try TestShare()
        test.write("a")
        let first = try test.node("a")
        test.request { $0.forget(first, count: 1) }
        #expect(test.error { try $0.getattr(.root, nodeID: first, handle: nil) } == .ESTALE)
        let second = try test.node("a")
        #expect(UInt32(truncatingIfNeeded: second.rawValue) == UInt32(truncatingIfNeeded: first.rawValue))
        #expect(second.rawValue >> 32 == first.rawValue >> 32 + 1)
        #expect(test.error { try $0.getattr(.root, nodeID: first, handle: nil) } == .ESTALE)
    }

    @Test func theRootIsNeverForgotten() throws {
        let test = try TestShare()
        test.request { $0.forget(.root, count: .max) }
        #expect(
            try test.request { try $0.getattr(.root, nodeID: .root, handle: nil) }.attributes.mode & 0o170000
                == 0o040000)
    }

    @Test func forgettingTooMuchForgetsOnce() throws {
        let test = try TestShare()
        test.write("a")
        let node = try test.node("a")
        test.request { $0.forget(node, count: .max) }
        test.request { $0.forget(node, count: .max) }
        #expect(test.share.knownInodes == 1)
    }

    @Test func dotAndDotDot() throws {
        let test = try TestShare()
        mkdir(test.host("a"), 0o755)
        mkdir(test.host("a/b"), 0o755)
        let a = try test.node("a")
        let b = try test.node("a/b")
        func special(_ node: NodeID, parent: Bool) throws -> UInt64 {
            try test.request { try $0.lookupSpecial(.root, nodeID: node, parent: parent).nodeID }
        }
        #expect(try special(b, parent: false) == b.rawValue)
        #expect(try special(b, parent: true) == a.rawValue)
        #expect(try special(a, parent: true) == 1)
        #expect(try special(.root, parent: true) == 1)
        #expect(try special(.root, parent: false) == 1)
    }

    /// A guest forgets what is above a directory that it watches, and asks for the way there when it needs it again.
    @Test func dotDotOfWhatIsForgotten() throws {
        let test = try TestShare()
        mkdir(test.host("a"), 0o755)
        mkdir(test.host("a/b"), 0o755)
        mkdir(test.host("a/b/c"), 0o755)
        let (a, b, c) = (try test.node("a"), try test.node("a/b"), try test.node("a/b/c"))
        test.request {
            $0.forget(a, count: 9)
            $0.forget(b, count: 9)
        }
        let above = try test.request { try $0.lookupSpecial(.root, nodeID: c, parent: true) }
        #expect(above.attributes.ino == (try FileStatus(AT_FDCWD, test.host("a/b")).raw.stx_ino))
        #expect(try test.lookup("b", in: try test.node("a")).nodeID == above.nodeID)
    }

    @Test func dotDotDoesNotLeaveTheShare() throws {
        let test = try TestShare()
        let outside = try TestShare()
        mkdir(test.host("a"), 0o755)
        let a = try test.node("a")
        #expect(Glibc.rename(test.host("a"), outside.host("a")) == 0)
        #expect(test.error { try $0.lookupSpecial(.root, nodeID: a, parent: true) } == .ESTALE)
    }
}
