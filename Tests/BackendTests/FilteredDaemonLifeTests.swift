// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing
import VhostUser

/// Threads that begin when the filters are there already, front-ends that come and go, signals, and the log, with `--seccomp kill`.
@Suite struct FilteredDaemonLifeTests {
    private let share: FilteredShare

    init() throws {
        share = try FilteredShare()
        try share.refill()
    }

    private func lock(_ type: Int32) -> FileLock {
        var lock = FileLock()
        (lock.end, lock.type, lock.pid) = (UInt64(Int64.max), UInt32(type), 1)
        return lock
    }

    /// A thread for each lock that has to wait: had, interrupted, and given up with the connection.
    @Test func locksThatWait() throws {
        let daemon = try share.daemon(["--posix-lock", "--flock"])
        try waitForLocks(try share.guest(daemon))
        _ = try share.guest(daemon).lookup(.root, "file".utf8)
        #expect(daemon.end() == 0)
    }

    private func waitForLocks(_ guest: FuseClient) throws {
        let file = try guest.lookup(.root, "file".utf8).node
        let handles = try (0..<2).map { _ in try guest.open(file, flags: Open.readWrite).handle }
        func wait(_ owner: UInt64, flags: UInt32 = 0) throws -> FuseClient.Pending {
            try guest.submit(
                FuseClient.lockRequest(
                    .setlkw, file, handles[1], owner: owner, lock(F_WRLCK), lockFlags: flags))
        }
        for flags in [0, LockIn.flock] {
            try guest.setlk(file, handles[0], owner: 1, lock(F_WRLCK), lockFlags: flags)
            let interrupted = try wait(2, flags: flags)
            _ = try guest.getattr(file)
            try guest.interrupt(interrupted.unique)
            #expect(try guest.receive(interrupted).header.error == -EINTR)
            let had = try wait(2, flags: flags)
            _ = try guest.getattr(file)
            try guest.setlk(file, handles[0], owner: 1, lock(F_UNLCK), lockFlags: flags)
            #expect(try guest.receive(had).header.error == 0)
        }
        _ = try wait(3)
        _ = try guest.getattr(file)
        try guest.frontend.reset()
    }

    /// Reads from the disk by io_uring, O_DIRECT, fsync and their kin by threads.
    @Test func requestsThatWait() throws {
        let daemon = try share.daemon(["--allow-direct-io"])
        let guest = try share.guest(daemon, bufferCount: 1)
        let path = share.root + "/file"
        try Files.replace(path, with: [UInt8](repeating: 7, count: 1 << 20))
        let file = try guest.lookup(.root, "file".utf8).node
        let handle = try guest.open(file, flags: Open.readWrite).handle
        let direct = try guest.open(file, flags: Open.readWrite | Open.direct).handle
        for round in 0..<16 {
            try dropFromCache(path)
            let pending = try (0..<6).map {
                try guest.submit(
                    FuseClient.readRequest(.read, file, handle, offset: UInt64($0 << 17), size: 4096))
            }
            for one in pending { #expect(try guest.receive(one).body.count == 4096) }
            // Whether the memory is aligned for it or not.
            _ = try? guest.read(file, direct, offset: 4096, size: 4096)
            _ = try? guest.write(file, direct, offset: 4096, [UInt8](repeating: 7, count: 4096))
            _ = try guest.write(file, handle, offset: UInt64(round), [7], flags: UInt32(O_SYNC))
            try guest.fsync(file, handle)
            try guest.fsync(file, handle, dataOnly: true)
            try guest.syncfs()
            try guest.fallocate(file, handle, offset: 0, length: 1 << 21)
        }
        // Every one at once: more than a worker does by itself.
        let pending = try (0..<6).map { _ in
            var argument = FsyncIn()
            argument.handle = handle
            return try guest.submit(FuseRequest(.fsync, file, argument))
        }
        for one in pending { #expect(try guest.receive(one).header.error == 0) }
        #expect(daemon.end() == 0)
    }

    /// Memory and rings that change while requests go on, and front-ends that leave without a word.
    @Test func aFrontendThatChangesItsMind() throws {
        let daemon = try share.daemon()
        for _ in 0..<3 {
            let guest = try share.guest(daemon)
            let frontend = guest.frontend
            let plugged = try GuestRAM(byteCount: 1 << 20, guestBase: 1 << 40, userBase: 0x7f00_0000_0000)
            try frontend.session.addMemoryRegion(plugged.regions[0], file: plugged.file)
            _ = try guest.lookup(.root, "file".utf8)
            try frontend.session.removeMemoryRegion(plugged.regions[0])
            _ = try guest.lookup(.root, "file".utf8)
            let base = try frontend.stop(frontend.queues[1])
            try frontend.start(frontend.queues[1], base: base)
            _ = try guest.lookup(.root, "file".utf8)
            try frontend.reset()
        }
        // Refused, with a line in the log.
        do {
            let session = try FrontendSession(connectingTo: daemon.socketPath)
            try session.negotiate(wanted: [.replyAck])
            #expect(throws: (any Error).self) {
                try session.command(.setVringSize, [9, 0, 0, 0, 7, 0, 0, 0])
            }
        }
        _ = try share.guest(daemon).lookup(.root, "file".utf8)
        #expect(daemon.end() == 0)
    }

    /// The kernel goes on with what a stopped thread was waiting for by restart_syscall(2).
    @Test func stoppedAndContinued() throws {
        let daemon = try share.daemon(["--poll-us", "0"])
        let guest = try share.guest(daemon)
        for _ in 0..<3 {
            kill(daemon.identifier, SIGSTOP)
            #expect(eventually { (try? state(of: daemon)) == "T" })
            kill(daemon.identifier, SIGCONT)
            _ = try guest.lookup(.root, "file".utf8)
        }
        #expect(daemon.end() == 0)
    }

    private func state(of daemon: DaemonProcess) throws -> Substring? {
        try Files.text("/proc/\(daemon.identifier)/stat").split(separator: ")").last?.split(separator: " ")
            .first
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP]) func theEnd(signal: Int32) throws {
        let daemon = try share.daemon()
        _ = try share.guest(daemon).lookup(.root, "file".utf8)
        kill(daemon.identifier, signal)
        #expect(daemon.wait() == 0)
        let once = try share.daemon(["--once"])
        try share.guest(once).frontend.reset()
        #expect(once.wait() == 0)
    }

    /// A log that is not there, or goes away, is no reason to end.
    @Test func theSystemsLog() throws {
        let listens = geteuid() == 0 && access("/dev/log", F_OK) != 0
        let log = listens ? try LogSocket() : nil
        var closed = false
        defer { if !closed { log?.close() } }
        let daemon = try share.daemon(["--syslog"])
        #expect(log?.says("Waiting for vhost-user") ?? true)
        _ = try share.guest(daemon).lookup(.root, "file".utf8)
        #expect(log?.says("a front-end connected") ?? true)
        log?.close()
        closed = true
        for _ in 0..<3 { _ = try share.guest(daemon).lookup(.root, "file".utf8) }
        #expect(daemon.end() == 0)
    }

    /// /dev/log of a machine that has none.
    private final class LogSocket {
        private let socket: Int32

        init() throws {
            socket = try check(Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC, 0))
            try bindUnixSocket(socket, to: "/dev/log")
        }

        /// Call it once.
        func close() {
            Glibc.close(socket)
            unlink("/dev/log")
        }

        /// Whether a message with `text` comes; false after ten seconds without one.
        func says(_ text: String) -> Bool {
            while waitReadable(socket, timeoutMilliseconds: 10_000) != 0 {
                var bytes = [UInt8](repeating: 0, count: 1024)
                let count = recv(socket, &bytes, bytes.count, 0)
                if String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).contains(text) { return true }
            }
            return false
        }
    }

    /// How many filters a thread has. What this process has been started with, its children have too.
    private func filters(of thread: String) throws -> Int {
        let lines = try Files.text("/proc/\(thread)/status").split(separator: "\n")
        let line = try #require(lines.first { $0.hasPrefix("Seccomp_filters:") })
        return try #require(Int(line.split(separator: "\t").last ?? ""))
    }

    @Test func everyThreadHasOneFilter() throws {
        let ours = try filters(of: "thread-self")
        for action in ["kill", "trap", "log", "none"] {
            let daemon = try share.daemon(["--posix-lock", "--seccomp", action])
            let guest = try share.guest(daemon)
            let file = try guest.lookup(.root, "file".utf8).node
            let handle = try guest.open(file, flags: Open.readWrite).handle
            try guest.setlk(file, handle, owner: 1, lock(F_WRLCK))
            let waiting = try guest.submit(
                FuseClient.lockRequest(.setlkw, file, handle, owner: 2, lock(F_WRLCK)))
            #expect(
                eventually { (try? BackendTests.thread(named: "lock-wait", of: daemon.identifier)) != nil })
            let threads = try Files.names(in: "/proc/\(daemon.identifier)/task")
            #expect(threads.count == 5, "main, two workers, signals, one that waits for a lock")
            for thread in threads {
                let count = try filters(of: "\(daemon.identifier)/task/\(thread)")
                #expect(count == (action == "none" ? ours : ours + 1), "\(action)")
            }
            try guest.interrupt(waiting.unique)
            #expect(try guest.receive(waiting).header.error == -EINTR)
            #expect(daemon.end() == 0)
        }
    }
}
