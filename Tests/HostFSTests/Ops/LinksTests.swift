// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import Testing

@testable import HostFS

@Suite struct LinksTests {
    private func remove(_ test: TestShare, _ name: String, directory: Bool = false) -> Errno? {
        test.error { fs in
            try withName(name) { name in
                if directory {
                    try fs.rmdir(.root, parent: .root, name: name)
                } else {
                    try fs.unlink(.root, parent: .root, name: name)
                }
            }
        }
    }

    @Test(arguments: [FileHandlePolicy.prefer, .never])
    func anObjectGetsAnotherName(policy: FileHandlePolicy) throws {
        let test = try TestShare { $0.inodeFileHandles = policy }
        test.write("a", "a")
        Glibc.symlink("/etc/passwd", test.host("l"))
        Glibc.mkdir(test.host("d"), 0o755)
        let node = try test.node("a")
        let entry = try test.link(node, "b")
        #expect(entry.nodeID == node.rawValue && entry.attributes.nlink == 2)
        _ = try test.link(try test.node("l"), "m")
        #expect(test.status("m").st_ino == test.status("l").st_ino)
        #expect(failure { try test.link(node, "b") } == .EEXIST)
        #expect(failure { try test.link(try test.node("d"), "e") } == .EPERM)
        #expect(failure { try test.link(NodeID(rawValue: 50), "e") } == .ESTALE)
    }

    /// Its kernel writes them back although the file has no name any more, by nodeid.
    @Test func aGuestWithWritebackSetsTheTimesOfWhatItHasRemoved() throws {
        let test = try TestShare { $0.writeback = true }
        #expect(try test.initialize() & InitFlags.writebackCache != 0)
        test.write("f")
        let node = try test.node("f")
        #expect(remove(test, "f") == nil)
        var arguments = SetAttrIn()
        arguments.valid = SetAttrValid.mtime
        arguments.mtime = 1_000_000
        let seen = try test.request { try $0.setattr(.root, nodeID: node, arguments).attributes }
        #expect(seen.mtime == 1_000_000 && seen.nlink == 0)
    }

    /// Somebody's working directory, which is never opened.
    @Test func aRemovedDirectoryStaysForWhoeverKnowsIt() throws {
        let test = try TestShare()
        Glibc.mkdir(test.host("d"), 0o755)
        let node = try test.node("d")
        #expect(remove(test, "d", directory: true) == nil)
        #expect(try test.request { try $0.getattr(.root, nodeID: node, handle: nil) }.attributes.nlink == 0)
        #expect(try test.lookup("x", in: node).nodeID == 0)
    }

    @Test func namesAreRemoved() throws {
        let test = try TestShare()
        test.write("f")
        Glibc.mkdir(test.host("d"), 0o755)
        test.write("d/x")
        #expect(remove(test, "f", directory: true) == .ENOTDIR)
        #expect(remove(test, "d") == .EISDIR)
        #expect(remove(test, "d", directory: true) == .ENOTEMPTY)
        #expect(remove(test, "none") == .ENOENT)
        Glibc.unlink(test.host("d/x"))
        #expect(remove(test, "f") == nil)
        #expect(remove(test, "d", directory: true) == nil)
        #expect(!test.exists("f") && !test.exists("d"))
    }

    @Test func linksAreReadAsBytes() throws {
        let test = try TestShare()
        let target: [UInt8] = [0x2e, 0x2e, 0x2f, 0xff, 0xfe]  // not UTF-8
        target.withUnsafeBufferPointer { bytes in
            let text = bytes.map { CChar(bitPattern: $0) } + [0]
            Glibc.symlink(text, test.host("l"))
        }
        test.write("f")
        let (link, file) = (try test.node("l"), try test.node("f"))
        let whole = try reply { buffer in
            try test.request { fs in try fs.readlink(.root, nodeID: link, into: &buffer) }
        }
        #expect(whole == target)
        let cut = try reply(capacity: 3) { buffer in
            try test.request { fs in try fs.readlink(.root, nodeID: link, into: &buffer) }
        }
        #expect(cut == Array(target[..<3]))
        let error = failure {
            try reply { buffer in
                try test.request { fs in try fs.readlink(.root, nodeID: file, into: &buffer) }
            }
        }
        #expect(error == .EINVAL)
    }
}
