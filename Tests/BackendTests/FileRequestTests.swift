// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Testing

@Suite struct FileRequestTests {
    private func pattern(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
    }

    @Test(arguments: Setup.all) func readAndWrite(setup: Setup) throws {
        let host = try HostRig(setup)
        let data = pattern(1 << 20)
        try host.write("file", data)
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let handle = try guest.open(file.node, flags: Open.readWrite).handle
        // With one descriptor a page, 1 MiB fits a ring of 1024 without indirect tables.
        #expect(try guest.read(file.node, handle, size: 1 << 20) == data)
        #expect(try guest.read(file.node, handle, offset: 4095, size: 3) == Array(data[4095..<4098]))
        #expect(try guest.read(file.node, handle, offset: 1 << 20 - 7, size: 4096) == Array(data.suffix(7)))
        #expect(try guest.read(file.node, handle, offset: 1 << 20, size: 4096) == [])
        #expect(try guest.read(file.node, handle, offset: 1 << 40, size: 4096) == [])
        #expect(try guest.read(file.node, handle, size: 0) == [])

        let other = Array(data.reversed())
        #expect(try guest.write(file.node, handle, offset: 3, other) == 1 << 20)
        #expect(try host.read("file") == Array(data.prefix(3)) + other)
        #expect(try guest.write(file.node, handle, offset: 1 << 21, [1, 2, 3]) == 3)
        #expect(try host.status("file").st_size == 1 << 21 + 3)
        #expect(try guest.write(file.node, handle, []) == 0)
        try guest.flush(file.node, handle)
        try guest.release(file.node, handle)
        #expect(throws: Errno.EBADF) { try guest.read(file.node, handle, size: 1) }
    }

    @Test func readAndWriteKeepToTheirMode() throws {
        let host = try HostRig()
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let reader = try guest.open(file.node, flags: Open.read).handle
        let writer = try guest.open(file.node, flags: Open.write).handle
        #expect(throws: Errno.EBADF) { try guest.write(file.node, reader, [1]) }
        #expect(throws: Errno.EBADF) { try guest.read(file.node, writer, size: 1) }
        #expect(throws: Errno.EINVAL) { try guest.read(file.node, reader, offset: .max, size: 1) }
    }

    @Test func openTruncatesAndAppends() throws {
        let host = try HostRig()
        try host.write("file", "old content")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let appender = try guest.open(file.node, flags: Open.write | Open.append).handle
        #expect(try guest.write(file.node, appender, offset: 11, Array("!".utf8), flags: Open.append) == 1)
        #expect(try host.text("file") == "old content!")
        _ = try guest.open(file.node, flags: Open.write | Open.truncate)
        #expect(try host.status("file").st_size == 0)
        #expect(try guest.write(file.node, appender, offset: 0, Array("new".utf8), flags: Open.append) == 3)
        #expect(try host.text("file") == "new")
    }

    @Test(arguments: Setup.all) func create(setup: Setup) throws {
        let host = try HostRig(setup)
        try check(chmod(host.root, 0o777))
        let guest = try host.guest()
        (guest.uid, guest.gid) = (1000, 1001)
        let created = try guest.create(.root, "new".utf8, flags: Open.readWrite, mode: 0o640)
        let status = try host.status("new")
        #expect(status.st_mode == S_IFREG | 0o640)
        #expect(status.st_uid == 1000 && status.st_gid == 1001)
        #expect(try guest.write(created.entry.node, created.open.handle, [65, 66]) == 2)
        #expect(try host.text("new") == "AB")
        #expect(throws: Errno.EEXIST) {
            try guest.create(.root, "new".utf8, flags: Open.readWrite | Open.exclusive)
        }
        // Without O_EXCL an existing file is opened.
        let again = try guest.create(.root, "new".utf8, flags: Open.read)
        #expect(again.entry.nodeID == created.entry.nodeID)
        #expect(try guest.read(again.entry.node, again.open.handle, size: 9) == [65, 66])
        // A file may be made for writing that its mode forbids.
        let sealed = try guest.create(.root, "sealed".utf8, flags: Open.write, mode: 0o400)
        #expect(try guest.write(sealed.entry.node, sealed.open.handle, [1]) == 1)
        try host.makeDirectory("d")
        #expect(throws: Errno.EISDIR) { try guest.create(.root, "d".utf8, flags: Open.readWrite) }
    }

    @Test(arguments: Setup.all) func tmpfile(setup: Setup) throws {
        let host = try HostRig(setup)
        let guest = try host.guest()
        let file = try guest.tmpfile(.root, flags: Open.readWrite)
        #expect(file.entry.attributes.nlink == 0)
        #expect(try guest.write(file.entry.node, file.open.handle, [7]) == 1)
        _ = try guest.link(file.entry.node, to: .root, "named".utf8)
        #expect(try host.read("named") == [7])
        #expect(throws: Errno.EINVAL) { try guest.tmpfile(.root, flags: Open.read) }
    }

    @Test(arguments: Setup.all) func fsync(setup: Setup) throws {
        let host = try HostRig(setup)
        let guest = try host.guest()
        let file = try guest.create(.root, "file".utf8, flags: Open.readWrite)
        _ = try guest.write(file.entry.node, file.open.handle, [1])
        try guest.fsync(file.entry.node, file.open.handle)
        try guest.fsync(file.entry.node, file.open.handle, dataOnly: true)
        try guest.syncfs()
        let directory = try guest.opendir(.root)
        try guest.fsync(.root, directory.handle, directory: true)
    }

    @Test(arguments: Setup.all) func fallocate(setup: Setup) throws {
        let host = try HostRig(setup)
        let guest = try host.guest()
        let file = try guest.create(.root, "file".utf8, flags: Open.readWrite)
        let (node, handle) = (file.entry.node, file.open.handle)
        try guest.fallocate(node, handle, offset: 0, length: 8192)
        #expect(try host.status("file").st_size == 8192)
        let keepSize: UInt32 = 1
        try guest.fallocate(node, handle, offset: 8192, length: 4096, mode: keepSize)
        #expect(try host.status("file").st_size == 8192)
        _ = try guest.write(node, handle, pattern(8192))
        let punchHole: UInt32 = 2
        try guest.fallocate(node, handle, offset: 0, length: 4096, mode: punchHole | keepSize)
        #expect(try host.read("file") == [UInt8](repeating: 0, count: 4096) + pattern(8192).suffix(4096))
        #expect(throws: Errno.EINVAL) { try guest.fallocate(node, handle, offset: 0, length: 0) }
        #expect(throws: Errno.EOPNOTSUPP) {
            try guest.fallocate(node, handle, offset: 0, length: 4096, mode: 0x8000)
        }
    }

    @Test(arguments: Setup.all) func lseek(setup: Setup) throws {
        let host = try HostRig(setup)
        let guest = try host.guest()
        let file = try guest.create(.root, "file".utf8, flags: Open.readWrite)
        let (node, handle) = (file.entry.node, file.open.handle)
        _ = try guest.write(node, handle, offset: 1 << 20, [1])
        let (seekData, seekHole): (UInt32, UInt32) = (3, 4)
        #expect(try guest.lseek(node, handle, offset: 0, whence: seekData) == 1 << 20)
        #expect(try guest.lseek(node, handle, offset: 0, whence: seekHole) == 0)
        #expect(throws: Errno.ENXIO) { try guest.lseek(node, handle, offset: 1 << 30, whence: seekData) }
        #expect(throws: Errno.EINVAL) { try guest.lseek(node, handle, offset: 0, whence: 0) }
    }

    @Test(arguments: Setup.all, [true, false]) func copyFileRange(setup: Setup, narrow: Bool) throws {
        let host = try HostRig(setup)
        try host.write("from", pattern(100_000))
        let guest = try host.guest()
        let from = try guest.lookup(.root, "from".utf8)
        let source = try guest.open(from.node, flags: Open.read)
        let to = try guest.create(.root, "to".utf8, flags: Open.readWrite)
        var argument = CopyFileRangeIn()
        argument.handleIn = source.handle
        argument.offsetIn = 1
        argument.nodeIDOut = to.entry.nodeID
        argument.handleOut = to.open.handle
        argument.offsetOut = 3
        argument.length = 99_999
        #expect(try guest.copyFileRange(from.node, argument, narrow: narrow) == 99_999)
        #expect(try host.read("to") == [0, 0, 0] + pattern(100_000).dropFirst())
        argument.length = .max
        #expect(throws: (any Error).self) {
            try guest.copyFileRange(
                from.node,
                {
                    var bad = argument; bad.flags = 1; return bad
                }(), narrow: narrow)
        }
    }

    @Test func ioctl() throws {
        let host = try HostRig()
        let guest = try host.guest()
        let file = try guest.create(.root, "file".utf8, flags: Open.readWrite)
        let (node, handle) = (file.entry.node, file.open.handle)
        let (getFlags, setFlags): (UInt32, UInt32) = (0x8008_6601, 0x4008_6602)
        let noDump: UInt32 = 0x40
        let (result, flags) = try guest.ioctl(node, handle, command: getFlags, room: 4)
        #expect(result == 0)
        let before = try #require(wireValue(UInt32.self, from: flags))
        _ = try guest.ioctl(node, handle, command: setFlags, input: wireBytes(of: before | noDump))
        let after = try guest.ioctl(node, handle, command: getFlags, room: 4).output
        #expect(wireValue(UInt32.self, from: after) == before | noDump)
        // struct fsxattr: 28 bytes, xflags first; FS_XFLAG_NODUMP is 0x80.
        let extended = try guest.ioctl(node, handle, command: 0x801c_581f, room: 28).output
        #expect(extended.count == 28)
        #expect(try #require(wireValue(UInt32.self, from: extended)) & 0x80 != 0)
        _ = try guest.ioctl(node, handle, command: 0x401c_5820, input: [UInt8](repeating: 0, count: 28))
        let cleared = try guest.ioctl(node, handle, command: getFlags, room: 4).output
        #expect(try #require(wireValue(UInt32.self, from: cleared)) & noDump == 0)
        // TCGETS, FIONREAD, and one that nobody has.
        for command: UInt32 in [0x5401, 0x541b, 0x1234_5678] {
            #expect(throws: Errno.ENOTTY) { try guest.ioctl(node, handle, command: command, room: 64) }
        }
    }
}
