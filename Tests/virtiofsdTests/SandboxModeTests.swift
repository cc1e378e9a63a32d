// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import HostFS
import HostOS
import Testing

/// The built daemon in each `--sandbox` mode, started by root, by an ordinary user, and in what containers are made of: it serves, it
/// is confined, it ends in order.
@Suite(.enabled(if: geteuid() == 0, "needs root: to be root, and to be somebody else"))
struct SandboxModeTests {
    struct Mode: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let options: [String]
        let starter: Starter
        /// Whether it is one process.
        var isAlone: Bool { options.contains("--sandbox=none") }
        /// Whether it has namespaces of its own.
        var isApart: Bool { options.isEmpty || options[0] == "--sandbox=namespace" }
    }

    static let modes = [
        Mode(testDescription: "root, namespace", options: [], starter: .root),
        Mode(testDescription: "root, chroot", options: ["--sandbox=chroot"], starter: .root),
        Mode(testDescription: "root, none", options: ["--sandbox=none"], starter: .root),
        Mode(
            testDescription: "root, namespace, Landlock",
            options: ["--sandbox=namespace", "--inode-file-handles=never"],
            starter: .root),
        Mode(
            testDescription: "root, none, Landlock",
            options: ["--sandbox=none", "--inode-file-handles=never"],
            starter: .root),
        Mode(testDescription: "user, namespace", options: [], starter: .ordinary),
        Mode(testDescription: "user, none", options: ["--sandbox=none"], starter: .ordinary),
        Mode(
            testDescription: "user as root, namespace",
            options: ["--sandbox=namespace", "--uid-map=:0:1000:1:", "--gid-map=:0:1000:1:"],
            starter: .ordinary),
        Mode(testDescription: "root of a container", options: [], starter: .container),
        Mode(
            testDescription: "root of a container, chroot", options: ["--sandbox=chroot"], starter: .container
        ),
        Mode(testDescription: "user of a container", options: [], starter: .containersUser),
    ]

    /// A share with a file that somebody could want beside it, and its daemon.
    private func start(_ mode: Mode, _ more: [String] = []) throws -> (DaemonProcess, FuseClient) {
        let daemon = try DaemonProcess(["--xattr"] + mode.options + more, command: try mode.starter.command())
        try Files.replace(daemon.directory + "/beside", with: Array("secret".utf8))
        let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket))
        _ = try guest.initialize()
        return (daemon, guest)
    }

    @Test(arguments: modes) func itServes(mode: Mode) throws {
        let (daemon, guest) = try start(mode)
        let directory = NodeID(rawValue: try guest.mkdir(.root, "d".utf8).nodeID)
        let file = try guest.create(directory, "f".utf8, flags: UInt32(O_RDWR))
        let (node, handle) = (NodeID(rawValue: file.entry.nodeID), file.open.handle)
        #expect(try guest.write(node, handle, Array("content".utf8)) == 7)
        #expect(try guest.read(node, handle, size: 100) == Array("content".utf8))
        try guest.fsync(node, handle)
        try guest.release(node, handle)
        // Opened once more by way of /proc/self/fd.
        let again = try guest.open(node, flags: UInt32(O_RDWR)).handle
        #expect(try guest.read(node, again, size: 100) == Array("content".utf8))
        _ = try guest.truncate(node, to: 4)
        _ = try guest.chmod(node, mode: 0o640)
        try guest.setxattr(node, "user.a".utf8, [1, 2])
        #expect(try guest.getxattr(node, "user.a".utf8) == [1, 2])
        _ = try guest.link(node, to: .root, "hard".utf8)
        let soft = try guest.symlink(.root, "soft".utf8, target: "d/f".utf8)
        #expect(try guest.readlink(NodeID(rawValue: soft.nodeID)) == Array("d/f".utf8))
        try guest.rename(directory, "f".utf8, to: .root, "moved".utf8)
        _ = try guest.mknod(.root, "fifo".utf8, mode: UInt32(Glibc.S_IFIFO) | 0o600)
        let listing = try guest.opendir(.root).handle
        let names = try guest.readAll(.root, listing, plus: true).map {
            String(decoding: $0.name, as: UTF8.self)
        }
        #expect(Set(names) == [".", "..", "d", "fifo", "hard", "moved", "soft"])
        try guest.unlink(.root, "hard".utf8)
        try guest.rmdir(.root, "d".utf8)
        // Unlinked and still open.
        try guest.unlink(.root, "moved".utf8)
        #expect(try guest.read(node, again, size: 100) == Array("cont".utf8))
        #expect(try guest.statfs().blocks > 0)
        #expect(try Files.names(in: daemon.share).sorted() == ["fifo", "soft"])
    }

    /// ACCESS for execution is answered by the mode, although nothing can be executed where the daemon is.
    @Test(arguments: modes) func executionIsTheGuestsBusiness(mode: Mode) throws {
        let (daemon, guest) = try start(mode)
        defer { withExtendedLifetime(daemon) {} }
        let file = try guest.create(.root, "f".utf8, flags: UInt32(O_RDWR), mode: 0o700)
        let node = NodeID(rawValue: file.entry.nodeID)
        try guest.access(node, mask: UInt32(R_OK | W_OK | X_OK))
        _ = try guest.chmod(node, mode: 0o600)
        #expect(throws: Errno.EACCES) { try guest.access(node, mask: UInt32(X_OK)) }
        try guest.access(node, mask: UInt32(R_OK | W_OK))
        let directory = NodeID(rawValue: try guest.mkdir(.root, "d".utf8).nodeID)
        try guest.access(directory, mask: UInt32(X_OK))
    }

    @Test(arguments: modes) func whatItIsSeenFromOutside(mode: Mode) throws {
        let (daemon, guest) = try start(mode)
        let launched = launchedProcess(of: guest.frontend)
        let server = peer(of: guest.frontend)
        #expect((launched == server) == mode.isAlone)
        for kind in ["mnt", "pid", "net", "ipc", "uts"] {
            let (one, other) = (
                try linkTarget("/proc/\(launched)/ns/\(kind)"), try linkTarget("/proc/\(server)/ns/\(kind)")
            )
            #expect((one != other) == mode.isApart, "\(kind)")
        }
        try Files.replace(daemon.share + "/marker", with: [])
        #expect((access("/proc/\(server)/root/marker", F_OK) == 0) == !mode.isAlone)
        if mode.isApart {
            #expect(access("/proc/\(server)/root/../beside", F_OK) == -1)
            let mounts = try Files.text("/proc/\(server)/mountinfo").split(separator: "\n")
            #expect(mounts.count == 1 && mounts[0].contains(" / rw,nosuid,nodev,noexec,"), "\(mounts)")
            let interfaces = try Files.text("/proc/\(server)/net/dev").split(separator: "\n").dropFirst(2)
            #expect(interfaces.count == 1 && interfaces.allSatisfy { $0.contains("lo:") })
            let status = try Files.text("/proc/\(server)/status").split(separator: "\n")
            let numbers = status.first { $0.hasPrefix("NSpid:") }?.split(separator: "\t") ?? []
            #expect(numbers.last == "1" && numbers.count > 2)
        }
        for process in [launched, server] {
            let status = try Files.text("/proc/\(process)/status")
            #expect(status.contains("NoNewPrivs:\t1\n"))
            let limits = try Files.text("/proc/\(process)/limits").split(separator: "\n")
            let core = try #require(limits.first { $0.hasPrefix("Max core file size") })
            #expect(core.split(separator: " ")[4...5] == ["1", "1"])
            // The files of a process that must not be dumped are root's.
            var owner = stat()
            #expect(stat("/proc/\(process)/environ", &owner) == 0)
            #expect(owner.st_uid == 0)
        }
    }

    /// The language's handlers would start a program, found by a path that is the guest's to fill.
    @Test(arguments: modes.filter { !$0.isAlone }) func aCrashStartsNothing(mode: Mode) throws {
        let (daemon, guest) = try start(mode)
        defer { withExtendedLifetime(daemon) {} }
        func caught(_ process: pid_t) throws -> UInt64 {
            let status = try Files.text("/proc/\(process)/status").split(separator: "\n")
            let line = try #require(status.first { $0.hasPrefix("SigCgt:\t") })
            return try #require(UInt64(line.dropFirst(8), radix: 16))
        }
        // ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS
        let crashes: UInt64 = [4, 5, 6, 7, 8, 11, 31].reduce(0) { $0 | 1 << ($1 - 1) }
        #expect(try caught(peer(of: guest.frontend)) & crashes == 0)
    }

    /// Whatever of the server's descriptors is a directory lies in the share, or is its own list of descriptors.
    @Test(arguments: modes.filter(\.isApart)) func noDescriptorLeadsOut(mode: Mode) throws {
        let (daemon, guest) = try start(mode, ["--security-label"])
        let server = peer(of: guest.frontend)
        _ = try guest.mkdir(.root, "d".utf8)
        _ = try guest.opendir(NodeID(rawValue: try guest.lookup(.root, "d".utf8).nodeID))
        struct Object: Hashable {
            let device: dev_t
            let inode: ino_t
            init(_ path: String) throws {
                var status = stat()
                _ = try systemCall { stat(path, &status) }
                guard status.st_mode & S_IFMT == S_IFDIR else { throw Errno.ENOTDIR }
                (device, inode) = (status.st_dev, status.st_ino)
            }
        }
        // What lies above each, as far as its mount goes: the share, or a root of a mount of its own.
        var (directories, roots, above) = (0, Set([try Object(daemon.share)]), Set<Object>())
        for number in try Files.names(in: "/proc/\(server)/fd") {
            let path = "/proc/\(server)/fd/\(number)"
            guard let object = try? Object(path) else { continue }
            directories += 1
            let highest = try Object(path + "/../../../../..")
            above.insert(highest)
            if highest == object { roots.insert(object) }
            #expect(access(path + "/../beside", F_OK) == -1)
        }
        #expect(above.isSubset(of: roots))
        // The share, the descriptors and the threads.
        #expect(above.count == 3)
        #expect(directories > 4)
    }

    /// It holds its socket's name, a few descriptors and no right but one: to remove that name.
    @Test(arguments: modes.filter { !$0.isAlone }) func theProcessOutsideHasNextToNothing(mode: Mode) throws {
        let (daemon, guest) = try start(mode)
        defer { withExtendedLifetime(daemon) {} }
        let launched = launchedProcess(of: guest.frontend)
        let status = try Files.text("/proc/\(launched)/status")
        let isRoot = mode.starter != .ordinary && mode.starter != .containersUser
        for key in ["CapPrm", "CapEff"] {
            #expect(
                status.contains("\(key):\t\(isRoot ? "0000000000000002" : "0000000000000000")\n"), "\(status)"
            )
        }
        #expect(status.contains("Threads:\t1\n"))
        #expect(try Files.names(in: "/proc/\(launched)/fd").count == 5)
        func wakeUps() throws -> Substring? {
            try Files.text("/proc/\(launched)/status").split(separator: "\n").first {
                $0.hasPrefix("voluntary")
            }
        }
        let before = try wakeUps()
        for _ in 0..<100 { _ = try guest.getattr(.root) }
        #expect(try wakeUps() == before, "it does nothing while requests are served")
    }

    @Test(arguments: modes) func itEndsInOrder(mode: Mode) throws {
        let (daemon, guest) = try start(mode)
        let processes = [launchedProcess(of: guest.frontend), peer(of: guest.frontend)]
        kill(processes[0], SIGTERM)
        #expect(daemon.child.wait(milliseconds: 30_000) == .exited(0))
        #expect(access(daemon.socket, F_OK) == -1)
        for process in processes { #expect(kill(process, 0) == -1) }
    }

    @Test(arguments: modes) func onceMeansOnce(mode: Mode) throws {
        let daemon = try DaemonProcess(mode.options + ["--once"], command: try mode.starter.command())
        do {
            let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket))
            _ = try guest.initialize()
        }
        #expect(daemon.child.wait(milliseconds: 30_000) == .exited(0))
        #expect(access(daemon.socket, F_OK) == -1)
    }

    /// Kata ends its daemons so.
    @Test(arguments: modes.filter { !$0.isAlone }) func killingOneEndsBoth(mode: Mode) throws {
        let (daemon, guest) = try start(mode)
        let server = peer(of: guest.frontend)
        kill(launchedProcess(of: guest.frontend), SIGKILL)
        #expect(daemon.child.wait(milliseconds: 30_000) == .killed(signal: SIGKILL))
        let deadline = Deadline(milliseconds: 30_000)
        while kill(server, 0) == 0, !deadline.hasPassed { _ = waitReadable(-1, timeoutMilliseconds: 5) }
        #expect(kill(server, 0) == -1)
    }

    @Test(arguments: modes.filter { !$0.isAlone }) func aServerThatDiesIsSaid(mode: Mode) throws {
        let (daemon, guest) = try start(mode)
        kill(peer(of: guest.frontend), SIGKILL)
        try daemon.waitForLine("the process that serves died of signal 9 (Killed)")
        #expect(daemon.child.wait(milliseconds: 30_000) == .exited(128 + SIGKILL))
        #expect(access(daemon.socket, F_OK) == -1)
    }
}
