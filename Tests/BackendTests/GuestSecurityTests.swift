// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import StateArena
import Synchronization
import Testing

/// T1-T4, T10, T11, T13, T16 of the hostile guest: what others let through.
@Suite(.enabled(if: getuid() == 0, "needs root: device nodes, owners and groups")) struct GuestSecurityTests {
    // MARK: T1, handles

    @Test func aGuestThatOpensTooMuchGetsENFILE() throws {
        var capacities = StateArena.Capacities()
        capacities.handles = 32
        let host = try HostRig(capacities: capacities)
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        var handles: [UInt64] = []
        var refusal: Errno?
        while refusal == nil, handles.count < 100 {
            do { handles.append(try guest.open(file.node, flags: Open.read).handle) } catch {
                refusal = error
            }
        }
        #expect(refusal == .ENFILE)
        #expect(handles.count >= 16)
        #expect(throws: Errno.ENFILE) { try guest.opendir(.root) }
        #expect(throws: Errno.ENFILE) { try guest.create(.root, "new".utf8, flags: Open.readWrite) }
        #expect(try guest.read(file.node, handles[0], size: 1) == [UInt8(ascii: "x")])
        try guest.release(file.node, handles[0])
        _ = try guest.open(file.node, flags: Open.read)
    }

    @Test func aGuestThatKnowsTooMuchGetsAnError() throws {
        var capacities = StateArena.Capacities()
        capacities.inodes = 64
        let host = try HostRig(capacities: capacities)
        for index in 0..<100 { try host.write("f\(index)", "") }
        let guest = try host.guest()
        var known: [EntryOut] = []
        var refusal: Errno?
        for index in 0..<100 where refusal == nil {
            do { known.append(try guest.lookup(.root, "f\(index)".utf8)) } catch { refusal = error }
        }
        #expect(refusal == .ENFILE || refusal == .ENOMEM)
        _ = try guest.getattr(known[0].node)
        try guest.forget(known[0].node)
        _ = try guest.lookup(.root, "f99".utf8)
    }

    // MARK: T2, devices

    @Test(arguments: [S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK] as [mode_t]) func specialFilesAreNeverOpened(
        type: mode_t
    )
        throws
    {
        let host = try HostRig { $0.xattr = true }
        let guest = try host.guest()
        let special = try guest.mknod(.root, "special".utf8, mode: type | 0o666, rdev: 1 << 8 | 5)
        for flags in [Open.read, Open.write, Open.readWrite, Open.readWrite | Open.truncate] {
            #expect(throws: (any Error).self) { try guest.open(special.node, flags: flags) }
        }
        #expect(throws: (any Error).self) { try guest.create(.root, "special".utf8, flags: Open.readWrite) }
        #expect(throws: (any Error).self) { try guest.truncate(special.node, to: 0) }
        #expect(throws: Errno.ENOTDIR) { try guest.opendir(special.node) }
        #expect(throws: (any Error).self) { try guest.setxattr(special.node, "user.x".utf8, [1]) }
        #expect(host.share.guestDescriptors == 0)
        // What belongs to the node itself works.
        _ = try guest.chmod(special.node, mode: 0o600)
        _ = try guest.getattr(special.node)
    }

    /// The file that was looked up becomes something else before it is opened.
    @Test func aFileThatTurnsIntoAFifo() throws {
        let host = try HostRig()
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        try check(unlink(host.path("file")))
        try check(mkfifo(host.path("file"), 0o666))
        // The node is the old file, which is gone, or its last descriptor.
        if let open = try? guest.open(file.node, flags: Open.read) {
            #expect(try guest.read(file.node, open.handle, size: 1) == [UInt8(ascii: "x")])
        }
        #expect(throws: (any Error).self) { try guest.create(.root, "file".utf8, flags: Open.readWrite) }
        let fifo = try guest.lookup(.root, "file".utf8)
        #expect(fifo.nodeID != file.nodeID)
    }

    // MARK: T3, capabilities of files

    @Test func capabilitiesDoNotSurviveChanges() throws {
        let host = try HostRig { $0.xattr = true }
        try host.write("file", "0123456789")
        try host.write("source", "abc")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let handle = try guest.open(file.node, flags: Open.readWrite).handle
        let source = try guest.lookup(.root, "source".utf8)
        let sourceHandle = try guest.open(source.node, flags: Open.read).handle
        let name = "security.capability".utf8
        // VFS_CAP_REVISION_2 with CAP_CHOWN permitted and effective.
        let value = [UInt32(0x0200_0001), 1, 0, 0, 0].flatMap { wireBytes(of: $0) }
        func after(_ what: String, _ change: () throws -> Void) throws {
            try guest.setxattr(file.node, name, value)
            #expect(try guest.getxattr(file.node, name) == value)
            try change()
            #expect(throws: Errno.ENODATA, "\(what)") { try guest.getxattr(file.node, name) }
        }
        try after("write") { _ = try guest.write(file.node, handle, [1]) }
        try after("truncate") { _ = try guest.truncate(file.node, to: 5) }
        try after("chown") { _ = try guest.chown(file.node, uid: 1, gid: 1) }
        try after("fallocate") { try guest.fallocate(file.node, handle, offset: 0, length: 65536) }
        try after("copy") {
            var copy = CopyFileRangeIn()
            (copy.handleIn, copy.handleOut, copy.nodeIDOut, copy.length) =
                (sourceHandle, handle, file.nodeID, 3)
            _ = try guest.copyFileRange(source.node, copy)
        }
        try after("open with O_TRUNC") {
            _ = try guest.open(file.node, flags: Open.write | Open.truncate)
        }
    }

    // MARK: T4, groups

    /// Groups that the daemon was started with are not the guest's.
    @Test func groupsOfTheDaemonAreNotTheGuests() throws {
        struct Box: @unchecked Sendable { let rig: Result<HostRig, any Error> }
        let box = Mutex<Box?>(nil)
        // The workers inherit the groups of the thread that starts them.
        let thread = try HostOS.Thread(name: "with-groups") {
            let group: [gid_t] = [4242]
            _ = vfs_setgroups_thread(1, group)
            let rig = Result { try HostRig() }
            box.withLock { $0 = Box(rig: rig) }
        }
        thread.join()
        let host = try #require(box.withLock { $0 }).rig.get()
        try host.makeDirectory("shared")
        try check(chown(host.path("shared"), 0, 4242))
        try check(chmod(host.path("shared"), 0o2777))
        try host.makeDirectory("private")
        try check(chown(host.path("private"), 0, 4242))
        try check(chmod(host.path("private"), 0o770))
        let guest = try host.guest()
        let shared = try guest.lookup(.root, "shared".utf8)
        let closed = try guest.lookup(.root, "private".utf8)
        (guest.uid, guest.gid) = (1000, 1000)
        _ = try guest.create(shared.node, "program".utf8, flags: Open.readWrite, mode: 0o2755)
        let status = try host.status("shared/program")
        #expect(status.st_gid == 4242)
        #expect(status.st_mode & S_ISGID == 0, "the creator is not in the group")
        #expect(throws: Errno.EACCES) { try guest.mkdir(closed.node, "x".utf8) }
    }

    /// T4b: the group of one request is not there for the next.
    @Test func aSupplementaryGroupCountsForItsRequestOnly() throws {
        let host = try HostRig()
        try host.makeDirectory("d")
        try check(chown(host.path("d"), 0, 4242))
        try check(chmod(host.path("d"), 0o770))
        let guest = try host.guest()
        #expect(guest.agreedFlags & InitFlags.createSupplementaryGroup != 0)
        let directory = try guest.lookup(.root, "d".utf8)
        func mkdir(_ name: String, group: UInt32?) throws -> Int32 {
            var argument = MkdirIn()
            argument.mode = 0o755
            var request = FuseRequest(.mkdir, directory.node, argument)
            request.append(name: name.utf8)
            if let group { request.append(supplementaryGroup: group) }
            request.replyBodyByteCount = 128
            return try guest.receive(try guest.submit(request)).header.error
        }
        #expect(try mkdir("by-root", group: 4242) == 0)
        (guest.uid, guest.gid) = (1000, 1000)
        #expect(try mkdir("a", group: nil) == -EACCES)
        #expect(try mkdir("b", group: 4242) == 0)
        #expect(try mkdir("c", group: nil) == -EACCES)
        #expect(try mkdir("c", group: 4243) == -EACCES)
        #expect(try host.status("d/b").st_uid == 1000)
        (guest.uid, guest.gid) = (0, 0)
        #expect(try mkdir("by-root-again", group: nil) == 0)
    }

    @Test func idsAreThoseOfTheRequestAndNoneIsTheDaemons() throws {
        let host = try HostRig()
        try check(chmod(host.root, 0o777))
        let guest = try host.guest()
        for (index, id) in [0, 1000, 0, 65534, 12345, 0].enumerated() as EnumeratedSequence<[UInt32]> {
            (guest.uid, guest.gid) = (id, id)
            _ = try guest.mkdir(.root, "d\(index)".utf8)
            #expect(try host.status("d\(index)").st_uid == id)
            #expect(try host.status("d\(index)").st_gid == id)
        }
        // Idmapped mounts send no ids with what makes nothing.
        (guest.uid, guest.gid) = (.max, .max)
        _ = try guest.getattr(.root)
        try guest.rmdir(.root, "d0".utf8)
        #expect(throws: (any Error).self) { try guest.mkdir(.root, "nobody".utf8) }
        (guest.uid, guest.gid) = (1000, 1000)
        _ = try guest.mkdir(.root, "after".utf8)
        #expect(try host.status("after").st_uid == 1000)
    }

    // MARK: T10, T11, open flags

    @Test func directIOIsFilteredEverywhere() throws {
        for allowed in [false, true] {
            let host = try HostRig { $0.allowDirectIO = allowed }
            let guest = try host.guest()
            let created = try guest.create(.root, "file".utf8, flags: Open.readWrite | Open.direct)
            let opened = try guest.open(created.entry.node, flags: Open.readWrite | Open.direct)
            let temporary = try guest.tmpfile(.root, flags: Open.readWrite | Open.direct)
            for (node, handle) in [
                (created.entry.node, created.open.handle), (created.entry.node, opened.handle),
                (temporary.entry.node, temporary.open.handle),
            ] {
                // Three bytes are no sector.
                if allowed {
                    #expect(throws: Errno.EINVAL) { try guest.write(node, handle, [1, 2, 3]) }
                } else {
                    #expect(try guest.write(node, handle, [1, 2, 3]) == 3)
                }
            }
        }
    }

    @Test func withWritebackEveryHandleCanRead() throws {
        let host = try HostRig { $0.writeback = true }
        let guest = try host.guest()
        #expect(guest.agreedFlags & InitFlags.writebackCache != 0)
        let created = try guest.create(.root, "file".utf8, flags: Open.write)
        _ = try guest.write(created.entry.node, created.open.handle, [1, 2, 3])
        #expect(try guest.read(created.entry.node, created.open.handle, size: 9) == [1, 2, 3])
        let opened = try guest.open(created.entry.node, flags: Open.write | Open.append)
        #expect(try guest.read(created.entry.node, opened.handle, size: 9) == [1, 2, 3])
        // The guest knows where the end is: its offset counts, not the host's.
        _ = try guest.write(created.entry.node, opened.handle, offset: 1, [9], writeFlags: WriteIn.cache)
        #expect(try host.read("file") == [1, 9, 3])
    }

    // MARK: T16, set-user-id

    @Test func setIdBitsGoWhenTheGuestSaysSo() throws {
        let host = try HostRig()
        try host.write("file", "0123456789")
        let guest = try host.guest()
        #expect(guest.agreedFlags & InitFlags.handleKillPrivV2 != 0)
        let file = try guest.lookup(.root, "file".utf8)
        let handle = try guest.open(file.node, flags: Open.readWrite).handle
        func bits(after change: () throws -> Void) throws -> mode_t {
            try check(chmod(host.path("file"), 0o6755))
            try change()
            return try host.status("file").st_mode & 0o6000
        }
        func truncate(_ kill: UInt32) throws {
            var argument = SetAttrIn()
            argument.valid = SetAttrValid.size | kill
            argument.size = 4
            _ = try guest.setattr(file.node, argument)
        }
        #expect(try bits { _ = try guest.write(file.node, handle, [1]) } == 0o6000)
        #expect(
            try bits { _ = try guest.write(file.node, handle, [1], writeFlags: WriteIn.killSuidGid) } == 0)
        #expect(try bits { try truncate(0) } == 0o6000)
        #expect(try bits { try truncate(SetAttrValid.killSuidGid) } == 0)
        #expect(try bits { _ = try guest.open(file.node, flags: Open.write | Open.truncate) } == 0o6000)
        #expect(
            try bits {
                _ = try guest.open(
                    file.node, flags: Open.write | Open.truncate, openFlags: OpenIn.killSuidGid)
            } == 0)
        // Without group execution set-group-id is no program's.
        try check(chown(host.path("file"), 4001, 4242))
        _ = try guest.chmod(file.node, mode: 0o6644)
        _ = try guest.write(file.node, handle, [1], writeFlags: WriteIn.killSuidGid)
        #expect(try host.status("file").st_mode & 0o7777 == 0o2644)
        // Its right is not lost for the next request.
        #expect(try bits { _ = try guest.write(file.node, handle, [1]) } == 0o6000)
        #expect(try bits { _ = try guest.chown(file.node, uid: 5, gid: 5) } == 0)
    }
}
