// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import Testing

@testable import HostFS

@Suite struct IoctlTests {
    private static let getFlags: UInt32 = 0x8008_6601
    private static let setFlags: UInt32 = 0x4008_6602
    private static let getExtended: UInt32 = 0x801c_581f
    private static let setExtended: UInt32 = 0x401c_5820
    private static let noAtime: UInt32 = 0x80  // FS_NOATIME_FL

    private func ioctl(
        _ test: TestShare, _ node: NodeID, _ handle: UInt64, _ command: UInt32, _ input: [UInt8] = [],
        out: Int = 0,
        capacity: Int = 4096
    ) throws -> [UInt8] {
        var arguments = IoctlIn()
        arguments.handle = handle
        arguments.command = command
        arguments.inSize = UInt32(input.count)
        arguments.outSize = UInt32(out)
        return try reply(capacity: capacity) { buffer in
            let result = try test.request { fs in
                try input.withUnsafeBytes { input in
                    try fs.ioctl(.root, nodeID: node, arguments, input: input, into: &buffer)
                }
            }
            #expect(result == 0)
        }
    }

    private func number(_ bytes: [UInt8]) -> UInt32 {
        bytes.prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    private func bytes(_ number: UInt32) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }

    @Test func flagsOfFilesAreReadAndSet() throws {
        let test = try TestShare()
        test.write("f")
        let (node, handle) = try test.opened("f", O_RDONLY)
        let before = number(try ioctl(test, node, handle, Self.getFlags, out: 4))
        #expect(before & Self.noAtime == 0)
        #expect(try ioctl(test, node, handle, Self.setFlags, bytes(before | Self.noAtime)) == [])
        #expect(number(try ioctl(test, node, handle, Self.getFlags, out: 4)) == before | Self.noAtime)
        // struct fsxattr, 28 bytes: xflags first; FS_XFLAG_NOATIME is 0x40.
        var extended = try ioctl(test, node, handle, Self.getExtended, out: 28)
        #expect(extended.count == 28 && number(extended) & 0x40 != 0)
        extended[0] &= ~0x40
        #expect(try ioctl(test, node, handle, Self.setExtended, extended) == [])
        #expect(number(try ioctl(test, node, handle, Self.getFlags, out: 4)) == before)
    }

    @Test func directoriesHaveFlagsToo() throws {
        let test = try TestShare()
        let handle = try test.request { fs in try fs.opendir(.root, nodeID: .root, OpenIn()).handle }
        #expect(try ioctl(test, .root, handle, Self.getFlags, out: 4).count == 4)
    }

    @Test func sizesAreExact() throws {
        let test = try TestShare()
        test.write("f")
        let (node, handle) = try test.opened("f", O_RDONLY)
        for size in [0, 3, 8, 28] {
            #expect(failure { try ioctl(test, node, handle, Self.getFlags, out: size) } == .EINVAL)
            let input = [UInt8](repeating: 0, count: size)
            #expect(failure { try ioctl(test, node, handle, Self.setFlags, input) } == .EINVAL)
        }
        #expect(failure { try ioctl(test, node, handle, Self.getExtended, out: 27) } == .EINVAL)
        #expect(failure { try ioctl(test, node, handle, Self.setExtended, [1, 2, 3, 4]) } == .EINVAL)
        #expect(failure { try ioctl(test, node, handle, Self.getFlags, out: 4, capacity: 3) } == .EINVAL)
    }

    @Test(arguments: [
        0x541b,  // FIONREAD, which the host would answer
        0x5401,  // TCGETS
        0x8008_7601,  // FS_IOC_GETVERSION
        0x4004_9409,  // FICLONE
        0x4008_6601, 0, UInt32.max,
    ])
    func nothingElseReachesTheHost(command: UInt32) throws {
        let test = try TestShare()
        test.write("f", "hello")
        let (node, handle) = try test.opened("f", O_RDWR)
        #expect(failure { try ioctl(test, node, handle, command, [0, 0, 0, 0], out: 4) } == .ENOTTY)
        #expect(failure { try ioctl(test, node, 5, command) } == .EBADF)
    }
}
