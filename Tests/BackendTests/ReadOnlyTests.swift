// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import HostFS
import Testing

/// T13: a guest may mount as it likes; what is read-only stays as it is.
@Suite struct ReadOnlyTests {
    private enum Answer: Equatable {
        case refused
        case served
        /// Without a reply, or not served on any share.
        case aside
    }

    /// There is no default here: who adds an operation has to decide.
    private func answer(to opcode: Opcode) -> Answer {
        switch opcode {
        case .mknod, .mkdir, .symlink, .link, .unlink, .rmdir, .rename, .rename2, .create, .tmpfile: .refused
        case .setattr, .setxattr, .removexattr: .refused
        case .write, .fallocate, .copyFileRange, .copyFileRange64: .refused
        // Their arguments say whether they change anything: `waysToWrite` below.
        case .open, .ioctl, .access: .served
        case .lookup, .readlink, .getattr, .statx, .statfs, .getxattr, .listxattr: .served
        case .read, .flush, .release, .lseek, .opendir, .readdir, .readdirplus, .releasedir: .served
        // Nothing of this guest's is there to be written.
        case .fsync, .fsyncdir, .syncfs: .served
        // Of the lock, not of the file.
        case .getlk, .setlk, .setlkw: .served
        case .initialize, .destroy, .forget, .batchForget, .interrupt: .aside
        case .bmap, .poll, .notifyReply, .setupMapping, .removeMapping: .aside
        }
    }

    private func fixture() throws -> CatalogueFixture {
        try CatalogueFixture(configure: { $0.readOnly = true }, opensForWriting: false)
    }

    private func send(_ fixture: CatalogueFixture, _ request: FuseRequest) throws -> Int32 {
        try fixture.guest.receive(try fixture.guest.submit(request)).header.error
    }

    @Test(arguments: Opcode.allCases) func everyOperation(opcode: Opcode) throws {
        let wanted = answer(to: opcode)
        guard let entry = CatalogueEntry.all.first(where: { $0.opcode == opcode }) else {
            #expect(wanted == .aside, "the catalogue has a request for it")
            return
        }
        let fixture = try fixture()
        let before = fixture.host.snapshot()
        let error = try send(fixture, entry.request(fixture))
        #expect(wanted == (error == -EROFS ? .refused : .served))
        if wanted == .served {
            // A write lock takes an open for writing.
            #expect(error == 0 || opcode == .setlk || opcode == .setlkw)
        }
        #expect(entry.changes == (wanted == .refused))
        #expect(fixture.host.snapshot() == before)
    }

    @Test(arguments: [
        SetAttrValid.mode, SetAttrValid.uid, SetAttrValid.gid, SetAttrValid.size, SetAttrValid.atime,
        SetAttrValid.mtime, SetAttrValid.atime | SetAttrValid.atimeNow, SetAttrValid.ctime, 0,
        SetAttrValid.size | SetAttrValid.handle, SetAttrValid.killSuidGid,
    ]) func everyAttribute(valid: UInt32) throws {
        let fixture = try fixture()
        var argument = SetAttrIn()
        (argument.valid, argument.handle) = (valid, fixture.fileHandle)
        for node in [fixture.file, fixture.directory, fixture.link] {
            #expect(throws: Errno.EROFS) { try fixture.guest.setattr(node, argument) }
        }
    }

    @Test func waysToWrite() throws {
        let fixture = try fixture()
        let guest = fixture.guest
        let before = fixture.host.snapshot()
        for flags in [
            Open.write, Open.readWrite, Open.read | Open.truncate, Open.write | Open.append,
            Open.readWrite | Open.truncate,
        ] {
            #expect(throws: Errno.EROFS) { try guest.open(fixture.file, flags: flags) }
            #expect(throws: Errno.EROFS) { try guest.create(.root, "file".utf8, flags: flags) }
        }
        for (command, size) in [(UInt32(0x4008_6602), 4), (0x401c_5820, 28)] {
            #expect(throws: Errno.EROFS) {
                try guest.ioctl(
                    fixture.file, fixture.fileHandle, command: command,
                    input: [UInt8](repeating: 0, count: size))
            }
        }
        var access = AccessIn()
        access.mask = UInt32(W_OK)
        #expect(try send(fixture, FuseRequest(.access, fixture.file, access)) == -EROFS)
        access.mask = UInt32(R_OK)
        #expect(try send(fixture, FuseRequest(.access, fixture.file, access)) == 0)
        #expect(fixture.host.snapshot() == before)
    }

    /// Reading is no change either. Where the daemon may say so; what it reads of files of others as an ordinary user, and
    /// targets of links, the host's kernel notes all the same.
    @Test(.enabled(if: getuid() == 0, "needs root: files of others"), arguments: [false, true])
    func timesOfAccess(exclusive: Bool) throws {
        func times(readOnly: Bool) throws -> [Int] {
            let host = try HostRig {
                $0.readOnly = readOnly
                if exclusive { ($0.exclusive, $0.cache) = (true, .always) }
            }
            try host.write("file", "0123456789")
            try host.makeDirectory("directory")
            try host.write("directory/entry", "")
            let old = timespec(tv_sec: 1_000_000, tv_nsec: 0)
            for name in ["file", "directory"] {
                try check(chown(host.path(name), 1234, 1234))
                try check(
                    utimensat(
                        AT_FDCWD, host.path(name), [old, timespec(tv_sec: 0, tv_nsec: Int(VFS_UTIME_OMIT))], 0
                    ))
            }
            let guest = try host.guest()
            let file = try guest.lookup(.root, "file".utf8).node
            let directory = try guest.lookup(.root, "directory".utf8).node
            let handle = exclusive ? 0 : try guest.open(file, flags: Open.read).handle
            #expect(try guest.read(file, handle, size: 4) == Array("0123".utf8))
            let list = exclusive ? 0 : try guest.opendir(directory).handle
            #expect(try guest.readdir(directory, list, size: 4096, plus: true).count > 0)
            return try ["file", "directory"].map { try host.status($0).st_atim.tv_sec }
        }
        #expect(try times(readOnly: true) == [1_000_000, 1_000_000])
        // What is seen above is the daemon's doing.
        #expect(try times(readOnly: false).allSatisfy { $0 > 1_000_000 })
    }
}
