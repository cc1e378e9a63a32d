// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

/// Every request, and whatever else a daemon does when it serves, with `--seccomp kill`: a system call that is missing in its
/// thread's list ends the daemon here.
@Suite struct FilteredDaemonTests {
    private let share: FilteredShare

    init() throws { share = try FilteredShare() }

    /// What is neither in the catalogue nor below has no reply of its own, or is refused.
    @Test func theCatalogueIsOfAllRequests() {
        let others: Set<Opcode> = [
            .initialize, .destroy, .forget, .batchForget, .interrupt, .bmap, .poll, .notifyReply,
            .setupMapping,
            .removeMapping,
        ]
        #expect(Set(CatalogueEntry.all.map(\.opcode)).union(others) == Set(Opcode.allCases))
    }

    /// Each for a guest of its own, so that connections, sessions and memory come and go too.
    @Test(arguments: [
        ["--posix-lock", "--flock"], ["--cache", "always", "--exclusive"],
        ["--inode-file-handles", "never", "--posix-lock", "--flock", "--writeback"],
        ["--cache", "never", "--allow-direct-io", "--no-readdirplus", "--posix-lock", "--flock"],
    ]) func everyRequest(options: [String]) throws {
        let daemon = try share.daemon(options)
        for entry in CatalogueEntry.all {
            try share.refill()
            let guest = try share.guest(daemon)
            let fixture = try CatalogueFixture(guest, opens: !options.contains("--exclusive"))
            let reply = try guest.receive(guest.submit(entry.request(fixture)))
            // Whether it worked is others' matter; ENOSYS is what an exclusive share says to OPEN and locks.
            #expect(reply.header.error == 0 || options.contains("--exclusive"), "\(entry.opcode)")
            try guest.interrupt(2)
            try guest.forget(fixture.file)
            try guest.batchForget([(fixture.directory, 1), (fixture.link, 1)])
            try guest.destroy()
        }
        #expect(daemon.end() == 0)
        #expect(access(daemon.socketPath, F_OK) != 0, "the socket's name is gone")
    }

    /// Requests whose calls depend on what they say.
    @Test(.enabled(if: getuid() == 0, "needs root: other users, device nodes"))
    func everyKindOfRequest() throws {
        try share.refill()
        let daemon = try share.daemon(["--security-label=auto", "--modcaps=+sys_admin:+linux_immutable"])
        let guest = try share.guest(daemon)
        let file = try guest.lookup(.root, "file".utf8).node
        let link = try guest.lookup(.root, "link".utf8).node
        let handle = try guest.open(file, flags: Open.readWrite).handle
        for (uid, group) in [(0, nil), (1000, 4242), (0, 4242), (1000, nil)] as [(UInt32, UInt32?)] {
            (guest.uid, guest.gid) = (uid, uid)
            for (index, label) in [nil, "security.selinux", "security.SMACK64", "security.x"].enumerated() {
                var argument = MkdirIn()
                (argument.mode, argument.umask) = (0o777, 0o22)
                var request = FuseRequest(.mkdir, .root, argument)
                request.append(name: "d\(uid).\(group ?? 0).\(index)".utf8)
                if let label { request.append(label: label.utf8, value: "x".utf8) }
                if let group { request.append(supplementaryGroup: group) }
                request.replyBodyByteCount = 128
                let error = try guest.receive(guest.submit(request)).header.error
                if label == nil { #expect(error == 0) }
            }
            _ = try guest.symlink(.root, "s\(uid).\(group ?? 0)".utf8, target: "/etc/passwd".utf8)
            _ = try guest.create(.root, "c\(uid).\(group ?? 0)".utf8, flags: Open.readWrite)
            _ = try guest.tmpfile(.root, flags: Open.readWrite)
            try guest.access(file, mask: 4)
        }
        (guest.uid, guest.gid) = (0, 0)
        for type in [S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK] as [mode_t] {
            let node = try guest.mknod(.root, "n\(type)".utf8, mode: type | 0o600, rdev: 1 << 8 | 3).node
            #expect(throws: Errno.ENXIO) { try guest.open(node, flags: Open.read) }
        }
        // Times, owners, modes, sizes; of an open file, of one that is not, of a symbolic link.
        for node in [file, link] {
            var times = SetAttrIn()
            times.valid = SetAttrValid.atime | SetAttrValid.mtime | SetAttrValid.mtimeNow
            _ = try guest.setattr(node, times)
            _ = try guest.chown(node, uid: 5, gid: 5)
        }
        _ = try guest.chmod(file, mode: 0o6755)
        for valid in [SetAttrValid.size, SetAttrValid.size | SetAttrValid.killSuidGid] {
            for handleBit in [0, SetAttrValid.handle] {
                var size = SetAttrIn()
                (size.valid, size.handle, size.size) = (valid | handleBit, handle, 8)
                _ = try guest.setattr(file, size)
            }
        }
        // An access list whose owner is in no group of the file: ours clears set-group-id.
        _ = try guest.chmod(file, mode: 0o2755)
        let list: [UInt8] =
            [2, 0, 0, 0] + [0x01, 0x04, 0x20].flatMap { [$0, 0, 5, 0, 255, 255, 255, 255] as [UInt8] }
        var acl = SetXattrIn()
        (acl.size, acl.setxattrFlags) = (UInt32(list.count), SetXattrIn.aclKillSgid)
        var request = FuseRequest(.setxattr, file, acl)
        request.append(name: "system.posix_acl_access".utf8)
        request.arguments += list
        #expect(try guest.receive(guest.submit(request)).header.error == 0)
        #expect(try guest.getattr(file).attributes.mode & 0o2000 == 0)
        _ = try guest.getxattrSize(file, "user.x".utf8)
        _ = try guest.listxattrSize(file)

        let four = try guest.ioctl(file, handle, command: 0x8008_6601, room: 4).output
        _ = try? guest.ioctl(file, handle, command: 0x4008_6602, input: four)
        let project = try guest.ioctl(file, handle, command: 0x801c_581f, room: 28).output
        _ = try? guest.ioctl(file, handle, command: 0x401c_5820, input: project)
        #expect(throws: Errno.ENOTTY) { try guest.ioctl(file, handle, command: 0x5401, room: 4) }

        for mode in [0, 1, 3, 0x11] as [UInt32] {
            try? guest.fallocate(file, handle, offset: 0, length: 4096, mode: mode)
        }
        for whence in [3, 4] as [UInt32] { _ = try? guest.lseek(file, handle, offset: 0, whence: whence) }
        try guest.rename2(.root, "file".utf8, to: .root, "renamed".utf8, flags: 0)
        try guest.rename2(.root, "renamed".utf8, to: .root, "link".utf8, flags: 2)
        _ = try? guest.lookup(.root, ".".utf8)
        _ = try? guest.lookup(.root, "..".utf8)
        #expect(try guest.lookup(.root, "missing".utf8).nodeID == 0)
        #expect(throws: (any Error).self) { try guest.create(.root, "directory".utf8, flags: Open.read) }
        #expect(daemon.end() == 0)
    }
}
