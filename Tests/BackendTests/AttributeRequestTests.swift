// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import Testing

@Suite struct AttributeRequestTests {
    @Test(arguments: Setup.all) func getattr(setup: Setup) throws {
        let host = try HostRig(setup)
        try host.write("file", "12345")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let handle = try guest.open(file.node, flags: Open.read).handle
        try host.write("file", "1234567")
        #expect(try guest.getattr(file.node).attributes.size == 7)
        #expect(try guest.getattr(file.node, handle: handle).attributes.size == 7)
        let root = try guest.getattr(.root)
        var status = stat()
        try check(stat(host.root, &status))
        #expect(root.attributes.ino == UInt64(status.st_ino))
        #expect(root.attributes.mode == S_IFDIR | 0o755)
        #expect(root.attrValid == 1)
    }

    @Test(arguments: Setup.all) func setattr(setup: Setup) throws {
        let host = try HostRig(setup)
        try host.write("file", "12345")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        #expect(try guest.chmod(file.node, mode: 0o4711).attributes.mode == S_IFREG | 0o4711)
        #expect(try host.status("file").st_mode == S_IFREG | 0o4711)
        #expect(try guest.truncate(file.node, to: 2).attributes.size == 2)
        #expect(try host.text("file") == "12")
        #expect(try guest.chown(file.node, uid: 1234, gid: 5678).attributes.gid == 5678)
        #expect(try host.status("file").st_uid == 1234)

        var times = SetAttrIn()
        times.valid = SetAttrValid.atime | SetAttrValid.mtime
        (times.atime, times.atimensec) = (1_000_000_000, 1)
        (times.mtime, times.mtimensec) = (2_000_000_000, 999_999_999)
        _ = try guest.setattr(file.node, times)
        var status = try host.status("file")
        #expect(status.st_atim.tv_sec == 1_000_000_000 && status.st_atim.tv_nsec == 1)
        #expect(status.st_mtim.tv_sec == 2_000_000_000 && status.st_mtim.tv_nsec == 999_999_999)
        times.valid = SetAttrValid.mtime | SetAttrValid.mtimeNow
        _ = try guest.setattr(file.node, times)
        status = try host.status("file")
        #expect(status.st_atim.tv_sec == 1_000_000_000, "what is not set is left")
        #expect(status.st_mtim.tv_sec < 2_000_000_000)

        let handle = try guest.open(file.node, flags: Open.write).handle
        var size = SetAttrIn()
        size.valid = SetAttrValid.size | SetAttrValid.handle
        size.handle = handle
        size.size = 100
        #expect(try guest.setattr(file.node, size).attributes.size == 100)
        #expect(try host.status("file").st_size == 100)
    }

    /// A symbolic link has attributes of its own.
    @Test func setattrOfALink() throws {
        let host = try HostRig()
        try host.write("target", "x")
        try check(symlink("target", host.path("link")))
        let guest = try host.guest()
        let link = try guest.lookup(.root, "link".utf8)
        _ = try guest.chown(link.node, uid: 77, gid: 78)
        #expect(try host.status("link").st_uid == 77)
        #expect(try host.status("target").st_uid != 77)
        #expect(throws: (any Error).self) { try guest.truncate(link.node, to: 0) }
        #expect(try host.text("target") == "x")
    }

    @Test func chownOfOneIdLeavesTheOther() throws {
        let host = try HostRig()
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        var argument = SetAttrIn()
        argument.valid = SetAttrValid.gid
        argument.gid = 42
        argument.uid = 43
        _ = try guest.setattr(file.node, argument)
        #expect(try host.status("file").st_gid == 42)
        #expect(try host.status("file").st_uid == getuid())
    }

    @Test(arguments: Setup.all) func statx(setup: Setup) throws {
        let host = try HostRig(setup)
        try host.write("file", "12345")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let reply = try guest.statx(file.node)
        #expect(reply.stat.mask & 0x7ff == 0x7ff)
        #expect(reply.stat.mask & 0x800 != 0, "the temporary directory's file system has birth times")
        #expect(reply.stat.size == 5)
        #expect(reply.stat.ino == UInt64(try host.status("file").st_ino))
        let now = time(nil)
        #expect((now - 600...now + 1).contains(Int(reply.stat.btime.sec)))
        let handle = try guest.open(file.node, flags: Open.read).handle
        #expect(try guest.statx(file.node, handle: handle).stat.size == 5)
    }

    @Test(arguments: Setup.all) func statfs(setup: Setup) throws {
        let host = try HostRig(setup)
        let reply = try host.guest().statfs()
        var status = statvfs()
        try check(statvfs(host.root, &status))
        #expect(reply.blocks == UInt64(status.f_blocks))
        #expect(reply.bsize == UInt32(status.f_bsize))
        #expect(reply.namelen == 255)
        #expect(reply.frsize == UInt32(status.f_frsize))
    }

    @Test(arguments: Setup.all) func access(setup: Setup) throws {
        let host = try HostRig(setup)
        try host.write("file", "x", mode: 0o640)
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        for mask: UInt32 in [0, 4, 6] { try guest.access(file.node, mask: mask) }
    }

    @Test(arguments: Setup.all) func xattr(setup: Setup) throws {
        let host = try HostRig(setup) { $0.xattr = true }
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let name = "user.some".utf8
        let value: [UInt8] = [0, 1, 0xff, 0]
        #expect(throws: Errno.ENODATA) { try guest.getxattr(file.node, name) }
        try guest.setxattr(file.node, name, value)
        var read = [UInt8](repeating: 0, count: 16)
        #expect(getxattr(host.path("file"), "user.some", &read, 16) == 4)
        #expect(Array(read.prefix(4)) == value)
        #expect(try guest.getxattr(file.node, name) == value)
        #expect(try guest.getxattr(file.node, name, room: 4) == value)
        #expect(try guest.getxattrSize(file.node, name) == 4)
        #expect(throws: Errno.ERANGE) { try guest.getxattr(file.node, name, room: 3) }
        let (create, replace): (UInt32, UInt32) = (1, 2)
        #expect(throws: Errno.EEXIST) { try guest.setxattr(file.node, name, value, flags: create) }
        try guest.setxattr(file.node, name, [], flags: replace)
        #expect(try guest.getxattr(file.node, name) == [])
        #expect(throws: Errno.ENODATA) {
            try guest.setxattr(file.node, "user.no".utf8, value, flags: replace)
        }
        let names = try guest.listxattr(file.node)
        #expect(names.split(separator: 0).contains { $0.elementsEqual(name) })
        #expect(try guest.listxattrSize(file.node) == names.count)
        #expect(throws: Errno.ERANGE) { try guest.listxattr(file.node, room: 1) }
        // A name need not be text.
        try guest.setxattr(file.node, Array("user.".utf8) + [0xff, 0x80], value)
        #expect(try guest.getxattr(file.node, Array("user.".utf8) + [0xff, 0x80]) == value)
        try guest.removexattr(file.node, name)
        #expect(throws: Errno.ENODATA) { try guest.removexattr(file.node, name) }
    }

    @Test func xattrsAreOffByDefault() throws {
        let host = try HostRig()
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        #expect(throws: (any Error).self) { try guest.setxattr(file.node, "user.x".utf8, [1]) }
        #expect(throws: (any Error).self) { try guest.getxattr(file.node, "user.x".utf8) }
        #expect(throws: (any Error).self) { try guest.listxattr(file.node) }
        #expect(listxattr(host.path("file"), nil, 0) == 0)
    }

    /// Of a symbolic link or a FIFO too, which cannot be opened.
    @Test func xattrsOfWhatCannotBeOpened() throws {
        let host = try HostRig { $0.xattr = true }
        try check(mkfifo(host.path("fifo"), 0o600))
        let guest = try host.guest()
        let fifo = try guest.lookup(.root, "fifo".utf8)
        // user.* is for files only
        #expect(throws: Errno.EPERM) { try guest.setxattr(fifo.node, "user.x".utf8, [1]) }
        if getuid() == 0 {
            try guest.setxattr(fifo.node, "trusted.x".utf8, [1])
            #expect(try guest.getxattr(fifo.node, "trusted.x".utf8) == [1])
        }
    }

    @Test func xattrLimits() throws {
        let host = try HostRig { $0.xattr = true }
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let name = Array("user.".utf8)
        #expect(throws: Errno.ERANGE) {
            try guest.setxattr(file.node, name + [UInt8](repeating: 97, count: 251), [1])
        }
        #expect(throws: Errno.ERANGE) { try guest.setxattr(file.node, [UInt8](), [1]) }
        #expect(throws: Errno.E2BIG) {
            try guest.setxattr(file.node, name + [97], [UInt8](repeating: 1, count: 65537))
        }
        #expect(throws: Errno.EOPNOTSUPP) { try guest.setxattr(file.node, "nothing.x".utf8, [1]) }
    }
}
