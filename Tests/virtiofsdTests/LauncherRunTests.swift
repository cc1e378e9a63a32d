// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

/// The command lines of LauncherTests with the sandbox that they get by default, run as their launchers run them, serving.
@Suite(.enabled(if: geteuid() == 0, "needs root: to be root, and to be somebody else"))
struct LauncherRunTests {
    /// A folder, a share in it with one file, and what has been started there.
    private final class Launch {
        let folder: String
        var share: String { folder + "/share" }
        private(set) var child: ChildProcess?
        private let errors: OwnedDescriptor

        init() throws {
            folder = try makeTemporaryDirectory()
            errors = try makeMemoryFile(name: "errors", byteCount: 0)
            mkdir(folder + "/share", 0o777)
            for path in [folder, folder + "/share"] { chmod(path, 0o777) }
            try Files.replace(folder + "/share/file", with: Array("content".utf8))
        }

        deinit {
            child?.stop(graceMilliseconds: 10_000)
            removeTree(folder)
        }

        /// `listener` becomes descriptor 3.
        func start(_ words: [String], listener: Int32? = nil) throws {
            let null = OwnedDescriptor(adopting: open("/dev/null", O_RDWR | O_CLOEXEC))
            child = try ChildProcess(
                program: words[0], arguments: Array(words.dropFirst()),
                descriptors: [null.rawValue, null.rawValue, errors.rawValue] + (listener.map { [$0] } ?? []))
        }

        /// A socket that listens at `path`, as libvirt and Kata make it.
        func listen(at path: String) throws -> OwnedDescriptor {
            let socket = try makeUnixSocket()
            try bindUnixSocket(socket.rawValue, to: path)
            _ = try systemCall { Glibc.listen(socket.rawValue, 1) }
            return socket
        }

        /// Connects as soon as that is possible and reads the file.
        func check(_ path: String, isReadOnly: Bool = false) throws -> FuseClient {
            let deadline = Deadline(milliseconds: 30_000)
            while access(path, F_OK) != 0, child?.end == nil, !deadline.hasPassed {
                _ = waitReadable(-1, timeoutMilliseconds: 5)
            }
            let said = String(
                decoding: (try? Files.readAllFromStart(errors.rawValue)) ?? [], as: UTF8.self)
            try #require(child?.end == nil, "\(said)")
            let guest = FuseClient(try DeviceFrontend(connectingTo: path))
            _ = try guest.initialize()
            let node = NodeID(rawValue: try guest.lookup(.root, "file".utf8).nodeID)
            let handle = try guest.open(node, flags: UInt32(O_RDONLY)).handle
            #expect(try guest.read(node, handle, size: 100) == Array("content".utf8))
            if isReadOnly {
                #expect(throws: Errno.EROFS) { try guest.create(.root, "new".utf8, flags: UInt32(O_RDWR)) }
            } else {
                _ = try guest.create(.root, "new".utf8, flags: UInt32(O_RDWR))
                #expect(access(share + "/new", F_OK) == 0)
            }
            return guest
        }
    }

    /// libvirt's children have the number that the socket had in libvirt.
    private func asNumber33(_ words: [String]) -> [String] {
        ["/bin/bash", "-c", "exec \"$@\" 33<&3 3<&-", "bash"] + words
    }

    private func isConfined(_ guest: FuseClient) throws -> Bool {
        try linkTarget("/proc/\(peer(of: guest.frontend))/ns/mnt") != linkTarget("/proc/self/ns/mnt")
    }

    @Test func libvirt() throws {
        let launch = try Launch()
        let socket = try launch.listen(at: launch.folder + "/s")
        let options = [
            "--fd=33", "--shared-dir", launch.share, "--cache", "never", "--xattr", "--thread-pool-size=16",
            "--rlimit-nofile=4096", "--log-level", "debug",
        ]
        try launch.start(asNumber33([executable] + options), listener: socket.rawValue)
        _ = try launch.check(launch.folder + "/s")
    }

    @Test(
        .enabled(if: hasSubordinateIDs, "needs newuidmap and /etc/subuid")
    )
    func libvirtOfAnOrdinaryUser() throws {
        let launch = try Launch()
        try Files.replace(launch.folder + "/map", with: Array("65534:200000:65536\n".utf8))
        let socket = try launch.listen(at: launch.folder + "/s")
        let options = [
            "--fd=33", "--shared-dir", launch.share, "--uid-map=:0:65534:1:", "--uid-map=:1:200000:65536:",
            "--gid-map=:0:65534:1:", "--gid-map=:1:200000:65536:",
        ]
        let granting =
            "mount --bind \(launch.folder)/map /etc/subuid && mount --bind \(launch.folder)/map /etc/subgid && exec setpriv "
            + "--reuid=65534 --regid=65534 --clear-groups \"$@\""
        try launch.start(
            ["/usr/bin/unshare", "--mount", "sh", "-c", granting, "sh"]
                + asNumber33([try reachableExecutable()] + options), listener: socket.rawValue)
        _ = try launch.check(launch.folder + "/s")
        var status = stat()
        #expect(lstat(launch.share + "/new", &status) == 0)
        #expect(status.st_uid == 65534)
    }

    /// The log goes to syslog, before the walls are raised and behind them, under the number that Kata knows.
    @Test func kata() throws {
        let launch = try Launch()
        let log = try SystemLogReader()
        let socket = try launch.listen(at: launch.folder + "/s")
        try launch.start(
            [executable] + [
                "--syslog", "--cache=auto", "--shared-dir=" + launch.share, "--fd=3",
                "--inode-file-handles=prefer", "--thread-pool-size=1", "-o", "announce_submounts",
            ], listener: socket.rawValue)
        let guest = try launch.check(launch.folder + "/s")
        guard let log else { return }
        #expect(log.has(": a front-end connected"))
        let waiting = try #require(log.line { $0.hasSuffix(": Waiting for vhost-user socket connection...") })
        let connected = try #require(log.line { $0.hasSuffix(": a front-end connected") })
        func number(_ line: Substring) -> Substring { line.drop { $0 != "[" }.prefix { $0 != "]" } }
        #expect(number(waiting) == number(connected))
        let launched = try #require(pid_t(number(waiting).dropFirst()))
        #expect(try Files.text("/proc/\(launched)/comm") == "virtiofsd\n")
        #expect(servingProcess(of: launched) != launched)
    }

    @Test func kataRust() throws {
        let launch = try Launch()
        let path = launch.folder + "/virtiofsd.sock"
        try launch.start(
            [executable] + [
                "--socket-path", path, "--shared-dir", launch.share, "--cache", "auto", "--sandbox", "none",
                "--seccomp", "none", "--inode-file-handles", "never", "--thread-pool-size=1",
                "--announce-submounts", "--xattr",
            ])
        #expect(try !isConfined(launch.check(path)))
    }

    /// Lima's guests have a user with the number of the host's, which is to own his files.
    @Test func lima() throws {
        let launch = try Launch()
        chown(launch.share + "/file", 1000, 1000)
        let path = launch.folder + "/virtiofsd-0.sock"
        try launch.start(
            ["/usr/bin/setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", try reachableExecutable()]
                + ["--socket-path", path, "--shared-dir", launch.share])
        let guest = try launch.check(path)
        #expect(try isConfined(guest))
        let node = NodeID(rawValue: try guest.lookup(.root, "file".utf8).nodeID)
        #expect(try guest.getattr(node).attributes.uid == 1000)
        guest.uid = 1000
        guest.gid = 1000
        _ = try guest.create(.root, "of-user".utf8, flags: UInt32(O_RDWR))
        var status = stat()
        for name in ["new", "of-user"] {
            #expect(lstat(launch.share + "/" + name, &status) == 0)
            #expect(status.st_uid == 1000 && status.st_gid == 1000, "\(name)")
        }
    }

    @Test(arguments: [[], ["--sandbox", "none"], ["--readonly"], ["--sandbox", "none", "--readonly"]])
    func appleContainerization(more: [String]) throws {
        let launch = try Launch()
        let path = launch.folder + "/fs0.sock"
        try launch.start([executable] + ["--socket-path", path, "--shared-dir", launch.share] + more)
        let guest = try launch.check(path, isReadOnly: more.contains("--readonly"))
        #expect(try isConfined(guest) == !more.contains("none"))
    }

    /// Its socket's path is relative. The number of descriptors is what this host allows at most.
    @Test func microvmNix() throws {
        let launch = try Launch()
        let group = String(cString: try #require(getgrgid(1)).pointee.gr_name)
        let limit = min(1_048_576, try DescriptorLimit.current().hard)
        try launch.start(
            ["/usr/bin/env", "-C", launch.folder, executable] + [
                "--socket-path=host-virtiofs-store.sock", "--socket-group=\(group)",
                "--shared-dir=" + launch.share, "--rlimit-nofile", "\(limit)", "--thread-pool-size", "2",
                "--posix-acl", "--xattr", "--cache=auto", "--inode-file-handles=prefer", "--tag=store",
                "--readonly",
            ])
        let path = launch.folder + "/host-virtiofs-store.sock"
        let guest = try launch.check(path, isReadOnly: true)
        #expect(try isConfined(guest))
        var status = stat()
        #expect(lstat(path, &status) == 0 && status.st_gid == 1)
        #expect(launch.child?.stop(graceMilliseconds: 10_000) == .exited(0))
        #expect(access(path, F_OK) == -1)
    }
}

/// What arrives at /dev/log; nil where somebody listens there already.
private final class SystemLogReader {
    private let socket: OwnedDescriptor
    private var text = ""

    init?() throws {
        if access("/dev/log", F_OK) == 0 { return nil }
        socket = OwnedDescriptor(
            adopting: try systemCall {
                Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            })
        try bindUnixSocket(socket.rawValue, to: "/dev/log")
    }

    deinit { unlink("/dev/log") }

    func line(_ isWanted: (Substring) -> Bool) -> Substring? {
        text.split(separator: "\n").first(where: isWanted)
    }

    /// Whether a message with `words` arrives in time.
    func has(_ words: String) -> Bool {
        let deadline = Deadline(milliseconds: 10_000)
        while !text.contains(words), !deadline.hasPassed {
            guard waitReadable(socket.rawValue, timeoutMilliseconds: deadline.remainingMilliseconds) != 0
            else { break }
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = recv(socket.rawValue, &bytes, bytes.count, 0)
            if count > 0 { text += String(decoding: bytes[..<count], as: UTF8.self) + "\n" }
        }
        return text.contains(words)
    }
}
