// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import Testing

@testable import HostFS

@Suite struct CreateTests {
    /// A directory of the share that everybody may write.
    private func open(_ test: TestShare, mode: mode_t = 0o777, group: gid_t = 0) throws -> NodeID {
        Glibc.mkdir(test.host("d"), 0o700)
        lchown(test.host("d"), 0, group)
        chmod(test.host("d"), mode)
        return try test.node("d")
    }

    @Test(arguments: [FileHandlePolicy.prefer, .never])
    func aNewFileIsAnEntryAndAHandle(policy: FileHandlePolicy) throws {
        let test = try TestShare { $0.inodeFileHandles = policy }
        let out = try test.create("new", O_RDWR, mode: 0o640)
        #expect(out.entry.attributes.mode == S_IFREG | 0o640)
        #expect(out.entry.attributes.size == 0)
        let node = NodeID(rawValue: out.entry.nodeID)
        #expect(try test.node("new") == node)
        #expect(try test.write(node, out.open.handle, [1, 2]) == 2)
        #expect(try test.read(node, out.open.handle, [4]) == [1, 2])
        #expect(test.contents("new") == [1, 2])
    }

    @Test(.enabled(if: isRoot, "acting as others needs root"))
    func objectsBelongToTheCaller() throws {
        let test = try TestShare()
        let directory = try open(test)
        let file = try test.create("f", O_WRONLY, as: .user(1000, 1001), in: directory)
        #expect(file.entry.attributes.uid == 1000 && file.entry.attributes.gid == 1001)
        let child = try test.mkdir("c", as: .user(1002), in: directory)
        #expect(child.attributes.uid == 1002 && child.attributes.gid == 1002)
        // The daemon's own again.
        #expect(try test.create("r", O_WRONLY).entry.attributes.uid == 0)
    }

    @Test(.enabled(if: isRoot, "acting as others needs root"))
    func theCallerIsHeldToTheHostsPermissions() throws {
        let test = try TestShare()
        try #require(try test.initialize() & InitFlags.createSupplementaryGroup != 0)
        let directory = try open(test, mode: 0o755)
        #expect(failure { try test.create("f", O_WRONLY, as: .user(1000), in: directory) } == .EACCES)
        #expect(failure { try test.mkdir("f", as: .user(1000), in: directory) } == .EACCES)
        // Ids that an idmapped mount could not map.
        #expect(failure { try test.create("f", O_WRONLY, as: .user(.max), in: directory) } == .EPERM)
        #expect(test.exists("d/f") == false)
    }

    @Test func umaskCountsWhenAgreedOn() throws {
        let plain = try TestShare()
        #expect(
            try plain.create("f", O_RDWR, mode: 0o666, umask: 0o022).entry.attributes.mode & 0o777 == 0o666)
        let masking = try TestShare {
            $0.xattr = true
            $0.posixACL = .auto
        }
        let flags = try masking.initialize()
        try #require(flags & InitFlags.dontMask != 0)
        #expect(
            try masking.create("f", O_RDWR, mode: 0o666, umask: 0o027).entry.attributes.mode & 0o777 == 0o640)
        #expect(try masking.create("g", O_RDWR, mode: 0o666, umask: 0).entry.attributes.mode & 0o777 == 0o666)
    }

    @Test func anExistingFileIsOpened() throws {
        let test = try TestShare()
        test.write("file", "hello")
        #expect(failure { try test.create("file", O_RDWR | O_EXCL) } == .EEXIST)
        let out = try test.create("file", O_RDWR)
        let node = NodeID(rawValue: out.entry.nodeID)
        #expect(try test.node("file") == node)
        #expect(try test.read(node, out.open.handle, [9]) == Array("hello".utf8))
        #expect(out.entry.attributes.size == 5)
        let cut = try test.create("file", O_RDWR | O_TRUNC)
        #expect(cut.entry.attributes.size == 0)
    }

    @Test(.enabled(if: isRoot, "acting as others needs root"))
    func anExistingFileIsOpenedByTheCallersRights() throws {
        let test = try TestShare()
        let directory = try open(test)
        test.write("d/private", "secret", mode: 0o600)
        for flags in [O_RDONLY, O_WRONLY, O_RDWR | O_TRUNC] {
            #expect(failure { try test.create("private", flags, as: .user(1000), in: directory) } == .EACCES)
        }
        #expect(test.contents("d/private") == Array("secret".utf8))
    }

    /// T2: a name that is no regular file is not opened, and a link is not followed.
    @Test func onlyRegularFilesAreOpened() throws {
        let test = try TestShare()
        Glibc.mkdir(test.host("dir"), 0o755)
        Glibc.symlink(test.path + "/outside", test.host("link"))
        mkfifo(test.host("fifo"), 0o666)
        #expect(failure { try test.create("dir", O_RDWR) } == .EISDIR)
        #expect(failure { try test.create("link", O_RDWR) } == .ELOOP)
        #expect(failure { try test.create("fifo", O_RDWR) } == .ENXIO)
        #expect(test.exists("outside") == false)
        if isRoot {
            Glibc.mknod(test.host("null"), S_IFCHR | 0o666, 0x103)
            #expect(failure { try test.create("null", O_RDWR) } == .ENXIO)
        }
    }

    /// T10: what is stripped from OPEN is stripped from CREATE.
    @Test func directIOIsStripped() throws {
        let test = try TestShare()
        test.write("old", "hello")
        for name in ["new", "old"] {
            let out = try test.create(name, O_RDWR | O_DIRECT | O_APPEND | O_NOATIME)
            let node = NodeID(rawValue: out.entry.nodeID)
            #expect(try test.hostFlags(node, out.open.handle) & (O_DIRECT | O_APPEND | O_NOATIME) == 0)
            #expect(try test.write(node, out.open.handle, [UInt8](repeating: 1, count: 100)) == 100)
        }
    }

    /// T11.
    @Test func writebackMakesWritersReaders() throws {
        let test = try TestShare { $0.writeback = true }
        _ = try test.initialize()
        let out = try test.create("new", O_WRONLY)
        let node = NodeID(rawValue: out.entry.nodeID)
        _ = try test.write(node, out.open.handle, [7])
        #expect(try test.read(node, out.open.handle, [4]) == [7])
    }

    /// T4: nobody gets set-group-id with a group that he is not in.
    @Test(.enabled(if: isRoot, "acting as others needs root"))
    func setGroupIDIsNotGivenAway() throws {
        let test = try TestShare()
        try #require(try test.initialize() & InitFlags.createSupplementaryGroup != 0)
        let directory = try open(test, mode: 0o2777, group: 4242)
        let stranger = try test.create("a", O_RDWR, mode: 0o2775, as: .user(1000), in: directory).entry
            .attributes
        #expect(stranger.gid == 4242 && stranger.mode & 0o2000 == 0)
        var member = Caller.user(1000)
        member.supplementaryGroup = 4242
        let kept = try test.create("b", O_RDWR, mode: 0o2775, as: member, in: directory).entry.attributes
        #expect(kept.gid == 4242 && kept.mode & 0o2000 != 0)
        #expect(try test.mkdir("c", as: .user(1000), in: directory).attributes.mode & 0o2000 != 0)
    }

    /// T4b: a supplementary group is gone with its request.
    @Test(.enabled(if: isRoot, "acting as others needs root"))
    func supplementaryGroupsDoNotStick() throws {
        let test = try TestShare()
        try #require(try test.initialize() & InitFlags.createSupplementaryGroup != 0)
        let directory = try open(test, mode: 0o770, group: 4242)
        var root = Caller.root
        root.supplementaryGroup = 4242
        _ = try test.create("a", O_RDWR, as: root, in: directory)
        #expect(failure { try test.create("b", O_RDWR, as: .user(1000), in: directory) } == .EACCES)
        var member = Caller.user(1000)
        member.supplementaryGroup = 4242
        _ = try test.create("c", O_RDWR, as: member, in: directory)
        #expect(failure { try test.create("d", O_RDWR, as: .user(1000), in: directory) } == .EACCES)
    }

    /// T16: an existing file that CREATE cuts.
    @Test(.enabled(if: isRoot, "dropping a capability needs to have it"), arguments: [true, false])
    func truncationDropsSetIDWhenAsked(kill: Bool) throws {
        let test = try TestShare()
        test.write("file", "hello", mode: 0o6755)
        _ = try test.create("file", O_RDWR | O_TRUNC, kill: kill)
        #expect(test.status("file").st_mode & 0o7777 == (kill ? 0o755 : 0o6755))
    }

    @Test func nodesOfEveryTypeAreMade() throws {
        let test = try TestShare()
        #expect(try test.mknod("f", S_IFREG | 0o4640).attributes.mode == S_IFREG | 0o4640)
        #expect(try test.mknod("p", S_IFIFO | 0o600).attributes.mode == S_IFIFO | 0o600)
        #expect(try test.mknod("s", S_IFSOCK | 0o600).attributes.mode == S_IFSOCK | 0o600)
        #expect(failure { try test.mknod("f", S_IFREG | 0o600) } == .EEXIST)
        #expect(failure { try test.mknod("d", S_IFDIR | 0o700) } == .EPERM)
        #expect(failure { try test.mknod("x", 0o170000) } == .EINVAL)
    }

    @Test(.enabled(if: isRoot, "device nodes need root"))
    func devicesKeepTheirNumber() throws {
        let test = try TestShare()
        try #require(try test.initialize() & InitFlags.createSupplementaryGroup != 0)
        let number: UInt32 = 0x103  // 1:3 as the kernel packs it
        let wide: UInt32 = 0x1230_8004  // major 0x80, minor 0x12304
        #expect(try test.mknod("c", S_IFCHR | 0o600, device: number).attributes.rdev == number)
        #expect(try test.mknod("b", S_IFBLK | 0o600, device: wide).attributes.rdev == wide)
        #expect(failure { try test.mknod("u", S_IFBLK | 0o600, device: 8, as: .user(1000)) } == .EACCES)
    }

    @Test func directoriesAndLinksAreMade() throws {
        let test = try TestShare()
        let directory = try test.mkdir("d", mode: 0o1750)
        #expect(directory.attributes.mode == S_IFDIR | 0o1750)
        #expect(failure { try test.mkdir("d") } == .EEXIST)
        let link = try test.symlink("l", to: "../no/where\u{e9}")
        #expect(link.attributes.mode & S_IFMT == S_IFLNK)
        #expect(failure { try test.symlink("m", to: "") } == .ENOENT)
        #expect(failure { try test.mkdir("x", in: NodeID(rawValue: 99)) } == .ESTALE)
        #expect(failure { try test.mkdir("x", in: NodeID(rawValue: link.nodeID)) } == .ENOTDIR)
    }
}

@Suite struct TemporaryFileTests {
    private func tmpfile(_ test: TestShare, _ flags: Int32 = O_RDWR) throws -> CreateOut {
        var arguments = CreateIn()
        arguments.flags = UInt32(bitPattern: flags)
        arguments.mode = S_IFREG | 0o600
        return try test.request { fs in try fs.tmpfile(.root, parent: .root, arguments) }
    }

    @Test(arguments: [FileHandlePolicy.prefer, .never])
    func aFileGetsItsNameLater(policy: FileHandlePolicy) throws {
        let test = try TestShare { $0.inodeFileHandles = policy }
        let out = try tmpfile(test)
        let node = NodeID(rawValue: out.entry.nodeID)
        #expect(out.entry.attributes.nlink == 0)
        _ = try test.write(node, out.open.handle, [1, 2, 3])
        let linked = try test.link(node, "named")
        #expect(linked.nodeID == out.entry.nodeID)
        #expect(linked.attributes.nlink == 1)
        try test.release(node, out.open.handle)
        #expect(test.contents("named") == [1, 2, 3])
    }

    /// Without a name and a handle it lives as long as the guest knows it.
    @Test func itLivesUntilForgotten() throws {
        let test = try TestShare()
        let before = test.share.guestDescriptors
        let out = try tmpfile(test)
        let node = NodeID(rawValue: out.entry.nodeID)
        try test.release(node, out.open.handle)
        _ = try test.openNode(node, O_RDWR)
        #expect(failure { _ = try test.link(node, "late") } == nil)
        let other = try tmpfile(test)
        try test.release(NodeID(rawValue: other.entry.nodeID), other.open.handle)
        test.forget(NodeID(rawValue: other.entry.nodeID))
        #expect(failure { try test.openNode(NodeID(rawValue: other.entry.nodeID), O_RDWR) } == .ESTALE)
        #expect(test.share.guestDescriptors == before + 2)  // the first one's handle and record
    }

    @Test func anExclusiveOneNeverGetsAName() throws {
        let test = try TestShare()
        let out = try tmpfile(test, O_RDWR | O_EXCL)
        #expect(failure { try test.link(NodeID(rawValue: out.entry.nodeID), "x") } == .ENOENT)
        #expect(failure { try tmpfile(test, O_RDONLY) } == .EINVAL)
    }
}

@Suite(.enabled(if: isRoot, "labels need root")) struct LabelTests {
    private func label<R>(
        _ name: String = "security.selinux", _ value: [UInt8] = Array("system_u:object_r:x:s0\0".utf8),
        _ body: (Caller) throws -> R
    ) rethrows -> R {
        try withText(name) { name in
            try value.withUnsafeBytes { value in
                var caller = Caller.root
                caller.label = SecurityLabel(name: name, value: value)
                return try body(caller)
            }
        }
    }

    private func host(_ test: TestShare, _ name: String) -> String? {
        var value = [UInt8](repeating: 0, count: 64)
        let count = lgetxattr(test.host(name), "security.selinux", &value, value.count)
        return count < 1 ? nil : String(decoding: value[..<(count - 1)], as: UTF8.self)
    }

    @Test func everyNewObjectIsLabelled() throws {
        let test = try TestShare()
        try label { caller in
            _ = try test.create("f", O_RDWR, as: caller)
            _ = try test.mkdir("d", as: caller)
            _ = try test.mknod("p", S_IFIFO | 0o600, as: caller)
            _ = try test.symlink("l", to: "x", as: caller)
        }
        for name in ["f", "d", "p", "l"] { #expect(host(test, name) == "system_u:object_r:x:s0") }
        _ = try test.create("unlabelled", O_RDWR)
        #expect(host(test, "unlabelled") == nil)
    }

    /// S4, T7.
    @Test func noDescriptorIsLeftOver() throws {
        let test = try TestShare()
        for index in 0..<200 { _ = try label { caller in try test.mkdir("d\(index)", as: caller) } }
        #expect(test.heldDescriptors <= test.share.options.hotDescriptors)
        #expect(test.openDescriptors() == test.heldDescriptors)
    }

    @Test func whatCannotBeLabelledIsNotMade() throws {
        let test = try TestShare()
        let long = [UInt8](repeating: 0x61, count: 65537)
        #expect(failure { try label("security.selinux", long) { try test.mkdir("d", as: $0) } } == .E2BIG)
        #expect(
            failure { try label("security.selinux", long) { try test.create("f", O_RDWR, as: $0) } } == .E2BIG
        )
        #expect(failure { try label("security.capability") { try test.mkdir("d", as: $0) } } == .EOPNOTSUPP)
        #expect(failure { try label("trusted.x") { try test.create("f", O_RDWR, as: $0) } } == .EOPNOTSUPP)
        #expect(!test.exists("d") && !test.exists("f"))
    }
}
