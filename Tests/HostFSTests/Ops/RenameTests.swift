// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import Testing

@testable import HostFS

@Suite struct RenameTests {
    @Test func namesMove() throws {
        let test = try TestShare()
        test.write("a", "a")
        test.write("b", "b")
        Glibc.mkdir(test.host("d"), 0o755)
        try test.rename("a", "b")
        #expect(!test.exists("a") && test.contents("b") == [0x61])
        let directory = try test.node("d")
        let node = try test.node("b")
        try test.rename("b", "c", in: directory)
        #expect(test.contents("d/c") == [0x61])
        #expect(try test.node("d/c") == node)
        #expect(failure { try test.rename("b", "x") } == .ENOENT)
        #expect(failure { try test.rename("d", "x", in: directory) } == .EINVAL)
        #expect(failure { try test.rename("d", "x", in: NodeID(rawValue: 50)) } == .ESTALE)
    }

    @Test func flagsAreHonoured() throws {
        let test = try TestShare()
        test.write("a", "a")
        Glibc.mkdir(test.host("b"), 0o755)
        #expect(failure { try test.rename("a", "b", flags: UInt32(RENAME_NOREPLACE)) } == .EEXIST)
        #expect(failure { try test.rename("a", "x", flags: UInt32(RENAME_EXCHANGE)) } == .ENOENT)
        try test.rename("a", "b", flags: UInt32(RENAME_EXCHANGE))
        #expect(test.status("a").st_mode & S_IFMT == S_IFDIR && test.contents("b") == [0x61])
        try test.rename("b", "c", flags: UInt32(RENAME_NOREPLACE))
        #expect(test.contents("c") == [0x61])
    }

    /// A reader of the guest that has found the old file's name, and opens it only now.
    @Test(arguments: [FileHandlePolicy.prefer, .never])
    func aReplacedFileThatTheGuestKnowsIsStillThere(policy: FileHandlePolicy) throws {
        let test = try TestShare { $0.inodeFileHandles = policy }
        for (name, new) in [("f", "n"), ("g", "o")] {
            test.write(name, "old")
            test.write(new, "new")
        }
        let (old, other) = (try test.node("f"), try test.node("g"))
        try test.rename("n", "f")
        try test.rename("o", "g")
        for node in [old, other] {
            let opened = try test.openNode(node, O_RDONLY)
            #expect(try test.read(node, opened.handle, [9]) == Array("old".utf8))
        }
        #expect(test.contents("f") == Array("new".utf8))
    }

    @Test func unknownFlagsAreRefused() throws {
        let test = try TestShare()
        test.write("a", "a")
        for flags: UInt32 in [8, 1 << 31, UInt32(RENAME_NOREPLACE | RENAME_EXCHANGE)] {
            #expect(failure { try test.rename("a", "b", flags: flags) } == .EINVAL)
        }
        #expect(test.exists("a"))
    }

    @Test(.enabled(if: isRoot, "whiteouts need root"))
    func aWhiteoutIsLeftBehind() throws {
        let test = try TestShare()
        test.write("a", "a")
        try test.rename("a", "b", flags: UInt32(RENAME_WHITEOUT))
        #expect(test.status("a").st_mode & S_IFMT == S_IFCHR && test.status("a").st_rdev == 0)
        #expect(test.contents("b") == [0x61])
    }
}
