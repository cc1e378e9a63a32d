// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

/// Mounts of the host inside a share whose daemon has a mount namespace of its own.
@Suite(.enabled(if: geteuid() == 0, "needs root: to mount"))
struct SandboxMountTests {
    /// A directory where a test mounts, private to this file's tests and gone with them.
    private final class HostMount {
        let path: String

        init(_ path: String) throws {
            self.path = path
            if access(path, F_OK) != 0 { mkdir(path, 0o755) }
            let (end, _, errors) = try ChildProcess.run("/bin/mount", ["-t", "tmpfs", "test", path])
            try #require(end == .exited(0), "\(String(decoding: errors, as: UTF8.self))")
        }

        deinit { umount2(path, Int32(MNT_DETACH)) }
    }

    private func mountLines(_ process: pid_t) throws -> [Substring] {
        try Files.text("/proc/\(process)/mountinfo").split(separator: "\n")
    }

    /// They are there, with the sandbox's flags, announced as mounts, and used by file handle too.
    @Test(arguments: ["prefer", "never"]) func mountsOfBeforeAreWalledToo(handles: String) throws {
        let folder = try makeTemporaryDirectory()
        defer { removeTree(folder) }
        let mount = try HostMount(folder + "/inner")
        try Files.replace(mount.path + "/file", with: Array("content".utf8))
        let daemon = try DaemonProcess(["--inode-file-handles=\(handles)"], share: folder)
        let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket))
        _ = try guest.initialize()
        let lines = try mountLines(peer(of: guest.frontend))
        #expect(lines.count == 2)
        #expect(lines.allSatisfy { $0.contains("nosuid,nodev,noexec,") }, "\(lines)")
        let entry = try guest.lookup(.root, "inner".utf8)
        #expect(entry.attributes.flags & 1 == 1, "FUSE_ATTR_SUBMOUNT")
        let inner = NodeID(rawValue: entry.nodeID)
        let node = NodeID(rawValue: try guest.lookup(inner, "file".utf8).nodeID)
        let handle = try guest.open(node, flags: UInt32(O_RDONLY)).handle
        #expect(try guest.read(node, handle, size: 100) == Array("content".utf8))
        _ = try guest.create(inner, "new".utf8, flags: UInt32(O_RDWR))
        #expect(access(mount.path + "/new", F_OK) == 0)
        // So many others that the first ones are opened by their handles again, where there are handles.
        for number in 0..<200 {
            _ = try guest.create(inner, "n\(number)".utf8, flags: UInt32(O_RDWR))
        }
        #expect(try guest.open(node, flags: UInt32(O_RDONLY)).handle != handle)
    }

    /// As container managers do it, who mount what a container is to see when the daemon runs already.
    @Test func mountsOfLaterArriveWhereTheHostSharesThem() throws {
        let folder = try makeTemporaryDirectory()
        defer { removeTree(folder) }
        let outer = try HostMount(folder)
        try #require(try ChildProcess.run("/bin/mount", ["--make-shared", folder]).end == .exited(0))
        let daemon = try DaemonProcess(share: folder)
        let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket))
        _ = try guest.initialize()
        mkdir(folder + "/later", 0o755)
        do {
            let mount = try HostMount(folder + "/later")
            try Files.replace(mount.path + "/file", with: Array("content".utf8))
            let node = NodeID(rawValue: try guest.walk("later/file".utf8).nodeID)
            let handle = try guest.open(node, flags: UInt32(O_RDONLY)).handle
            #expect(try guest.read(node, handle, size: 100) == Array("content".utf8))
            #expect(try mountLines(peer(of: guest.frontend)).count == 2)
        }
        #expect(try mountLines(peer(of: guest.frontend)).count == 1)
        withExtendedLifetime(outer) {}
    }

    /// Nothing that the daemon mounts shows on the host.
    @Test func theHostsMountsStayAsTheyAre() throws {
        let folder = try makeTemporaryDirectory()
        defer { removeTree(folder) }
        let outer = try HostMount(folder)
        try #require(try ChildProcess.run("/bin/mount", ["--make-shared", folder]).end == .exited(0))
        func here() throws -> [Substring] { try mountLines(getpid()).filter { $0.contains(folder) } }
        let before = try here()
        let daemon = try DaemonProcess(["--readonly"], share: folder)
        #expect(try here() == before)
        #expect(access(folder, W_OK) == 0)
        withExtendedLifetime((daemon, outer)) {}
    }
}
