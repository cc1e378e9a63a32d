// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

/// What the built daemon may still do when it serves, thread by thread, and what a guest sees of it.
@Suite struct CapabilityTests {
    private static let isRoot = geteuid() == 0

    /// The lines of /proc about one thread.
    private struct ThreadStatus {
        private let lines: [Substring]

        init(_ path: String) throws { lines = try Files.text(path).split(separator: "\n") }

        func text(_ key: String) -> String {
            lines.first { $0.hasPrefix(key + ":\t") }.map { String($0.dropFirst(key.count + 2)) } ?? ""
        }
        func number(_ key: String) -> UInt64? { UInt64(text(key), radix: 16) }
    }

    private func threads(of process: pid_t) throws -> [ThreadStatus] {
        try Files.names(in: "/proc/\(process)/task").map {
            try ThreadStatus("/proc/\(process)/task/\($0)/status")
        }
    }

    /// A daemon and a guest that has made it start threads of every kind: one waits for a lock, one has waited for a disk.
    private struct Busy {
        let daemon: DaemonProcess
        let guest: FuseClient
        let threads: [ThreadStatus]
    }

    private func busy(_ options: [String], command: [String] = [executable]) throws -> Busy {
        let daemon = try DaemonProcess(
            ["--num-request-queues=2", "--posix-lock", "--xattr"] + options, command: command)
        let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket))
        _ = try guest.initialize()
        let file = try guest.create(.root, "file".utf8, flags: UInt32(O_RDWR))
        let (node, handle) = (NodeID(rawValue: file.entry.nodeID), file.open.handle)
        try guest.fsync(node, handle)
        var lock = FileLock()
        (lock.end, lock.type, lock.pid) = (UInt64(Int64.max), UInt32(F_WRLCK), 1)
        try guest.setlk(node, handle, owner: 1, lock)
        let other = try guest.open(node, flags: UInt32(O_RDWR)).handle
        _ = try guest.submit(FuseClient.lockRequest(.setlkw, node, other, owner: 2, lock))
        let kinds: Set = ["virtiofsd", "signals", "requests.0", "requests.1", "waiting.0", "lock-wait"]
        let deadline = Deadline(milliseconds: 30_000)
        var threads: [ThreadStatus] = []
        // A thread has its name a moment after it has begun.
        repeat {
            threads = try self.threads(of: peer(of: guest.frontend))
        } while !kinds.isSubset(of: threads.map { $0.text("Name") }) && !deadline.hasPassed
        #expect(kinds.isSubset(of: threads.map { $0.text("Name") }), "\(threads.map { $0.text("Name") })")
        return Busy(daemon: daemon, guest: guest, threads: threads)
    }

    @Test(
        .enabled(if: isRoot, "needs root: capabilities to give up"),
        arguments: [
            ([], 0x8800_00df), (["--inode-file-handles=never"], 0x8800_00db),
            (["--modcaps=+sys_admin:-mknod"], 0x8020_00df),
            (["-o", "modcaps=-dac_read_search"], 0x8800_00db),
            (
                [
                    "--modcaps",
                    "-chown:-dac_override:-fowner:-fsetid:-setgid:-setuid:-mknod:-setfcap:-dac_read_search",
                ], 0
            ),
        ] as [([String], UInt64)])
    func everyThreadHasWhatTheOptionsSay(options: [String], wanted: UInt64) throws {
        let own = try #require(try ThreadStatus("/proc/thread-self/status").number("CapPrm"))
        for thread in try busy(options).threads {
            let name = thread.text("Name")
            for key in ["CapPrm", "CapEff"] {
                #expect(thread.number(key) == wanted & own, "\(key) of \(name)")
            }
            for key in ["CapInh", "CapAmb", "CapBnd"] {
                #expect(thread.number(key) == 0, "\(key) of \(name)")
            }
            #expect(thread.number("NoNewPrivs") == 1, "\(name)")
        }
    }

    @Test(.enabled(if: isRoot, "needs root: to become somebody else")) func anOrdinaryUserServesWithNone()
        throws
    {
        // Where the build is may be a folder of root's.
        let folder = try makeTemporaryDirectory()
        defer { removeTree(folder) }
        chmod(folder, 0o755)
        #expect(try ChildProcess.run("/bin/cp", [executable, folder]).end == .exited(0))
        let nobody =
            ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] + [folder + "/virtiofsd"]
        for options in [[], ["--modcaps=-mknod"]] {
            for thread in try busy(["--sandbox=none"] + options, command: nobody).threads {
                #expect(thread.text("Uid") == "65534\t65534\t65534\t65534")
                for key in ["CapPrm", "CapEff", "CapInh", "CapAmb"] { #expect(thread.number(key) == 0) }
                #expect(thread.number("NoNewPrivs") == 1)
            }
        }
        // In a namespace of its own it has power over what is its own anyway, and keeps no more than a share takes.
        for thread in try busy([], command: nobody).threads {
            #expect(thread.text("Uid") == "65534\t65534\t65534\t65534")
            for key in ["CapPrm", "CapEff"] { #expect(thread.number(key) == 0x8800_00db) }
            for key in ["CapInh", "CapAmb", "CapBnd"] { #expect(thread.number(key) == 0) }
            #expect(thread.number("NoNewPrivs") == 1)
        }
        let words = [
            "--shared-dir=/", "--socket-path=/tmp/never-made.socket", "--sandbox=none", "--log-level=error",
            "--modcaps=+mknod",
        ]
        let (end, _, errors) = try ChildProcess.run(nobody[0], nobody.dropFirst() + words)
        #expect(end == .exited(1))
        #expect(
            String(decoding: errors, as: UTF8.self)
                == "virtiofsd: cannot keep capabilities that --modcaps adds: this process does not have mknod; start it as "
                + "root and with them, or take them out of --modcaps\n")
    }

    private let null: UInt32 = 1 << 8 | 3  // the device 1:3

    @Test(.enabled(if: isRoot, "needs root: devices")) func devicesNeedMknod() throws {
        let character = UInt32(Glibc.S_IFCHR) | 0o600
        let kept = try busy([])
        _ = try kept.guest.mknod(.root, "null".utf8, mode: character, rdev: null)
        let given = try busy(["--modcaps=-mknod"])
        #expect(throws: Errno.EPERM) {
            try given.guest.mknod(.root, "null".utf8, mode: character, rdev: null)
        }
        _ = try given.guest.mknod(.root, "fifo".utf8, mode: UInt32(Glibc.S_IFIFO) | 0o600)
    }

    @Test(.enabled(if: isRoot, "needs root: trusted attributes")) func trustedAttributesNeedAdministration()
        throws
    {
        let cut = try busy([])
        let node = NodeID(rawValue: try cut.guest.lookup(.root, "file".utf8).nodeID)
        try cut.guest.setxattr(node, "user.a".utf8, [1])
        #expect(setxattr(cut.daemon.share + "/file", "trusted.host", "v", 1, 0) == 0)
        #expect(throws: Errno.EPERM) { try cut.guest.setxattr(node, "trusted.a".utf8, [1]) }
        #expect(throws: Errno.EPERM) { try cut.guest.removexattr(node, "trusted.host".utf8) }
        #expect(throws: Errno.ENODATA) { try cut.guest.getxattr(node, "trusted.host".utf8) }
        #expect(try cut.guest.listxattr(node) == Array("user.a\0".utf8))

        let kept = try busy(["--modcaps=+sys_admin"])
        let other = NodeID(rawValue: try kept.guest.lookup(.root, "file".utf8).nodeID)
        try kept.guest.setxattr(other, "trusted.a".utf8, [1])
        #expect(try kept.guest.getxattr(other, "trusted.a".utf8) == [1])
        #expect(try kept.guest.listxattr(other) == Array("trusted.a\0".utf8))
    }

    @Test(.enabled(if: isRoot, "needs root: append-only files"))
    func appendOnlyFilesNeedLinuxImmutable() throws {
        let setFlags: UInt32 = 0x4008_6602
        let appendOnly: [UInt8] = [0x20, 0, 0, 0]  // FS_APPEND_FL
        func set(_ guest: FuseClient, _ flags: [UInt8]) throws {
            let node = NodeID(rawValue: try guest.lookup(.root, "file".utf8).nodeID)
            let handle = try guest.open(node, flags: UInt32(O_RDONLY)).handle
            _ = try guest.ioctl(node, handle, command: setFlags, input: flags)
        }
        let cut = try busy([])
        #expect(throws: Errno.EPERM) { try set(cut.guest, appendOnly) }
        let kept = try busy(["--modcaps=+linux_immutable"])
        try set(kept.guest, appendOnly)
        #expect(truncate(kept.daemon.share + "/file", 0) == -1 && errno == EPERM)
        try set(kept.guest, [0, 0, 0, 0])
    }

    /// What the host's kernel does not know as a label it guards as any security.* attribute. SELinux's own a kernel that is
    /// made for SELinux lets us set even if that does not run.
    @Test(
        .enabled(if: isRoot && access("/sys/fs/smackfs", F_OK) != 0, "needs root, and a host without Smack"))
    func foreignLabelsNeedAdministration() throws {
        func makeLabelled(by daemon: DaemonProcess) throws {
            let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket))
            _ = try guest.initialize()
            var argument = MkdirIn()
            argument.mode = 0o755
            var request = FuseRequest(.mkdir, .root, argument)
            request.append(name: "d".utf8)
            request.append(label: "security.SMACK64".utf8, value: Array("guest".utf8))
            _ = try guest.call(request, returning: EntryOut.self)
        }
        let cut = try DaemonProcess(["--security-label"])
        #expect(throws: Errno.EPERM) { try makeLabelled(by: cut) }
        try cut.waitForLine("--security-label takes --modcaps +sys_admin")
        #expect(access(cut.share + "/d", F_OK) == -1)
        let kept = try DaemonProcess(["--security-label", "--modcaps=+sys_admin"])
        try makeLabelled(by: kept)
        var label = [UInt8](repeating: 0, count: 16)
        #expect(getxattr(kept.share + "/d", "security.SMACK64", &label, label.count) == 5)
    }
}
