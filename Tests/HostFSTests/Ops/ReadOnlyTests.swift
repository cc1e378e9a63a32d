// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import Testing

@testable import HostFS

/// T13: a guest can remount its side writable; the share stays as it is.
@Suite struct ReadOnlyTests {
    private func share() throws -> TestShare {
        let test = try TestShare {
            $0.readOnly = true
            $0.xattr = true
        }
        test.write("f", "hello", mode: 0o666)
        Glibc.mkdir(test.host("d"), 0o777)
        return test
    }

    @Test func readingWorks() throws {
        let test = try share()
        let (node, handle) = try test.opened("f", O_RDONLY)
        #expect(try test.read(node, handle, [9]) == Array("hello".utf8))
        try test.request { fs in try fs.syncfs(.root, nodeID: .root) }
        try test.release(node, handle)
    }

    @Test(arguments: [O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC])
    func openingForWriteIsRefused(flags: Int32) throws {
        let test = try share()
        #expect(failure { try test.opened("f", flags) } == .EROFS)
        #expect(test.contents("f") == Array("hello".utf8))
    }

    @Test func namesStay() throws {
        let test = try share()
        let node = try test.node("f")
        #expect(failure { try test.create("new", O_RDWR) } == .EROFS)
        #expect(failure { try test.create("f", O_RDONLY) } == .EROFS)
        #expect(failure { try test.mknod("new", S_IFREG | 0o644) } == .EROFS)
        #expect(failure { try test.mkdir("new") } == .EROFS)
        #expect(failure { try test.symlink("new", to: "f") } == .EROFS)
        #expect(failure { try test.link(node, "new") } == .EROFS)
        #expect(failure { try test.rename("f", "new") } == .EROFS)
        let removal = test.error { fs in
            try withName("f") { name in try fs.unlink(.root, parent: .root, name: name) }
        }
        #expect(removal == .EROFS)
        let directory = test.error { fs in
            try withName("d") { name in try fs.rmdir(.root, parent: .root, name: name) }
        }
        #expect(directory == .EROFS)
        var arguments = CreateIn()
        arguments.flags = UInt32(bitPattern: O_RDWR)
        #expect(test.error { fs in try fs.tmpfile(.root, parent: .root, arguments) } == .EROFS)
        #expect(!test.exists("new") && test.exists("f") && test.exists("d"))
    }

    @Test func contentsStay() throws {
        let test = try share()
        let (node, handle) = try test.opened("f", O_RDONLY)
        #expect(failure { try test.write(node, handle, [1]) } == .EROFS)
        var allocation = FallocateIn()
        allocation.handle = handle
        allocation.length = 1
        #expect(test.error { fs in try fs.fallocate(.root, nodeID: node, allocation) } == .EROFS)
        var copy = CopyFileRangeIn()
        copy.handleIn = handle
        copy.handleOut = handle
        copy.nodeIDOut = node.rawValue
        copy.length = 1
        #expect(test.error { fs in try fs.copyFileRange(.root, nodeID: node, copy) } == .EROFS)
        #expect(test.contents("f") == Array("hello".utf8))
    }

    @Test func attributesStay() throws {
        let test = try share()
        let (node, handle) = try test.opened("f", O_RDONLY)
        let setting = test.error { fs in
            try withText("user.a") { name in
                try fs.setxattr(
                    .root, nodeID: node, name: name, value: UnsafeRawBufferPointer(start: nil, count: 0),
                    SetXattrIn())
            }
        }
        #expect(setting == .EROFS)
        let removing = test.error { fs in
            try withText("user.a") { name in try fs.removexattr(.root, nodeID: node, name: name) }
        }
        #expect(removing == .EROFS)
        for (command, size) in [(UInt32(0x4008_6602), 4), (0x401c_5820, 28)] {
            var arguments = IoctlIn()
            arguments.handle = handle
            arguments.command = command
            let input = [UInt8](repeating: 0, count: size)
            let error = failure {
                try reply { buffer in
                    _ = try test.request { fs in
                        try input.withUnsafeBytes { input in
                            try fs.ioctl(.root, nodeID: node, arguments, input: input, into: &buffer)
                        }
                    }
                }
            }
            #expect(error == .EROFS)
        }
    }
}
