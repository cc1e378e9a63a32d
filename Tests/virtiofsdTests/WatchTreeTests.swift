// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Glibc
import HostOS
import Testing

/// The same by inotify, where file systems cannot be marked: in containers, and for users.
@Suite(.enabled(if: geteuid() == 0, "needs root: to take a capability away"))
struct WatchTreeTests {
    private func makeRig(at place: String) throws -> WatchRig {
        let rig = try WatchRig(
            at: place, ["--sandbox", "none"],
            command: ["/usr/bin/setpriv", "--bounding-set", "-sys_admin", executable])
        #expect(rig.daemon.said.contains { $0.contains("is told by inotify") })
        return rig
    }

    @Test(arguments: WatchTests.places) func editsAreTold(place: String) throws {
        let rig = try makeRig(at: place)
        let (file, other) = (rig.share + "/file", rig.share + "/sub/other")
        var change = try rig.change {
            _ = try rig.create(file)
            try rig.know("file", file)
        }
        #expect(change.bumped == ["share": .both, "file": .attributes])
        #expect(change.told == ["created file share/file"])

        change = try rig.change { try rig.write(file) }
        #expect(change.bumped == ["file": .both])
        #expect(change.told == ["content file share/file"])

        change = try rig.change {
            chmod(file, 0o600)
            chmod(rig.share + "/sub", 0o700)
        }
        #expect(change.bumped == ["file": .attributes, "sub": .attributes])
        #expect(change.told == ["attributes file share/file", "attributes sub"])

        change = try rig.change { link(file, rig.share + "/sub/link") }
        #expect(change.bumped == ["sub": .both, "file": .attributes])
        // The other name has one link fewer.
        change = try rig.change { unlink(rig.share + "/sub/link") }
        #expect(change.bumped == ["sub": .both, "file": .both])
        #expect(change.told == ["removed file sub/link"])

        change = try rig.change { rename(file, other) }
        #expect(change.bumped == ["share": .both, "sub": .both, "file": .both])
        #expect(change.told == ["movedAway file share/file", "movedHere file sub/other"])

        change = try rig.change {
            try rig.write(file)
            try rig.know("new", file)
            rename(file, other)
        }
        #expect(change.bumped == ["share": .both, "sub": .both, "new": .both, "file": .attributes])
        #expect(change.told.suffix(2) == ["movedHere new sub/other", "attributes file"])
    }

    @Test func directoriesComeAndGo() throws {
        let rig = try makeRig(at: "/dev/shm")
        let (new, far) = (rig.share + "/new", rig.share + "/sub/far")
        // What is made before there is a watch is found.
        var change = try rig.change {
            mkdir(new, 0o755)
            mkdir(new + "/deep", 0o755)
            try rig.write(new + "/deep/file")
            for (label, path) in [("new", new), ("deep", new + "/deep"), ("file", new + "/deep/file")] {
                try rig.know(label, path)
            }
        }
        #expect(Set(["share", "new", "deep", "file"]).isSubset(of: change.bumped.keys))
        #expect(change.bumped["file"] == .both)
        #expect(change.told.contains("created file deep/file"))

        // Moved within, it is still watched, and what is made in it too.
        change = try rig.change { rename(new, far) }
        #expect(change.told == ["movedAway new share/new", "movedHere new sub/far"])
        change = try rig.change {
            try rig.write(far + "/deep/file")
            mkdir(far + "/deep/er", 0o755)
            try rig.know("deeper", far + "/deep/er")
        }
        #expect(change.bumped == ["file": .both, "deep": .both, "deeper": .attributes])
        change = try rig.change { try rig.write(far + "/deep/er/x") }
        #expect(change.bumped["deeper"] == .both)

        // Moved out it is not, and back again all in it is looked at.
        change = try rig.change { rename(far, rig.outside + "/far") }
        #expect(change.told == ["movedAway new sub/far"])
        for _ in 0..<2 { _ = try rig.records() }
        change = try rig.change { try rig.write(rig.outside + "/far/deep/file") }
        #expect(change.bumped.isEmpty)
        change = try rig.change { rename(rig.outside + "/far", new) }
        #expect(change.bumped["file"] == .both)
        change = try rig.change { try rig.write(new + "/deep/file") }
        #expect(change.bumped == ["file": .both])

        change = try rig.change {
            unlink(new + "/deep/er/x")
            rmdir(new + "/deep/er")
        }
        #expect(change.bumped["deep"] == .both)
        #expect(change.told.contains("removed deeper deep/er"))
    }

    @Test func aStormMakesEverythingStale() throws {
        let rig = try makeRig(at: "/dev/shm")
        let text = (try? Files.text("/proc/sys/fs/inotify/max_queued_events")) ?? ""
        let limit = Int(text.prefix { $0.isNumber }) ?? 16384
        try #require(limit <= 200_000)
        let watcher = try #require(rig.watchProcesses().first)
        _ = try rig.records()
        let epoch = rig.table.epoch
        kill(watcher, SIGSTOP)
        defer { kill(watcher, SIGCONT) }
        for number in 0..<(limit + 500) {
            let path = rig.share + "/sub/\(number)"
            try systemCall { mknod(path, S_IFREG | 0o600, 0) }
        }
        // It has no watch yet when the rest is lost.
        mkdir(rig.share + "/late", 0o755)
        kill(watcher, SIGCONT)
        try WatchRig.wait("a new epoch") { rig.table.epoch > epoch }
        try rig.daemon.waitForLine("everything cached has been declared stale")
        rig.followAnew()
        try rig.know("late", rig.share + "/late")
        let change = try rig.change { try rig.write(rig.share + "/late/file") }
        #expect(change.bumped == ["late": .both])
    }

    /// Rather nothing than some.
    @Test func moreDirectoriesThanMayBeWatched() throws {
        let folder = try TemporaryDirectory(prefix: "watch-many-")
        for number in 0..<10 { mkdir(folder.path + "/\(number)", 0o755) }
        let table = "/dev/shm/watch-many-\(getpid())"
        defer { unlink(table) }
        let limited = "echo 5 > /proc/sys/user/max_inotify_watches && exec \"$@\""
        let daemon = try DaemonProcess(
            ["--sandbox", "none", "--version-table", table],
            command: [
                "/usr/bin/unshare", "--user", "--map-root-user", "sh", "-c", limited, "sh", executable,
            ],
            share: folder.path)
        let line = "more directories than this user may watch (fs.inotify.max_user_watches)"
        if !daemon.said.contains(where: { $0.contains(line) }) { try daemon.waitForLine(line) }
        let opened = try VersionTable(path: table, tableByteCount: 4 << 20, journalByteCount: 2 << 20)
        let beat = opened.heartbeat
        usleep(200_000)
        #expect(opened.heartbeat == beat)
    }

    @Test func itHasFewRights() throws {
        let rig = try makeRig(at: "/dev/shm")
        let watcher = try #require(rig.watchProcesses().first)
        let status = try Files.text("/proc/\(watcher)/status")
        #expect(status.contains("CapPrm:\t0000000000000004\n"))  // CAP_DAC_READ_SEARCH
        #expect(status.contains("Seccomp:\t2\n"))
    }
}
