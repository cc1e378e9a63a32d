// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import Testing

@testable import HostFS

@Suite struct SpaceTests {
    private func allocate(
        _ test: TestShare, _ node: NodeID, _ handle: UInt64, mode: Int32 = 0, _ offset: UInt64,
        _ length: UInt64
    ) throws {
        var arguments = FallocateIn()
        arguments.handle = handle
        arguments.mode = UInt32(bitPattern: mode)
        arguments.offset = offset
        arguments.length = length
        try test.request { fs in try fs.fallocate(.root, nodeID: node, arguments) }
    }

    private func copy(
        _ test: TestShare, _ from: (node: NodeID, handle: UInt64), _ offsetIn: UInt64,
        _ to: (node: NodeID, handle: UInt64), _ offsetOut: UInt64, _ length: UInt64, flags: UInt64 = 0
    ) throws -> UInt64 {
        var arguments = CopyFileRangeIn()
        arguments.handleIn = from.handle
        arguments.offsetIn = offsetIn
        arguments.nodeIDOut = to.node.rawValue
        arguments.handleOut = to.handle
        arguments.offsetOut = offsetOut
        arguments.length = length
        arguments.flags = flags
        return try test.request { fs in try fs.copyFileRange(.root, nodeID: from.node, arguments) }
    }

    @Test func theFileSystemIsDescribed() throws {
        let test = try TestShare()
        test.write("f")
        var host = statvfs()
        try #require(statvfs(test.path, &host) == 0)
        let node = try test.node("f")
        for object in [NodeID.root, node] {
            let out = try test.request { fs in try fs.statfs(.root, nodeID: object) }
            #expect(out.blocks == UInt64(host.f_blocks) && out.files == UInt64(host.f_files))
            #expect(out.bsize == UInt32(host.f_bsize) && out.frsize == UInt32(host.f_frsize))
            #expect(out.namelen == 255)
            #expect(out.bfree > 0 && out.bavail <= out.bfree && out.ffree <= out.files)
        }
        #expect(test.error { fs in try fs.statfs(.root, nodeID: NodeID(rawValue: 1 << 33)) } == .ESTALE)
    }

    @Test func theModesOfTheProtocolWork() throws {
        let test = try TestShare()
        test.write("f")
        let (node, handle) = try test.opened("f", O_RDWR)
        try allocate(test, node, handle, 0, 8192)
        #expect(test.status("f").st_size == 8192)
        try allocate(test, node, handle, mode: FALLOC_FL_KEEP_SIZE, 8192, 65536)
        #expect(test.status("f").st_size == 8192 && test.status("f").st_blocks >= 72 * 2)
        _ = try test.write(node, handle, [UInt8](repeating: 1, count: 8192))
        try allocate(test, node, handle, mode: FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)
        try allocate(test, node, handle, mode: FALLOC_FL_ZERO_RANGE, 4096, 10)
        let bytes = test.contents("f")
        #expect(bytes.prefix(4106).allSatisfy { $0 == 0 } && bytes[4106] == 1)
    }

    @Test func otherModesAndRangesAreRefused() throws {
        let test = try TestShare()
        test.write("f", "hello")
        let (node, handle) = try test.opened("f", O_RDWR)
        for mode in [FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE, 1 << 20] {
            #expect(failure { try allocate(test, node, handle, mode: mode, 0, 4096) } == .EOPNOTSUPP)
        }
        #expect(failure { try allocate(test, node, handle, .max, 1) } == .EINVAL)
        #expect(failure { try allocate(test, node, handle, 0, .max) } == .EINVAL)
        #expect(failure { try allocate(test, node, handle, 0, 0) } == .EINVAL)
        #expect(failure { try allocate(test, node, handle, 1 << 62, 1 << 62) } == .EFBIG)
        #expect(failure { try allocate(test, node, 3, 0, 1) } == .EBADF)
        let reader = try test.openNode(node, O_RDONLY).handle
        #expect(failure { try allocate(test, node, reader, 0, 1) } == .EBADF)
        #expect(test.contents("f") == Array("hello".utf8))
    }

    @Test func rangesAreCopied() throws {
        let test = try TestShare()
        test.write("a", "hello")
        test.write("b", "....")
        let a = try test.opened("a", O_RDONLY)
        let b = try test.opened("b", O_RDWR)
        #expect(try copy(test, a, 1, b, 2, 3) == 3)
        #expect(test.contents("b") == Array("..ell".utf8))
        #expect(try copy(test, a, 3, b, 0, 1 << 40) == 2)
        #expect(try copy(test, a, 5, b, 0, 10) == 0)
        #expect(try copy(test, a, 0, b, 0, 0) == 0)
        #expect(failure { try copy(test, a, 0, b, 0, 1, flags: 1) } == .EINVAL)
        #expect(failure { try copy(test, a, .max, b, 0, 1) } == .EINVAL)
        #expect(failure { try copy(test, a, 0, b, 1 << 63, 1) } == .EINVAL)
        #expect(failure { try copy(test, b, 0, a, 0, 1) } == .EBADF)
        #expect(failure { try copy(test, (a.node, 9), 0, b, 0, 1) } == .EBADF)
        #expect(failure { try copy(test, a, 0, (a.node, b.handle), 0, 1) } == .EBADF)
        #expect(test.contents("b") == Array("loell".utf8))
    }

    /// T16: with KILLPRIV_V2 the guest leaves this to us, without saying who asks.
    @Test(.enabled(if: isRoot, "dropping a capability needs to have it"))
    func setIDBitsAreDropped() throws {
        let test = try TestShare()
        try #require(try test.initialize() & InitFlags.handleKillPrivV2 != 0)
        test.write("a", "hello")
        test.write("b", "....", mode: 0o6755)
        let a = try test.opened("a", O_RDONLY)
        let b = try test.opened("b", O_RDWR)
        #expect(try copy(test, a, 0, b, 0, 3) == 3)
        #expect(test.status("b").st_mode & 0o7777 == 0o755)
        chmod(test.host("b"), 0o6755)
        try allocate(test, b.node, b.handle, 0, 100)
        #expect(test.status("b").st_mode & 0o7777 == 0o755)
    }
}
