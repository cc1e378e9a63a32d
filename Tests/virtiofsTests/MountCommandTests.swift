// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS
import Testing

/// `virtiofs mount` with real daemons. Whatever uses a mount is a child process, so that a hung one fails its test only.
@Suite(.serialized, .enabled(if: requirementsMet("MountCommandTests", .root, .fuse)))
struct MountCommandTests {
    /// Ours, the Rust one, the C one, as far as they are here.
    enum Daemon: String, CaseIterable {
        case swift, rust, c

        var program: String? {
            switch self {
            case .swift: nil
            case .rust: Lab.rustDaemon
            case .c: Lab.cDaemon
            }
        }
        var options: [String] {
            switch self {
            case .swift: ["--xattr"]
            case .rust: ["--sandbox=none", "--xattr"]
            case .c: ["-o", "sandbox=chroot", "-o", "xattr"]
            }
        }
        static let present = allCases.filter { daemon in
            switch daemon {
            case .swift: true
            case .rust: requirementsMet("MountCommandTests with the Rust daemon", .lab)
            case .c: requirementsMet("MountCommandTests with the C daemon", .cDaemon)
            }
        }
    }

    private func run(_ script: String, _ mount: MountProcess) throws -> String {
        let command = try Command("set -e; " + script, mount)
        let status = command.status
        return status == 0 ? command.text : "status \(status): \(command.text)"
    }

    @Test(arguments: Daemon.present) func whatPeopleDoWithFiles(daemon: Daemon) throws {
        let mount = try MountProcess(daemon: daemon.program, daemonOptions: daemon.options)
        let work = """
            cd $M; mkdir d; echo one > d/a; cat d/a; mv d/a d/b; ln d/b c; ln -s d/b l; cat l; stat -c %h c
            setfattr -n user.x -v y c; getfattr -n user.x --only-values d/b; echo
            head -c 5000000 /dev/urandom > big; cmp big $S/big; truncate -s 3000000 $M/big; stat -c %s $S/big
            dd if=big of=copy bs=300001 2>/dev/null; cmp big copy; for i in $(seq 300); do : > d/n$i; done
            ls d | wc -l; rm -r d big copy c l; ls -A $S; df . >/dev/null; echo done
            """
        #expect(try run(work, mount) == "one\none\n2\ny\n3000000\n301\ndone\n")
        #expect(try run("umount $M", mount) == "")
        #expect(mount.status == 0)
        #expect(mount.text == "")
    }

    /// Two writers and two readers at once, through every queue.
    @Test func manyAtOnce() throws {
        let mount = try MountProcess(options: ["--queues", "2", "--threads", "4"])
        let work = """
            cd $M; for i in 1 2 3 4; do (for j in $(seq 20); do head -c 700000 /dev/urandom > f$i-$j
            cmp f$i-$j $S/f$i-$j || exit 1; rm f$i-$j; done) & eval "p$i=\\$!"; done
            for i in 1 2 3 4; do eval "wait \\$p$i"; done; ls -A $S
            """
        #expect(try run(work, mount) == "")
    }

    @Test func readOnly() throws {
        let mount = try MountProcess(options: ["--read-only"])
        try Files.replace(mount.share + "/file", with: Array("text".utf8))
        let writer = try Command("cat $M/file; echo x > $M/file", mount)
        #expect(writer.status != 0)
        #expect(writer.text.hasPrefix("text"))
        #expect(writer.text.contains("Read-only file system"))
    }

    @Test(arguments: [SIGINT, SIGTERM]) func aSignalEndsIt(number: Int32) throws {
        let mount = try MountProcess()
        mount.process.signal(number)
        #expect(mount.status == 0)
        #expect(!mount.isMounted)
        #expect(mount.text == "")
    }

    @Test func aSignalWhileItIsUsed() throws {
        let mount = try MountProcess()
        let user = try Command("cd $M; echo in; exec sleep 100", mount)
        #expect(user.writes("in"))
        mount.process.signal(SIGINT)
        #expect(mount.status == 0)
        #expect(mount.text.contains("is in use; it is hidden now"))
        #expect(!mount.isMounted)
        user.signal(SIGKILL)
        #expect(user.status != -1)
    }

    /// Issue 3, show 3.
    @Test func theDaemonIsKilledUnderLoad() throws {
        let scratch = try TemporaryDirectory(prefix: "virtiofs-shared-")
        let daemon = try DaemonProcess(DaemonConfiguration(tag: "t", directory: scratch.path))
        try Files.replace(scratch.path + "/file", with: [UInt8](repeating: 7, count: 1 << 20))
        let mount = try MountProcess(socket: daemon.socketPath)
        let reading = "while dd if=$M/file of=/dev/null bs=64k iflag=direct 2>/dev/null; do echo .; done"
        let writing = "while dd if=/dev/zero of=$M/$$ bs=64k count=8 conv=fsync 2>/dev/null; do echo .; done"
        let listing = "while ls $M >/dev/null 2>&1 && stat $M/file >/dev/null 2>&1; do echo .; done"
        let callers = try [reading, reading, writing, writing, listing].map { try Command($0, mount) }
        for caller in callers { #expect(caller.writes(".")) }
        daemon.process.signal(SIGKILL)
        for caller in callers { #expect(caller.status != -1, "it still waits") }
        #expect(mount.status == 1)
        let lines = mount.text.split(separator: "\n")
        #expect(lines.count == 1, "\(mount.text)")
        #expect(
            lines.first?.contains("closed its connection; programs that use \(mount.path) now get errors")
                == true)
        #expect(mount.isMounted, "nobody writes into the directory below")
        #expect(try run("umount $M", mount) == "")
        #expect(!mount.isMounted)
    }

    /// The daemon stops answering without going away.
    @Test func theDaemonHangs() throws {
        let mount = try MountProcess()
        let daemon = try #require(child(of: mount))
        kill(daemon, SIGSTOP)
        defer { kill(daemon, SIGCONT) }
        let caller = try Command("ls $M/nothing", mount)
        mount.process.signal(SIGTERM)
        #expect(mount.status != nil)
        #expect(caller.status > 0)
    }

    /// The process of the daemon that `mount` has started: the one that has its share in its arguments and is no virtiofs.
    private func child(of mount: MountProcess) -> pid_t? {
        for name in (try? Files.names(in: "/proc")) ?? [] {
            guard let number = pid_t(name), let line = try? Files.text("/proc/\(name)/cmdline") else {
                continue
            }
            if line.contains("virtiofsd\0"), line.contains("--shared-dir=\(mount.share)\0") { return number }
        }
        return nil
    }

    /// Killing the mount takes its daemon along, and frees every caller.
    @Test func theMountIsKilled() throws {
        let mount = try MountProcess()
        let daemon = try #require(child(of: mount))
        mount.process.signal(SIGKILL)
        #expect(mount.status != nil)
        let limit = Deadline(milliseconds: MountProcess.deadline)
        while kill(daemon, 0) == 0 && !limit.hasPassed { usleep(10_000) }
        #expect(kill(daemon, 0) != 0)
        #expect(try Command("ls $M", mount).status > 0)
        #expect(try run("umount $M", mount) == "")
    }

    /// A caller that waits for a lock can be ended (INTERRUPT).
    @Test func aBlockedLock() throws {
        let mount = try MountProcess(daemonOptions: ["--flock"])
        try Files.replace(mount.share + "/file", with: [])
        let owner = try Command("flock $M/file sh -c 'echo mine; exec sleep 100'", mount)
        #expect(owner.writes("mine"))
        let waiter = try Command("echo waiting; exec flock $M/file true", mount)
        #expect(waiter.writes("waiting"))
        waiter.signal(SIGTERM)
        #expect(waiter.status == 128 + SIGTERM)
        owner.signal(SIGTERM)
        #expect(owner.status != -1)
        #expect(try run("flock $M/file echo free", mount) == "free\n")
    }

    /// Without --foreground it returns when the mount is there, and holds nothing of its caller.
    @Test func inTheBackground() throws {
        let scratch = try TemporaryDirectory(prefix: "virtiofs-shared-")
        try Files.makeDirectories(scratch.path + "/share")
        try Files.makeDirectories(scratch.path + "/mount")
        try Files.replace(scratch.path + "/share/file", with: Array("text".utf8))
        let script = """
            cd \(scratch.path) && said=$(\(virtiofs) mount --shared-dir share mount 2>&1) && echo "$said" && cat mount/file \
            && umount mount
            """
        let result = try ChildProcess.run("/bin/sh", ["-c", script])
        #expect(result.end == .exited(0))
        #expect(String(decoding: result.output, as: UTF8.self) == "\ntext")
    }

    @Test func whatCannotBeMounted() throws {
        let cases: [([String], Int32, String)] = [
            (
                ["--shared-dir", "/nowhere", "/tmp"], 1,
                "virtiofs mount: cannot share /nowhere: it is not a directory\n"
            ),
            (
                ["--socket-path", "/nowhere", "/tmp"], 1,
                "virtiofs mount: cannot connect to /nowhere: No such file or directory\n"
            ),
            (
                ["--shared-dir", "/usr", "/nowhere"], 1,
                "virtiofs mount: cannot mount on /nowhere: there is no such directory; make it first\n"
            ),
        ]
        for (arguments, status, text) in cases {
            for mode in [["--foreground"], []] {
                let result = try ChildProcess.run(virtiofs, ["mount"] + mode + arguments)
                #expect(result.end == .exited(status))
                #expect(String(decoding: result.errors, as: UTF8.self) == text)
            }
        }
        for arguments in [
            ["/tmp"], ["--shared-dir", "/usr", "--socket-path", "/s", "/tmp"], ["--queues", "0", "/tmp"],
        ] {
            #expect(try ChildProcess.run(virtiofs, ["mount"] + arguments).end == .exited(64))
        }
    }

    @Test(.enabled(if: requirementsMet("MountCommandTests.withoutPrivileges", .fusermount)))
    func withoutPrivileges() throws {
        let scratch = try TemporaryDirectory(prefix: "virtiofs-user-")
        // Where the build is may be a folder of root's.
        let folder = virtiofs.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(
            separator: "/")
        let script = """
            cd \(scratch.path); cp \(folder)/virtiofs \(folder)/virtiofsd . ; mkdir share mount; echo text > share/file
            chown -R 65534:65534 . ; exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '
            set -e; ./virtiofs mount --shared-dir share mount; cat mount/file; echo more > mount/new; cat share/new
            grep -c "\(scratch.path)/mount fuse.virtiofs" /proc/mounts; fusermount3 -u mount; ls mount'
            """
        let result = try ChildProcess.run("/bin/sh", ["-c", script])
        #expect(
            String(decoding: result.output, as: UTF8.self) == "text\nmore\n1\n",
            "\(String(decoding: result.errors, as: UTF8.self))")
        #expect(result.end == .exited(0))
    }
}
