// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Testing

@Suite struct NameRequestTests {
    @Test(arguments: Setup.all) func lookup(setup: Setup) throws {
        let host = try HostRig(setup)
        try host.makeDirectory("d")
        try host.write("d/file", "hello", mode: 0o640)
        let guest = try host.guest()
        let directory = try guest.lookup(.root, "d".utf8)
        let entry = try guest.lookup(directory.node, "file".utf8)
        let status = try host.status("d/file")
        #expect(entry.attributes.ino == UInt64(status.st_ino))
        #expect(entry.attributes.size == 5)
        #expect(entry.attributes.mode == status.st_mode)
        #expect(entry.attributes.nlink == 1)
        #expect(entry.attributes.mtime == UInt64(status.st_mtim.tv_sec))
        #expect(entry.attributes.mtimensec == UInt32(status.st_mtim.tv_nsec))
        #expect(entry.attrValid == 1 && entry.entryValid == 1)  // --cache auto
        // The same object is the same node, by whatever name.
        try check(link(host.path("d/file"), host.path("other")))
        #expect(try guest.lookup(.root, "other".utf8).nodeID == entry.nodeID)
        #expect(try guest.lookup(directory.node, "file".utf8).generation == entry.generation)
    }

    @Test func aMissingNameIsRememberedOrNot() throws {
        let host = try HostRig()
        let entry = try host.guest().lookup(.root, "missing".utf8)
        #expect(entry.nodeID == 0)
        #expect(entry.entryValid == 1)
        let never = try HostRig { $0.cache = .never }
        let guest = try never.guest()
        #expect(throws: Errno.ENOENT) { try guest.lookup(.root, "missing".utf8) }
    }

    @Test func lookupInAFileIsNotADirectory() throws {
        let host = try HostRig()
        try host.write("file", "")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        #expect(throws: Errno.ENOTDIR) { try guest.lookup(file.node, "x".utf8) }
    }

    @Test func namesAreBytes() throws {
        let host = try HostRig()
        let guest = try host.guest()
        let longest = [UInt8](repeating: 0xff, count: 255)
        for name: [UInt8] in [
            [0x80], [0xff, 0xfe, 0x0a], Array("ünï".utf8), longest, Array("...".utf8), [0x5c],
        ] {
            let made = try guest.mkdir(.root, name)
            #expect(try guest.lookup(.root, name).nodeID == made.nodeID)
            var path =
                Array(host.root.utf8).map { CChar(bitPattern: $0) } + [0x2f]
                + name.map { CChar(bitPattern: $0) }
            path.append(0)
            #expect(Glibc.access(path, F_OK) == 0)
            try guest.rmdir(.root, name)
        }
    }

    @Test(arguments: Setup.all) func mkdirAndRmdir(setup: Setup) throws {
        let host = try HostRig(setup)
        let guest = try host.guest()
        (guest.uid, guest.gid) = (1000, 1001)
        try check(chmod(host.root, 0o777))
        let entry = try guest.mkdir(.root, "new".utf8, mode: 0o750)
        let status = try host.status("new")
        #expect(status.st_mode == S_IFDIR | 0o750)
        #expect(status.st_uid == 1000 && status.st_gid == 1001)
        #expect(entry.attributes.uid == 1000 && entry.attributes.gid == 1001)
        #expect(throws: Errno.EEXIST) { try guest.mkdir(.root, "new".utf8) }
        _ = try guest.mkdir(entry.node, "inner".utf8)
        #expect(throws: Errno.ENOTEMPTY) { try guest.rmdir(.root, "new".utf8) }
        try guest.rmdir(entry.node, "inner".utf8)
        try guest.rmdir(.root, "new".utf8)
        #expect(!host.exists("new"))
        #expect(throws: Errno.ENOENT) { try guest.rmdir(.root, "new".utf8) }
    }

    @Test(arguments: Setup.all) func mknod(setup: Setup) throws {
        let host = try HostRig(setup)
        let guest = try host.guest()
        _ = try guest.mknod(.root, "fifo".utf8, mode: S_IFIFO | 0o600)
        #expect(try host.status("fifo").st_mode == S_IFIFO | 0o600)
        let file = try guest.mknod(.root, "file".utf8, mode: S_IFREG | 0o644)
        #expect(try host.status("file").st_mode == S_IFREG | 0o644)
        #expect(file.attributes.size == 0)
        _ = try guest.mknod(.root, "socket".utf8, mode: S_IFSOCK | 0o644)
        #expect(try host.status("socket").st_mode & S_IFMT == S_IFSOCK)
        if getuid() == 0 {
            let device = try guest.mknod(.root, "null".utf8, mode: S_IFCHR | 0o666, rdev: 1 << 8 | 3)
            #expect(try host.status("null").st_rdev == 0x103)
            #expect(device.attributes.rdev == 1 << 8 | 3)
        }
        #expect(throws: Errno.EEXIST) { try guest.mknod(.root, "file".utf8, mode: S_IFREG | 0o644) }
    }

    @Test(arguments: Setup.all) func symlinkAndReadlink(setup: Setup) throws {
        let host = try HostRig(setup)
        let guest = try host.guest()
        let entry = try guest.symlink(.root, "link".utf8, target: "../not/here".utf8)
        #expect(try host.target("link") == "../not/here")
        #expect(entry.attributes.mode & S_IFMT == S_IFLNK)
        #expect(try guest.readlink(entry.node) == Array("../not/here".utf8))
        let long = String(repeating: "x", count: 4095)
        let longest = try guest.symlink(.root, "long".utf8, target: long.utf8)
        #expect(try guest.readlink(longest.node) == Array(long.utf8))
        #expect(throws: Errno.EEXIST) { try guest.symlink(.root, "link".utf8, target: "x".utf8) }
        #expect(throws: Errno.ENAMETOOLONG) {
            try guest.symlink(.root, "longer".utf8, target: String(repeating: "x", count: 4096).utf8)
        }
        #expect(throws: Errno.EINVAL) { try guest.readlink(.root) }
    }

    @Test(arguments: Setup.all) func linkAndUnlink(setup: Setup) throws {
        let host = try HostRig(setup)
        try host.write("file", "x")
        try host.makeDirectory("d")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let directory = try guest.lookup(.root, "d".utf8)
        let linked = try guest.link(file.node, to: directory.node, "second".utf8)
        #expect(linked.nodeID == file.nodeID && linked.attributes.nlink == 2)
        #expect(try host.status("d/second").st_ino == (try host.status("file").st_ino))
        #expect(throws: Errno.EEXIST) { try guest.link(file.node, to: directory.node, "second".utf8) }
        try guest.unlink(.root, "file".utf8)
        #expect(!host.exists("file") && host.exists("d/second"))
        #expect(try guest.getattr(file.node).attributes.nlink == 1)
        #expect(throws: Errno.ENOENT) { try guest.unlink(.root, "file".utf8) }
        #expect(throws: Errno.EISDIR) { try guest.unlink(.root, "d".utf8) }
        #expect(throws: Errno.ENOTDIR) { try guest.rmdir(directory.node, "second".utf8) }
    }

    @Test(arguments: Setup.all) func rename(setup: Setup) throws {
        let host = try HostRig(setup)
        try host.write("a", "1")
        try host.write("b", "2")
        try host.makeDirectory("d")
        let guest = try host.guest()
        let a = try guest.lookup(.root, "a".utf8)
        let directory = try guest.lookup(.root, "d".utf8)
        try guest.rename(.root, "a".utf8, to: directory.node, "c".utf8)
        #expect(!host.exists("a"))
        #expect(try host.text("d/c") == "1")
        #expect(try guest.lookup(directory.node, "c".utf8).nodeID == a.nodeID)
        try guest.rename(directory.node, "c".utf8, to: .root, "b".utf8)
        #expect(try host.text("b") == "1")
        #expect(throws: Errno.ENOENT) { try guest.rename(.root, "a".utf8, to: .root, "b".utf8) }
        #expect(throws: Errno.EINVAL) { try guest.rename(.root, "d".utf8, to: directory.node, "in".utf8) }
    }

    @Test(arguments: Setup.all) func rename2(setup: Setup) throws {
        let host = try HostRig(setup)
        try host.write("a", "1")
        try host.makeDirectory("d")
        let guest = try host.guest()
        let a = try guest.lookup(.root, "a".utf8)
        let (noReplace, exchange): (UInt32, UInt32) = (1, 2)
        #expect(throws: Errno.EEXIST) {
            try guest.rename2(.root, "a".utf8, to: .root, "d".utf8, flags: noReplace)
        }
        try guest.rename2(.root, "a".utf8, to: .root, "b".utf8, flags: noReplace)
        #expect(try host.text("b") == "1")
        try guest.rename2(.root, "b".utf8, to: .root, "d".utf8, flags: exchange)
        #expect(try host.text("d") == "1")
        #expect(try host.status("b").st_mode & S_IFMT == S_IFDIR)
        #expect(try guest.lookup(.root, "d".utf8).nodeID == a.nodeID)
        #expect(throws: Errno.EINVAL) {
            try guest.rename2(.root, "b".utf8, to: .root, "d".utf8, flags: noReplace | exchange)
        }
        #expect(throws: Errno.EINVAL) { try guest.rename2(.root, "b".utf8, to: .root, "d".utf8, flags: 0x80) }
    }

    /// A node is known as often as it was looked up, made or read; after as many FORGETs its number means nothing.
    @Test(arguments: Setup.all) func forget(setup: Setup) throws {
        let host = try HostRig(setup)
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        _ = try guest.link(file.node, to: .root, "second".utf8)
        _ = try guest.lookup(.root, "second".utf8)
        try guest.forget(file.node, count: 2)
        _ = try guest.getattr(file.node)
        try guest.forget(file.node)
        #expect(throws: Errno.ESTALE) { try guest.getattr(file.node) }
        let again = try guest.lookup(.root, "file".utf8)
        #expect(again.nodeID != file.nodeID)

        let more = try (0..<20).map { try guest.mkdir(.root, "d\($0)".utf8) }
        try guest.batchForget(more.map { ($0.node, 1) })
        for one in more { #expect(throws: Errno.ESTALE) { try guest.getattr(one.node) } }
        // The root stays, and counts beyond what is known do no harm.
        try guest.forget(.root, count: .max)
        _ = try guest.getattr(.root)
        try guest.forget(again.node, count: .max)
        #expect(throws: Errno.ESTALE) { try guest.getattr(again.node) }
    }

    /// FORGET comes on a request queue too, without room for a reply (Linux, after READDIRPLUS failed).
    @Test func forgetOnARequestQueue() throws {
        let host = try HostRig()
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        _ = try guest.receive(try guest.submit(FuseClient.forgetRequest(file.node, count: 1)))
        #expect(throws: Errno.ESTALE) { try guest.getattr(file.node) }
    }

    @Test func anUnlinkedFileStaysWhileItIsKnown() throws {
        let host = try HostRig()
        try host.write("file", "still here")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let open = try guest.open(file.node, flags: Open.read)
        try guest.unlink(.root, "file".utf8)
        #expect(try guest.read(file.node, open.handle, size: 100) == Array("still here".utf8))
        #expect(try guest.getattr(file.node, handle: open.handle).attributes.nlink == 0)
    }
}
