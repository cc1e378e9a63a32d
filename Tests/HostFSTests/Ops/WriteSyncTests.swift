// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import Testing

@testable import HostFS

@Suite struct WriteSyncTests {
    @Test func bytesGoWhereTheGuestSays() throws {
        let test = try TestShare()
        test.write("file", "......")
        let (node, handle) = try test.opened("file", O_WRONLY)
        #expect(try test.write(node, handle, at: 2, Array("abc".utf8), in: [1, 0, 2]) == 3)
        #expect(test.contents("file") == Array("..abc.".utf8))
        #expect(try test.write(node, handle, at: 8, [0x78]) == 1)
        #expect(test.contents("file") == Array("..abc.\0\0x".utf8))
        #expect(try test.write(node, handle, []) == 0)
    }

    @Test func appendingIsDecidedPerWrite() throws {
        let test = try TestShare()
        test.write("file", "12")
        let (node, handle) = try test.opened("file", O_WRONLY | O_APPEND)
        #expect(try test.write(node, handle, at: 0, [0x33], openFlags: O_WRONLY | O_APPEND) == 1)
        #expect(test.contents("file") == Array("123".utf8))
        // A page that the guest writes back has its own place, and any handle of the file.
        #expect(
            try test.write(node, handle, at: 0, [0x78], openFlags: O_APPEND, writeFlags: WriteIn.cache) == 1)
        #expect(test.contents("file") == Array("x23".utf8))
        // The guest's flags of this moment: fcntl(2) may have taken O_APPEND away.
        #expect(try test.write(node, handle, at: 1, [0x79]) == 1)
        #expect(test.contents("file") == Array("xy3".utf8))
    }

    @Test(.enabled(if: isRoot, "chattr +a needs root")) func anAppendOnlyFileIsAppendedTo() throws {
        let test = try TestShare()
        test.write("file", "12")
        let file = OwnedDescriptor(adopting: open(test.host("file"), O_RDONLY))
        let flags = try inodeFlags(of: file.rawValue)
        try setInodeFlags(of: file.rawValue, to: flags | UInt32(FS_APPEND_FL))
        defer { try? setInodeFlags(of: file.rawValue, to: flags) }
        #expect(test.error { _ in try test.opened("file", O_WRONLY) } == .EPERM)
        #expect(test.error { _ in try test.opened("file", O_WRONLY | O_APPEND | O_TRUNC) } == .EPERM)
        let (node, handle) = try test.opened("file", O_WRONLY | O_APPEND)
        #expect(try test.write(node, handle, at: 2, [0x33], openFlags: O_WRONLY | O_APPEND) == 1)
        #expect(test.contents("file") == Array("123".utf8))
        // A page of a mapping would be appended as well.
        #expect(
            test.error { _ in try test.write(node, handle, at: 0, [0x78], writeFlags: WriteIn.cache) }
                == .EPERM)
        #expect(test.contents("file") == Array("123".utf8))
    }

    @Test(arguments: [O_DSYNC, O_SYNC])
    func synchronousWritesAreDone(flags: Int32) throws {
        let test = try TestShare()
        test.write("file")
        let (node, handle) = try test.opened("file", O_WRONLY)
        #expect(try test.write(node, handle, [1, 2], openFlags: flags) == 2)
        #expect(test.contents("file") == [1, 2])
    }

    /// T16: by KILL_SUIDGID, for each write.
    @Test(.enabled(if: isRoot, "dropping a capability needs to have it"))
    func setIDBitsAreDroppedWhenAsked() throws {
        let test = try TestShare()
        test.write("file", "", mode: 0o6755)
        let (node, handle) = try test.opened("file", O_WRONLY)
        _ = try test.write(node, handle, [1])
        #expect(test.status("file").st_mode & 0o7777 == 0o6755)
        _ = try test.write(node, handle, [1], writeFlags: WriteIn.killSuidGid)
        #expect(test.status("file").st_mode & 0o7777 == 0o755)
        chmod(test.host("file"), 0o6755)
        _ = try test.write(node, handle, [1])
        #expect(test.status("file").st_mode & 0o7777 == 0o6755)
        // A worker that last acted as somebody without the capability has it back.
        _ = try test.create("other", O_RDWR, as: .user(1000), in: try publicDirectory(test))
        _ = try test.write(node, handle, [1])
        #expect(test.status("file").st_mode & 0o7777 == 0o6755)
    }

    private func publicDirectory(_ test: TestShare) throws -> NodeID {
        Glibc.mkdir(test.host("public"), 0o777)
        chmod(test.host("public"), 0o777)
        return try test.node("public")
    }

    @Test func aReadersHandleDoesNotWrite() throws {
        let test = try TestShare()
        test.write("file", "hello")
        let (node, handle) = try test.opened("file", O_RDONLY)
        #expect(failure { try test.write(node, handle, [1]) } == .EBADF)
        #expect(failure { try test.write(node, 77, [1]) } == .EBADF)
        #expect(test.contents("file") == Array("hello".utf8))
    }

    @Test func synchronisingReachesTheHost() throws {
        let test = try TestShare()
        test.write("file", "hello")
        Glibc.symlink("x", test.host("l"))
        let (node, handle) = try test.opened("file", O_RDWR)
        var arguments = FsyncIn()
        arguments.handle = handle
        try test.request { fs in try fs.fsync(.root, nodeID: node, arguments) }
        arguments.flags = FsyncIn.dataOnly
        try test.request { fs in try fs.fsync(.root, nodeID: node, arguments) }
        arguments.handle = 99
        #expect(test.error { fs in try fs.fsync(.root, nodeID: node, arguments) } == .EBADF)
    }

    @Test func aFileSystemIsSynchronisedByAnyOfItsObjects() throws {
        let test = try TestShare(on: "/dev/shm")
        test.write("file")
        Glibc.symlink("x", test.host("l"))
        try test.request { fs in try fs.syncfs(.root, nodeID: .root) }
        let node = try test.node("file")
        let before = test.openDescriptors()
        for _ in 0..<10 { try test.request { fs in try fs.syncfs(.root, nodeID: node) } }
        #expect(test.openDescriptors() <= before + 1)  // a hot one of the node itself
        let link = try test.node("l")
        #expect(test.error { fs in try fs.syncfs(.root, nodeID: link) } == .ELOOP)
        #expect(test.error { fs in try fs.syncfs(.root, nodeID: NodeID(rawValue: 1 << 40)) } == .ESTALE)
    }
}
