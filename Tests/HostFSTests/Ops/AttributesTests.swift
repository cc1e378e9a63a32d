// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import Testing

@testable import HostFS

@Suite struct AttributesTests {
    private func set(_ test: TestShare, _ node: NodeID, _ change: (inout SetAttrIn) -> Void) throws
        -> Attributes
    {
        var arguments = SetAttrIn()
        change(&arguments)
        return try test.request { try $0.setattr(.root, nodeID: node, arguments).attributes }
    }

    @Test(arguments: [FileHandlePolicy.prefer, .never])
    func everyFieldCanBeSet(policy: FileHandlePolicy) throws {
        let test = try TestShare { $0.inodeFileHandles = policy }
        test.write("file", "hello")
        let node = try test.node("file")
        let all = try set(test, node) {
            $0.valid =
                SetAttrValid.mode | SetAttrValid.size | SetAttrValid.atime | SetAttrValid.mtime
                | SetAttrValid.ctime
            $0.mode = 0o106750  // the type bits are not the guest's to change
            $0.size = 3
            $0.atime = 1_000_000
            $0.atimensec = 1
            $0.mtime = UInt64(bitPattern: -5)  // before 1970
            $0.mtimensec = 999_999_999
            $0.ctime = 7  // the host sets it itself
        }
        #expect(all.mode == 0o106750)
        #expect(all.size == 3)
        #expect(all.atime == 1_000_000 && all.atimensec == 1)
        #expect(Int64(bitPattern: all.mtime) == -5 && all.mtimensec == 999_999_999)
        #expect(all.ctime > 1_000_000)

        let now = try set(test, node) {
            $0.valid = SetAttrValid.atime | SetAttrValid.atimeNow | SetAttrValid.mtime | SetAttrValid.mtimeNow
            $0.atime = 5
            $0.mtime = 5
        }
        #expect(now.atime > 1_000_000_000 && now.mtime > 1_000_000_000)
        let one = try set(test, node) {
            $0.valid = SetAttrValid.atime
            $0.atime = 77
        }
        #expect(one.atime == 77 && one.mtime == now.mtime && one.mtimensec == now.mtimensec)
    }

    @Test(.enabled(if: isRoot, "changing owners needs root"))
    func ownersAreSetBeforeTheMode() throws {
        let test = try TestShare()
        test.write("file")
        let result = try set(test, try test.node("file")) {
            $0.valid = SetAttrValid.uid | SetAttrValid.gid | SetAttrValid.mode
            $0.uid = 1234
            $0.gid = 5678
            $0.mode = 0o4755
        }
        #expect(result.uid == 1234 && result.gid == 5678)
        #expect(result.mode == 0o104755)  // chown(2) alone would have cleared the set-user-id bit
        let group = try set(test, try test.node("file")) {
            $0.valid = SetAttrValid.gid
            $0.gid = 9
            $0.uid = 8
        }
        #expect(group.uid == 1234 && group.gid == 9)
    }

    @Test func valuesThatMeanSomethingElseToTheHostAreRefused() throws {
        let test = try TestShare()
        test.write("file", "hello")
        let node = try test.node("file")
        func refused(_ change: (inout SetAttrIn) -> Void) -> Errno? {
            test.error { _ in try set(test, node, change) }
        }
        #expect(
            refused {
                $0.valid = SetAttrValid.uid; $0.uid = .max
            } == .EINVAL)
        #expect(
            refused {
                $0.valid = SetAttrValid.gid; $0.gid = .max
            } == .EINVAL)
        #expect(
            refused {
                $0.valid = SetAttrValid.atime; $0.atimensec = 1_000_000_000
            } == .EINVAL)
        // UTIME_NOW and UTIME_OMIT
        #expect(
            refused {
                $0.valid = SetAttrValid.mtime; $0.mtimensec = 0x3fff_ffff
            } == .EINVAL)
        #expect(
            refused {
                $0.valid = SetAttrValid.mtime; $0.mtimensec = 0x3fff_fffe
            } == .EINVAL)
        #expect(
            refused {
                $0.valid = SetAttrValid.size; $0.size = 1 << 63
            } == .EFBIG)
        #expect(
            refused {
                $0.valid = SetAttrValid.size | SetAttrValid.handle; $0.handle = 99
            } == .EBADF)
    }

    /// CVE-2020-35517: nothing but regular files and directories is ever opened.
    @Test(.enabled(if: isRoot, "making device nodes needs root"))
    func devicesAndFifosAreNeverOpened() throws {
        let test = try TestShare()
        #expect(mknod(test.host("block"), S_IFBLK | 0o666, 7 << 8) == 0)
        #expect(mknod(test.host("char"), S_IFCHR | 0o666, 1 << 8 | 3) == 0)
        #expect(mkfifo(test.host("fifo"), 0o666) == 0)
        #expect(symlink("/etc/passwd", test.host("link")) == 0)
        for (name, expected) in [
            ("block", Errno.ENXIO), ("char", .ENXIO), ("fifo", .ENXIO), ("link", .ELOOP),
        ] {
            let node = try test.node(name)
            #expect(
                test.error { _ in try set(test, node) { $0.valid = SetAttrValid.size } } == expected,
                "\(name)")
            #expect(test.error { try $0.reopen(node, flags: O_RDWR | O_NONBLOCK) } == expected, "\(name)")
            #expect(test.error { try $0.opendir(.root, nodeID: node, OpenIn()) } == .ENOTDIR, "\(name)")
        }
        // What can be done without opening works on all of them.
        let fifo = try set(test, try test.node("fifo")) {
            $0.valid = SetAttrValid.mode; $0.mode = 0o600
        }
        #expect(fifo.mode == 0o010600)
        let device = try test.lookup("block").attributes
        #expect(device.mode & 0o170000 == 0o060000 && device.rdev == 7 << 8)
    }

    /// A regular file that the host replaces by a FIFO between LOOKUP and OPEN: the guest's node still is the file, and
    /// what the name is now is another node.
    @Test(arguments: [FileHandlePolicy.prefer, .never])
    func aFileSwappedForAFifoIsNotOpened(policy: FileHandlePolicy) throws {
        let test = try TestShare { $0.inodeFileHandles = policy }
        test.write("file", "hello")
        let node = try test.node("file")
        #expect(unlink(test.host("file")) == 0)
        #expect(mkfifo(test.host("file"), 0o666) == 0)
        let error = test.error { try $0.reopen(node, flags: O_RDONLY) }
        #expect(policy == .never ? error == nil : error == .ESTALE)
        #expect(try test.lookup("file").nodeID != node.rawValue)
    }

    @Test func anUnlinkedOpenFileIsStillThere() throws {
        let test = try TestShare()
        test.write("file", "hello")
        let node = try test.node("file")
        let handle = try test.request {
            try $0.addHandle(try $0.reopen(node, flags: O_RDWR), node: node, kind: .file, flags: O_RDWR)
        }
        #expect(unlink(test.host("file")) == 0)
        let attributes = try test.request { try $0.getattr(.root, nodeID: node, handle: handle) }.attributes
        #expect(attributes.nlink == 0 && attributes.size == 5)
        let cut = try set(test, node) {
            $0.valid = SetAttrValid.size | SetAttrValid.handle
            $0.handle = handle.rawValue
            $0.size = 1
        }
        #expect(cut.size == 1)
        let other = try test.node("")
        #expect(test.error { try $0.getattr(.root, nodeID: other, handle: handle) } != nil)
        #expect(test.error { try $0.getattr(.root, nodeID: .root, handle: handle) } == .EBADF)
    }

    @Test(.enabled(if: isRoot, "CAP_FSETID is root's")) func truncationKillsSetIDOnlyWhenTheGuestSaysSo()
        throws
    {
        let test = try TestShare()
        test.write("file", "hello", mode: 0o6755)
        let node = try test.node("file")
        let kept = try set(test, node) {
            $0.valid = SetAttrValid.size; $0.size = 4
        }
        #expect(kept.mode == 0o106755)
        let killed = try set(test, node) {
            $0.valid = SetAttrValid.size | SetAttrValid.killSuidGid
            $0.size = 3
        }
        #expect(killed.mode == 0o100755)
        test.write("file", "hello", mode: 0o6755)
        #expect(
            try set(test, node) {
                $0.valid = SetAttrValid.size; $0.size = 2
            }.mode == 0o106755)
    }

    /// Anybody in the guest can cause it: chown(path, -1, -1).
    @Test(.enabled(if: isRoot, "CAP_FSETID is root's")) func aChangeOfNothingKeepsSetID() throws {
        let test = try TestShare()
        test.write("file", "hello", mode: 0o6755)
        let node = try test.node("file")
        for valid in [0, SetAttrValid.ctime] {
            let result = try set(test, node) {
                $0.valid = valid; $0.ctime = 5
            }
            #expect(result.mode == 0o106755 && result.size == 5)
        }
    }

    @Test func aReadOnlyShareIsNotChanged() throws {
        let test = try TestShare { $0.readOnly = true }
        test.write("file", "hello")
        let node = try test.node("file")
        #expect(test.error { _ in try set(test, node) { $0.valid = SetAttrValid.mode } } == .EROFS)
        #expect(test.error { try $0.access(.root, nodeID: node, mask: 2) } == .EROFS)
        #expect(test.error { try $0.access(.root, nodeID: node, mask: 4) } == nil)
    }

    @Test(.enabled(if: isRoot, "other users need root")) func accessIsTheCallers() throws {
        let test = try TestShare()
        test.write("file", "", mode: 0o640)
        let node = try test.node("file")
        #expect(test.error { try $0.access(.user(1000), nodeID: node, mask: 4) } == .EACCES)
        #expect(test.error { try $0.access(.user(1000, 0), nodeID: node, mask: 4) } == nil)
        #expect(test.error { try $0.access(.root, nodeID: node, mask: 6) } == nil)
        #expect(test.error { try $0.access(.root, nodeID: node, mask: 8) } == .EINVAL)
    }

    @Test func statxTellsTheBirthTime() throws {
        let test = try TestShare()
        test.write("file", "hello")
        let node = try test.node("file")
        var arguments = StatxIn()
        arguments.mask = 0xfff
        let reply = try test.request { try $0.statx(.root, nodeID: node, handle: nil, arguments) }
        #expect(reply.stat.mask & 0xfff == 0xfff)
        #expect(reply.stat.size == 5 && reply.stat.mode == 0o100644 && reply.stat.nlink == 1)
        #expect(reply.stat.btime.sec > 1_000_000_000)
        #expect(reply.attrValid == 1)
        arguments.flags = 0x6000  // both sync types at once
        #expect(test.error { try $0.statx(.root, nodeID: node, handle: nil, arguments) } == .EINVAL)
    }
}
