// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Guest
import HostOS

extension HostileCase {
    static let t10 = HostileCase(
        name: "T10", title: "without --allow-direct-io no file is open with O_DIRECT, however it was opened"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent)
        let guest = try rig.guest()
        let created = try guest.create(.root, "file".utf8, flags: Open.readWrite | Open.direct)
        // Three bytes are no sector.
        verdict.expectSuccess(of: "WRITE of 3 bytes after CREATE with O_DIRECT") {
            try guest.write(created.entry.node, created.open.handle, [1, 2, 3])
        }
        let opened = try guest.open(created.entry.node, flags: Open.readWrite | Open.direct)
        verdict.expectSuccess(of: "WRITE of 3 bytes after OPEN with O_DIRECT") {
            try guest.write(created.entry.node, opened.handle, [1, 2, 3])
        }
    }

    static let t11 = HostileCase(
        name: "T11",
        title: "with --writeback a file that was created for writing can be read, as the guest's cache must"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent, ["--writeback"])
        let guest = try rig.guest()
        let created = try guest.create(.root, "file".utf8, flags: Open.write)
        _ = try guest.write(created.entry.node, created.open.handle, [1, 2, 3])
        verdict.expectSuccess(of: "READ after CREATE with O_WRONLY") {
            let data = try guest.read(created.entry.node, created.open.handle, size: 9)
            verdict.expect(data == [1, 2, 3], else: "READ gives something else than was written")
        }
        let opened = try guest.open(created.entry.node, flags: Open.write)
        verdict.expectSuccess(of: "READ after OPEN with O_WRONLY") {
            try guest.read(created.entry.node, opened.handle, size: 9)
        }
    }

    /// GHSA-rr59-xxvx-96qr: an argument that is let in must not turn the others around.
    static let t12 = HostileCase(
        name: "T12", title: "an -o list that contradicts the long options is refused, and does not win"
    ) { opponent, verdict in
        for list in ["source=/", "source=/,cache=always"] {
            let rig = try HostileRig(opponent, ["-o", list])
            do {
                try rig.start()
            } catch is HostileRig.NotStarted {
                continue
            }
            let status = try rig.guest().getattr(.root)
            var root = stat()
            lstat("/", &root)
            verdict.fail(
                status.attributes.ino == root.st_ino
                    ? "-o \(list) serves the whole host instead of --shared-dir" : "-o \(list) is ignored")
        }
    }

    /// GHSA-g6ww-w5j2-r7x3.
    static let t13 = HostileCase(
        name: "T13", title: "on a --readonly share every change is EROFS, whatever the guest's mount says"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent, ["--readonly", "--xattr"])
        try rig.write("file", "0123456789")
        try rig.makeDirectory("d")
        symlink("file", rig.path("link"))
        let guest = try rig.guest()
        let file = try guest.lookup(.root, "file".utf8).node
        let handle = try guest.open(file, flags: Open.read).handle
        // Reading it may change when it was read, and nothing else.
        let before = try rig.snapshot(rig.share)
        func attempt(_ what: String, _ change: () throws -> Void) {
            verdict.expectRefusal(of: what, .EROFS, by: change)
        }
        attempt("MKNOD") { _ = try guest.mknod(.root, "n".utf8, mode: S_IFREG | 0o644) }
        attempt("MKDIR") { _ = try guest.mkdir(.root, "n".utf8) }
        attempt("SYMLINK") { _ = try guest.symlink(.root, "n".utf8, target: "file".utf8) }
        attempt("LINK") { _ = try guest.link(file, to: .root, "n".utf8) }
        attempt("UNLINK") { try guest.unlink(.root, "file".utf8) }
        attempt("RMDIR") { try guest.rmdir(.root, "d".utf8) }
        attempt("RENAME") { try guest.rename(.root, "file".utf8, to: .root, "n".utf8) }
        attempt("CREATE") { _ = try guest.create(.root, "n".utf8, flags: Open.readWrite) }
        attempt("TMPFILE") { _ = try guest.tmpfile(.root, flags: Open.readWrite) }
        attempt("OPEN for writing") { _ = try guest.open(file, flags: Open.readWrite) }
        attempt("OPEN for reading with O_TRUNC") {
            _ = try guest.open(file, flags: Open.read | Open.truncate)
        }
        attempt("SETATTR of the size") { _ = try guest.truncate(file, to: 0) }
        attempt("SETATTR of the mode") { _ = try guest.chmod(file, mode: 0o777) }
        attempt("SETATTR of the owner") { _ = try guest.chown(file, uid: 1, gid: 1) }
        attempt("SETXATTR") { try guest.setxattr(file, "user.x".utf8, [1]) }
        attempt("REMOVEXATTR") { try guest.removexattr(file, "user.x".utf8) }
        // By a handle that can only read the answer may also be that.
        for (what, change) in [
            ("WRITE", { _ = try guest.write(file, handle, [1]) }),
            ("FALLOCATE", { try guest.fallocate(file, handle, offset: 0, length: 4096) }),
            (
                "COPY_FILE_RANGE",
                {
                    var copy = CopyFileRangeIn()
                    (copy.handleIn, copy.handleOut, copy.nodeIDOut, copy.length) = (
                        handle, handle, file.rawValue, 3
                    )
                    copy.offsetOut = 20
                    _ = try guest.copyFileRange(file, copy, narrow: true)
                }
            ),
            ("IOCTL SETFLAGS", { try refusedIoctl(guest, file, handle) }),
        ] as [(String, () throws -> Void)] {
            verdict.expectRefusal(of: what, by: change)
        }
        let after = try rig.snapshot(rig.share)
        verdict.expect(after == before, else: "the share was changed")
    }

    /// FS_IOC_SETFLAGS of "no dump"; its result is an error too.
    private static func refusedIoctl(_ guest: FuseClient, _ file: NodeID, _ handle: UInt64) throws {
        let answer = try guest.ioctl(
            file, handle, command: 0x4008_6602, input: [0x40, 0, 0, 0, 0, 0, 0, 0], room: 0)
        if answer.result < 0 { throw Errno(rawValue: -answer.result) }
    }

    /// What a launcher's limit (ulimit -f, LimitFSIZE=) makes of a large WRITE is a signal that ends a process.
    static let fileSizeLimit = HostileCase(
        name: "File size limit",
        title: "writing beyond the daemon's RLIMIT_FSIZE is an error for the guest, not the daemon's end"
    ) { opponent, verdict in
        // More than the daemon's own tables need.
        let limit: UInt64 = 1 << 38
        let rig = try HostileRig(opponent, launcher: ["/usr/bin/prlimit", "--fsize=\(limit)", "--"])
        let guest = try rig.guest()
        let file = try guest.create(.root, "file".utf8, flags: Open.readWrite)
        let node = file.entry.node
        verdict.expectRefusal(of: "WRITE", .EFBIG) {
            try guest.write(node, file.open.handle, offset: limit, [1, 2, 3])
        }
        verdict.expectRefusal(of: "truncating beyond it", .EFBIG) { try guest.truncate(node, to: limit + 1) }
        verdict.expectRefusal(of: "FALLOCATE", .EFBIG) {
            try guest.fallocate(node, file.open.handle, offset: limit, length: 4096)
        }
        verdict.expectSuccess(of: "a request after that") { try guest.getattr(.root) }
    }
}
