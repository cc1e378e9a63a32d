// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import Testing

/// What goes wrong on the host reaches the guest as that errno, and the next request works.
@Suite struct HostErrorTests {
    @Test(.enabled(if: getuid() == 0, "needs root: mounts a small tmpfs")) func aFullDisk() throws {
        let disk = try SmallDisk()
        let host = try HostRig(in: disk.path)
        let guest = try host.guest()
        let file = try guest.create(.root, "file".utf8, flags: Open.readWrite)
        let chunk = [UInt8](repeating: 1, count: 1 << 20)
        var written = 0
        var refusal: Errno?
        while refusal == nil, written < 64 << 20 {
            do {
                written += try guest.write(file.entry.node, file.open.handle, offset: UInt64(written), chunk)
            } catch {
                refusal = error
            }
        }
        #expect(refusal == .ENOSPC)
        #expect(try host.status("file").st_size == written)
        #expect(throws: Errno.ENOSPC) {
            try guest.fallocate(file.entry.node, file.open.handle, offset: 1 << 30, length: 1 << 26)
        }
        // Names run out too.
        refusal = nil
        for index in 0..<100 where refusal == nil {
            do { _ = try guest.mknod(.root, "f\(index)".utf8, mode: S_IFREG | 0o600) } catch {
                refusal = error
            }
        }
        #expect(refusal == .ENOSPC)
        #expect(throws: Errno.ENOSPC) { try guest.mkdir(.root, "d".utf8) }
        _ = try guest.truncate(file.entry.node, to: 0)
        #expect(try guest.write(file.entry.node, file.open.handle, chunk) == 1 << 20)
    }

    @Test func theSharedDirectoryVanishes() throws {
        let host = try HostRig()
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let open = try guest.open(file.node, flags: Open.readWrite)
        let directory = try guest.opendir(.root)
        try check(unlink(host.path("file")))
        try check(rmdir(host.root))
        #expect(throws: Errno.ENOENT) { try guest.mkdir(.root, "x".utf8) }
        #expect(throws: Errno.ENOENT) { try guest.create(.root, "x".utf8, flags: Open.readWrite) }
        let missing = try? guest.lookup(.root, "file".utf8)
        #expect(missing == nil || missing?.nodeID == 0)
        // What getdents64(2) says of a directory that is gone depends on its file system.
        if let left = try? guest.readAll(.root, directory.handle) { #expect(left.isEmpty) }
        // What is open is still there.
        #expect(try guest.read(file.node, open.handle, size: 1) == [UInt8(ascii: "x")])
        #expect(try guest.getattr(.root).attributes.nlink == 0)
    }

    @Test func whatTheHostTookAway() throws {
        let host = try HostRig()
        try host.makeDirectory("d")
        try host.write("d/file", "x")
        let guest = try host.guest()
        let directory = try guest.lookup(.root, "d".utf8)
        let file = try guest.lookup(directory.node, "file".utf8)
        try check(unlink(host.path("d/file")))
        // Its last name is gone: stale, or still there behind a descriptor of ours.
        do {
            #expect(try guest.getattr(file.node).attributes.nlink == 0)
        } catch {
            #expect(error == .ESTALE)
        }
        #expect(throws: Errno.ENOENT) { try guest.unlink(directory.node, "file".utf8) }
        try host.write("d/file", "other")
        let other = try guest.lookup(directory.node, "file".utf8)
        #expect(other.nodeID != file.nodeID)
        #expect(other.attributes.size == 5)
    }

    @Test func aFileBeyondWhatTheFileSystemHolds() throws {
        let host = try HostRig()
        let guest = try host.guest()
        let file = try guest.create(.root, "file".utf8, flags: Open.readWrite)
        #expect(throws: Errno.EFBIG) {
            try guest.write(file.entry.node, file.open.handle, offset: UInt64(Int64.max) - 4096, [1])
        }
        for offset: UInt64 in [UInt64(Int64.max), 1 << 63, .max] {
            #expect(throws: (any Error).self) {
                try guest.write(file.entry.node, file.open.handle, offset: offset, [1])
            }
        }
        #expect(try host.status("file").st_size == 0)
    }
}

/// A tmpfs of 4 MiB and 32 inodes, unmounted at the end.
private final class SmallDisk {
    private let directory: TemporaryDirectory
    var path: String { directory.path }

    init() throws {
        directory = try TemporaryDirectory()
        try check(mount("tmpfs", directory.path, "tmpfs", 0, "size=4m,nr_inodes=32"))
    }

    deinit { umount2(path, Int32(MNT_DETACH)) }
}
