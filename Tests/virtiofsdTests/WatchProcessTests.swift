// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors
import Frontend
import Glibc
import HostOS
import Testing

/// The process that watches the host: whose turn it is, what it may do, and its end.
@Suite(.enabled(if: geteuid() == 0, "needs root: to watch file systems, and to mount some"))
struct WatchProcessTests {
    @Test func anotherDaemonsWatcherTakesOver() throws {
        let rig = try WatchRig(at: "/dev/shm")
        let first = try #require(rig.watchProcesses().first)
        let second = try DaemonProcess(WatchRig.options(rig.tablePath), share: rig.share)
        #expect(rig.watchProcesses().count == 2)
        // The second waits.
        #expect(try rig.change { _ = try rig.create(rig.share + "/a") }.told.count == 1)
        let epoch = rig.table.epoch
        kill(first, SIGKILL)
        try WatchRig.wait("a new epoch") { rig.table.epoch > epoch }
        try rig.awaitHeartbeat()
        let change = try rig.change { _ = try rig.create(rig.share + "/b") }
        #expect(change.told == ["created ? share/b"])
        _ = consume second
    }

    /// However it ends, in whatever session the watcher is.
    @Test(arguments: [SIGTERM, SIGKILL], ["none", "namespace"])
    func itEndsWithItsDaemon(signal: Int32, sandbox: String) throws {
        let rig = try WatchRig(
            at: "/dev/shm", ["--sandbox", sandbox], command: ["/usr/bin/setsid", "--wait", executable])
        let guest = FuseClient(try DeviceFrontend(connectingTo: rig.daemon.socket))
        _ = try guest.initialize()
        let launched = launchedProcess(of: guest.frontend)
        let watcher = try #require(rig.watchProcesses().first)
        defer { kill(launched, SIGKILL) }
        kill(launched, signal)
        try WatchRig.wait("the end") { kill(watcher, 0) != 0 }
        let beat = rig.table.heartbeat
        usleep(200_000)
        #expect(rig.table.heartbeat == beat)
    }

    /// inotify tells of directories, and of a file's only by its own, which is not shared.
    @Test func whoMayNotWatchServesAndSaysSo() throws {
        let folder = try TemporaryDirectory(prefix: "watch-file-")
        chmod(folder.path, 0o755)
        try Files.replace(folder.path + "/file", with: [1])
        let table = "/dev/shm/watch-\(getpid())"
        defer { unlink(table) }
        let daemon = try DaemonProcess(
            ["--sandbox", "none", "--version-table", table], command: Starter.ordinary.command(),
            share: folder.path + "/file")
        #expect(
            daemon.said.contains {
                $0.contains("what the host's programs change is not told") && $0.contains("CAP_SYS_ADMIN")
            })
    }

    @Test func itHasFewRights() throws {
        let rig = try WatchRig(at: "/dev/shm")
        let watcher = try #require(rig.watchProcesses().first)
        var status: [String: String] = [:]
        for line in try Files.text("/proc/\(watcher)/status").split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { status[String(parts[0])] = String(parts[1].drop { $0.isWhitespace }) }
        }
        let handles = "0000000000000004"  // CAP_DAC_READ_SEARCH
        #expect(status["CapPrm"] == handles && status["CapEff"] == handles)
        #expect(status["CapBnd"] == "0000000000000000" && status["CapInh"] == "0000000000000000")
        #expect(status["NoNewPrivs"] == "1" && status["Seccomp"] == "2" && status["Threads"] == "1")
        let open = try Files.names(in: "/proc/\(watcher)/fd").map {
            try linkTarget("/proc/\(watcher)/fd/\($0)")
        }
        // Standard input and output, and errors to the log; one end of a socket; the root, and the same to open handles by.
        let kinds = open.map { $0.hasPrefix("socket:") || $0.hasPrefix("pipe:") ? String($0.prefix(4)) : $0 }
        #expect(
            kinds.sorted()
                == [
                    "/dev/null", "/dev/null", rig.share, rig.share, rig.tablePath,
                    "/proc/\(watcher)/mountinfo", "anon_inode:[fanotify]", "pipe", "sock",
                ].sorted())
        #expect(try linkTarget("/proc/\(watcher)/cwd") == "/")
    }

    /// Nobody watches what has been mounted since, and that is said.
    @Test func aMountThatComesLaterEndsIt() throws {
        let rig = try WatchRig(at: "/dev/shm")
        let epoch = rig.table.epoch
        let place = rig.share + "/sub"
        try systemCall { mount("none", place, "tmpfs", 0, nil) }
        defer { umount2(place, Int32(MNT_DETACH)) }
        try rig.daemon.waitForLine("something was mounted below the shared directory")
        #expect(rig.table.epoch > epoch)
        try WatchRig.wait("the end") { rig.watchProcesses().isEmpty }
    }

    /// Mounts that are there are watched as well, and those that cannot be are named.
    @Test func mountsBelow() throws {
        let outer = try TemporaryDirectory(prefix: "watch-mounts-")
        let (folder, table) = (outer.path + "/folder", outer.path + "/table")
        mkdir(folder, 0o755)
        try systemCall { mount("none", folder, "tmpfs", 0, nil) }
        defer { umount2(folder, Int32(MNT_DETACH)) }
        do {
            let daemon = try DaemonProcess(["--version-table", table], share: outer.path)
            let opened = try VersionTable(path: table, tableByteCount: 4 << 20, journalByteCount: 2 << 20)
            try WatchRig.wait("a heartbeat") { opened.heartbeat > 1 }
            let reader = JournalReader(opened)
            mkdir(folder + "/new", 0o755)
            var names: [[UInt8]] = []
            try WatchRig.wait("the record") {
                while case .record(let record, _) = reader.next() { names.append(record.name) }
                return names.contains(Array("new".utf8))
            }
            _ = consume daemon
        }
        let proc = outer.path + "/proc"
        mkdir(proc, 0o755)
        try systemCall { mount("none", proc, "proc", 0, nil) }
        defer { umount2(proc, Int32(MNT_DETACH)) }
        let daemon = try DaemonProcess(["--version-table", table], share: outer.path)
        let line = "is not told: \(proc): "
        if !daemon.said.contains(where: { $0.contains(line) }) { try daemon.waitForLine(line) }
    }
}
