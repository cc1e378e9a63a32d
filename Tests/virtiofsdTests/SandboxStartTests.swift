// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

/// How the built daemon starts behind walls: what it refuses, what it takes over, what it lets nobody have.
@Suite(.enabled(if: geteuid() == 0, "needs root: to be root, and to be somebody else"))
struct SandboxStartTests {
    private func run(_ command: [String]) throws -> (end: ChildProcess.End, errors: String) {
        let (end, output, errors) = try ChildProcess.run(command[0], Array(command.dropFirst()))
        #expect(output.isEmpty)
        return (end, String(decoding: errors, as: UTF8.self))
    }

    private let quiet = ["--socket-path=/tmp/never-made.socket", "--log-level=error"]

    /// Whatever of its processes it happens in.
    @Test(
        arguments: [
            (
                [], "--shared-dir=/nonexistent",
                "cannot share /nonexistent: No such file or directory; make the directory first"
            ),
            (
                ["--sandbox=chroot"], "--shared-dir=/dev/null",
                "cannot share /dev/null: neither a directory nor a regular file; give a directory with --shared-dir"
            ),
            (
                ["--inode-file-handles=mandatory"], "--shared-dir=/proc",
                "cannot use file handles for /proc: Operation not supported; they need CAP_DAC_READ_SEARCH; or leave out --inode-file-handles=mandatory"
            ),
            (["--modcaps=+audit_read"], "--shared-dir=/srv", nil),
        ] as [([String], String, String?)])
    func anErrorIsSaidOnce(options: [String], share: String, line: String?) throws {
        let (end, errors) = try run(
            ["/usr/bin/setpriv", "--bounding-set=-audit_read", executable, share] + quiet + options)
        #expect(end == .exited(1))
        let wanted =
            line
            ?? "cannot keep capabilities that --modcaps adds: this process does not have audit_read; start it as root and with "
            + "them, or take them out of --modcaps"
        #expect(errors == "virtiofsd: \(wanted)\n")
        #expect(access("/tmp/never-made.socket", F_OK) == -1)
    }

    @Test func whatTheSocketsPathForbidsIsSaidOnceToo() throws {
        let missing = try run([
            executable, "--shared-dir=/srv", "--socket-path=/nonexistent/s", "--log-level=error",
        ])
        #expect(missing.end == .exited(1))
        #expect(
            missing.errors
                == "virtiofsd: cannot listen on /nonexistent/s: No such file or directory; make its directory first\n"
        )
        let inherited = try run([executable, "--shared-dir=/srv", "--fd=0", "--log-level=error"])
        #expect(inherited.end == .exited(1))
        #expect(
            inherited.errors
                == "virtiofsd: cannot listen on inherited descriptor 0: not a listening Unix stream socket; bind it and listen "
                + "on it before starting this program\n")
    }

    /// Never less than was asked for: what cannot be raised stops the start.
    @Test(
        arguments: [
            ("-Ur", "setpriv --bounding-set=-sys_admin", "mount namespace", "Operation not permitted"),
            ("-U", "", "user namespace", "Operation not permitted"),
            ("-Ur", "setpriv --bounding-set=-sys_chroot", nil, "Operation not permitted"),
        ] as [(String, String, String?, String)])
    func aWallThatCannotBeRaisedStopsTheStart(kind: String, prefix: String, wall: String?, reason: String)
        throws
    {
        let options = wall == nil ? "--sandbox=chroot" : "--sandbox=namespace"
        let (end, errors) = try run([
            "/usr/bin/unshare", kind, "sh", "-c",
            "exec \(prefix) \(executable) --shared-dir=/srv \(quiet.joined(separator: " ")) \(options)",
        ])
        #expect(end == .exited(1))
        let name = wall ?? "root directory (chroot)"
        #expect(errors.hasPrefix("virtiofsd: cannot raise the sandbox's \(name): \(reason); "), "\(errors)")
        #expect(errors.contains("--sandbox none"))
        #expect(errors.split(separator: "\n").count == 1)
    }

    /// As where an administrator forbids user namespaces: ENOSPC.
    @Test func forbiddenUserNamespacesStopTheStart() throws {
        let forbidding =
            "echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all --ambient-caps=-all \"$@\""
        let (end, errors) = try run(
            ["/usr/bin/setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
                + [
                    "/usr/bin/unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", forbidding,
                    "sh",
                ]
                + [try reachableExecutable(), "--shared-dir=/srv"] + quiet)
        #expect(end == .exited(1))
        #expect(
            errors
                == "virtiofsd: cannot raise the sandbox's user namespace: No space left on device; raise "
                + "user.max_user_namespaces and its like, or give --sandbox chroot (root only) or --sandbox none\n"
        )
    }

    /// A file's own mount, and nothing beside it.
    @Test(arguments: ["namespace", "chroot", "none"]) func aSingleFileIsServed(sandbox: String) throws {
        let folder = try makeTemporaryDirectory()
        defer { removeTree(folder) }
        try Files.replace(folder + "/file", with: Array("content".utf8))
        let daemon = try DaemonProcess(["--sandbox=\(sandbox)"], share: folder + "/file")
        let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket))
        _ = try guest.initialize()
        let handle = try guest.open(.root, flags: UInt32(O_RDWR)).handle
        #expect(try guest.read(.root, handle, size: 100) == Array("content".utf8))
        #expect(try guest.write(.root, handle, Array("C".utf8)) == 1)
        #expect(try Files.text(folder + "/file") == "Content")
        #expect(throws: Errno.ENOTDIR) { try guest.lookup(.root, "file".utf8) }
        if sandbox == "namespace" {
            #expect(try Files.names(in: "/proc/\(peer(of: guest.frontend))/root/").isEmpty)
        }
    }

    /// A launcher that leaves descriptors open gives a guest nothing.
    @Test(arguments: ["namespace", "chroot", "none"]) func inheritedDescriptorsAreClosed(sandbox: String)
        throws
    {
        let secret = try makeMemoryFile(name: "secret", byteCount: 1)
        let daemon = try DaemonProcess(
            ["--sandbox=\(sandbox)"], descriptors: [secret.rawValue, secret.rawValue])
        let frontend = try DeviceFrontend(connectingTo: daemon.socket)
        for process in [launchedProcess(of: frontend), peer(of: frontend)] {
            let open = try Files.names(in: "/proc/\(process)/fd").map {
                try linkTarget("/proc/\(process)/fd/\($0)")
            }
            #expect(!open.contains { $0.contains("secret") }, "\(open)")
        }
    }

    /// Standard descriptors that are closed do not become something else.
    @Test func closedStandardDescriptorsBecomeNull() throws {
        let folder = try makeTemporaryDirectory()
        defer { removeTree(folder) }
        let child = try ChildProcess(
            program: "/bin/sh",
            arguments: [
                "-c", "exec \"$@\" 0<&- 1>&- 2>&-", "sh", executable, "--shared-dir=/srv",
                "--socket-path=\(folder)/socket",
            ], descriptors: [])
        let deadline = Deadline(milliseconds: 30_000)
        while access(folder + "/socket", F_OK) != 0, !deadline.hasPassed {
            _ = waitReadable(-1, timeoutMilliseconds: 5)
        }
        let frontend = try DeviceFrontend(connectingTo: folder + "/socket")
        for number in 0...2 {
            #expect(try linkTarget("/proc/\(peer(of: frontend))/fd/\(number)") == "/dev/null")
        }
        child.stop(graceMilliseconds: 10_000)
    }

    /// The group is given by the process outside, which has not given anything up by then.
    @Test(arguments: ["namespace", "chroot"]) func aSocketsGroupTakesNoCapability(sandbox: String) throws {
        let group = try #require(getgrgid(1)).pointee
        let name = String(cString: group.gr_name)
        let daemon = try DaemonProcess(["--sandbox=\(sandbox)", "--modcaps=-chown", "--socket-group=\(name)"])
        var status = stat()
        #expect(lstat(daemon.socket, &status) == 0)
        #expect(status.st_gid == 1 && status.st_mode == S_IFSOCK | 0o660)
    }

    /// A limit that a launcher has set ends a write and not the daemon.
    @Test(arguments: ["namespace", "chroot", "none"]) func aLimitOfFileSizesIsAnError(sandbox: String) throws
    {
        let daemon = try DaemonProcess(
            ["--sandbox=\(sandbox)"], command: ["/usr/bin/prlimit", "--fsize=\(1 << 40)", executable])
        let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket))
        _ = try guest.initialize()
        let file = try guest.create(.root, "f".utf8, flags: UInt32(O_RDWR))
        let node = NodeID(rawValue: file.entry.nodeID)
        #expect(throws: Errno.EFBIG) { try guest.write(node, file.open.handle, offset: 1 << 40, [1]) }
        #expect(try guest.write(node, file.open.handle, [1]) == 1)
    }

    /// With maps of several ids, by newuidmap and newgidmap.
    @Test(.enabled(if: hasSubordinateIDs, "needs newuidmap and /etc/subuid"))
    func mappedIDsAreTheUsersSubordinates() throws {
        let folder = try makeTemporaryDirectory()
        defer { removeTree(folder) }
        try Files.replace(folder + "/map", with: Array("65534:200000:65536\n".utf8))
        chmod(folder, 0o755)
        // In a mount namespace of its own, so that this host's files stay what they are.
        let granting =
            "mount --bind \(folder)/map /etc/subuid && mount --bind \(folder)/map /etc/subgid && exec setpriv --reuid=65534 "
            + "--regid=65534 --clear-groups \"$@\""
        let launcher = ["/usr/bin/unshare", "--mount", "sh", "-c", granting, "sh", try reachableExecutable()]
        let maps = [
            "--uid-map=:0:65534:1:", "--uid-map=:1:200000:65536:", "--gid-map=:0:65534:1:",
            "--gid-map=:1:200000:65536:",
        ]
        let daemon = try DaemonProcess(maps, command: launcher)
        let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket))
        _ = try guest.initialize()
        _ = try guest.create(.root, "of-root".utf8, flags: UInt32(O_RDWR))
        guest.uid = 1000
        guest.gid = 1000
        _ = try guest.create(.root, "of-user".utf8, flags: UInt32(O_RDWR))
        guest.uid = 0
        guest.gid = 0
        let node = NodeID(rawValue: try guest.lookup(.root, "of-root".utf8).nodeID)
        _ = try guest.chown(node, uid: 5, gid: 6)
        #expect(try guest.getattr(node).attributes.uid == 5)
        var status = stat()
        #expect(lstat(daemon.share + "/of-user", &status) == 0)
        #expect(status.st_uid == 200_999 && status.st_gid == 200_999)
        #expect(lstat(daemon.share + "/of-root", &status) == 0)
        #expect(status.st_uid == 200_004 && status.st_gid == 200_005)

        let (end, errors) = try run(
            launcher + ["--shared-dir=/srv"] + quiet + ["--uid-map=:0:65534:1:", "--uid-map=:1:300000:9:"])
        #expect(end == .exited(1))
        #expect(
            errors.hasPrefix("virtiofsd: cannot use --uid-map: newuidmap refuses (newuidmap: "), "\(errors)")
        #expect(errors.contains("; give ids that /etc/subuid grants this user\n"))
    }
}
