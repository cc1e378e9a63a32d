// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Guest

@Suite struct CpioArchiveTests {
    /// One entry's header: the magic and 13 fields of 8 digits.
    private func header(
        inode: String, mode: String, links: String, size: String, major: String = "00000000",
        minor: String = "00000000",
        nameSize: String
    ) -> String {
        let zero = "00000000"
        return "070701" + inode + mode
            + zero + zero  // uid, gid
            + links
            + zero  // modification time
            + size
            + zero + zero  // device of the file system
            + major + minor  // device of the node
            + nameSize
            + zero  // checksum
    }

    private var trailer: [UInt8] {
        // 110 bytes of header, 11 of name: padded with 3 to 124.
        Array(
            (header(
                inode: "00000000", mode: "00000000", links: "00000001", size: "00000000", nameSize: "0000000B"
            )
                + "TRAILER!!!\0\0\0\0").utf8)
    }

    @Test func emptyArchiveIsTheTrailer() {
        #expect(CpioArchive().finish() == trailer)
    }

    @Test func fileIsPaddedAfterNameAndData() {
        var archive = CpioArchive()
        archive.addFile("a", Array("12345".utf8), permissions: 0o755)
        let expected =
            header(
                inode: "00000001", mode: "000081ED", links: "00000001", size: "00000005", nameSize: "00000002"
            )
            + "a\0"  // 112 bytes so far: a multiple of 4
            + "12345\0\0\0"
        #expect(archive.finish() == Array(expected.utf8) + trailer)
    }

    @Test func directoryDeviceAndLink() {
        var archive = CpioArchive()
        archive.addDirectory("dev")
        archive.addCharacterDevice("dev/console", major: 5, minor: 1)
        archive.addSymbolicLink("l", to: "dev")
        let expected =
            header(
                inode: "00000001", mode: "000041ED", links: "00000002", size: "00000000", nameSize: "00000004"
            )
            + "dev\0\0\0"  // 114 + 2
            + header(
                inode: "00000002", mode: "00002180", links: "00000001", size: "00000000", major: "00000005",
                minor: "00000001", nameSize: "0000000C")
            + "dev/console\0\0\0"  // 122 + 2
            + header(
                inode: "00000003", mode: "0000A1FF", links: "00000001", size: "00000003", nameSize: "00000002"
            )
            + "l\0"
            + "dev\0"
        #expect(archive.finish() == Array(expected.utf8) + trailer)
    }
}
