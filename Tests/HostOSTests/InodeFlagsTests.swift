// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Testing

@Suite struct InodeFlagsTests {
    private static let noAtime: UInt32 = 0x80  // FS_NOATIME_FL
    private static let extendedNoAtime: UInt32 = 0x40  // FS_XFLAG_NOATIME

    @Test func flagsAreReadAndSet() throws {
        let name = "/tmp/inode-flags.\(getpid())"
        let file = OwnedDescriptor(adopting: open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600))
        defer { unlink(name) }
        let before = try inodeFlags(of: file.rawValue)
        try setInodeFlags(of: file.rawValue, to: before | Self.noAtime)
        let set = try inodeFlags(of: file.rawValue)
        #expect(set == before | Self.noAtime)
        var extended = try extendedFlags(of: file.rawValue)
        let shown = extended.fsx_xflags
        #expect(shown & Self.extendedNoAtime != 0)
        extended.fsx_xflags = shown & ~Self.extendedNoAtime
        try setExtendedFlags(of: file.rawValue, to: extended)
        let last = try inodeFlags(of: file.rawValue)
        #expect(last & Self.noAtime == 0)
    }

    @Test func aPipeHasNone() throws {
        let event = try EventFD()
        #expect(throws: Errno.ENOTTY) { _ = try inodeFlags(of: event.descriptor.rawValue) }
        #expect(throws: Errno.ENOTTY) { try setInodeFlags(of: event.descriptor.rawValue, to: 0) }
        #expect(throws: Errno.ENOTTY) { _ = try extendedFlags(of: event.descriptor.rawValue) }
    }
}
