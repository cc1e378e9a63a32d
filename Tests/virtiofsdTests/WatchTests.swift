// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

/// What the host's programs do is told in the version table and its journal.
@Suite(.enabled(if: geteuid() == 0, "needs root: to watch file systems"))
struct WatchTests {
    /// A tmpfs and, as a rule, a file system on a disk.
    static let places = ["/dev/shm", "/tmp"]

    @Test(arguments: places) func eachKindOfEditIsTold(place: String) throws {
        let rig = try WatchRig(at: place)
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

        change = try rig.change { truncate(file, 1) }
        #expect(change.bumped == ["file": .both])
        #expect(change.told.contains("content file share/file"))

        change = try rig.change { chmod(file, 0o600) }
        #expect(change.bumped == ["file": .attributes])
        #expect(change.told == ["attributes file share/file"])

        change = try rig.change { #expect(setxattr(file, "trusted.test", "1", 1, 0) == 0) }
        #expect(change.bumped == ["file": .attributes])
        #expect(change.told == ["attributes file share/file"])

        change = try rig.change { link(file, rig.share + "/sub/link") }
        #expect(change.bumped == ["sub": .both, "file": .attributes])
        #expect(change.told == ["attributes file", "created file sub/link"])

        change = try rig.change { unlink(rig.share + "/sub/link") }
        #expect(change.bumped == ["sub": .both, "file": .both])
        #expect(change.told == ["attributes file", "removed file sub/link"])

        change = try rig.change { rename(file, other) }
        #expect(change.bumped == ["share": .both, "sub": .both, "file": .both])
        #expect(change.told == ["movedAway file share/file", "movedHere file sub/other"])

        change = try rig.change {
            symlink("nowhere", file)
            try rig.know("symlink", file)
        }
        #expect(change.bumped == ["share": .both, "symlink": .attributes])
        #expect(change.told == ["created symlink share/file"])

        change = try rig.change { unlink(file) }
        #expect(change.bumped == ["share": .both, "symlink": .both])
        #expect(change.told.last == "removed symlink share/file")

        change = try rig.change {
            mkdir(rig.share + "/sub/new", 0o755)
            try rig.know("new", rig.share + "/sub/new")
        }
        #expect(change.bumped == ["sub": .both, "new": .attributes])
        #expect(change.told == ["created new sub/new"])

        change = try rig.change { chmod(rig.share + "/sub/new", 0o700) }
        #expect(change.bumped == ["new": .attributes])
        #expect(change.told == ["attributes new"])

        change = try rig.change { rmdir(rig.share + "/sub/new") }
        #expect(change.bumped["sub"] == .both && change.bumped.keys.sorted() == ["new", "sub"])
        #expect(change.told.last == "removed new sub/new")
    }

    /// As editors save. Somebody has the old file open, and sees that it has no name any more.
    @Test(arguments: places) func atomicReplaceIsTold(place: String) throws {
        let rig = try WatchRig(at: place)
        let (file, new) = (rig.share + "/file", rig.share + "/.file.new")
        let old = try rig.create(file)
        try rig.know("old", file)
        let change = try rig.change {
            try rig.write(new)
            try rig.know("new", new)
            rename(new, file)
        }
        #expect(change.bumped == ["share": .both, "new": .both, "old": .attributes])
        #expect(
            change.told == [
                "created new share/.file.new", "content new share/.file.new",
                "movedAway new share/.file.new",
                "movedHere new share/file", "attributes old",
            ])
        _ = consume old
    }

    @Test(arguments: places) func whatLiesOutsideIsNotTold(place: String) throws {
        let rig = try WatchRig(at: place)
        let (secret, file) = (rig.outside + "/secret", rig.share + "/file")
        // As long as it is open its number is not another's.
        try rig.write(secret)
        try rig.know("secret", secret)
        let kept = try rig.create(secret)
        var change = try rig.change {
            try rig.write(secret)
            chmod(secret, 0o600)
            rename(secret, rig.outside + "/secret2")
            mkdir(rig.outside + "/folder", 0o755)
            chmod(rig.outside, 0o711)
            rmdir(rig.outside + "/folder")
            unlink(rig.outside + "/secret2")
        }
        #expect(change.bumped.isEmpty)
        #expect(change.told.isEmpty)
        _ = consume kept

        // Moved in and out, it comes and goes without a name outside.
        _ = try rig.create(secret)
        try rig.know("file", secret)
        change = try rig.change { rename(secret, file) }
        #expect(change.bumped == ["share": .both, "file": .both])
        #expect(change.told == ["movedHere file share/file from elsewhere"])
        change = try rig.change { rename(file, secret) }
        #expect(change.told == ["movedAway file share/file"])

        // A directory that was looked into before is outside once it has been moved.
        change = try rig.change {
            _ = try rig.create(rig.share + "/sub/before")
            rename(rig.share + "/sub", rig.outside + "/sub")
            _ = try rig.create(rig.outside + "/sub/after")
        }
        #expect(change.told.last == "movedAway sub share/sub")
        #expect(!change.told.contains { $0.contains("after") })

        // By another name than the one that is shared, but without it.
        _ = try rig.create(rig.share + "/shared")
        try rig.know("shared", rig.share + "/shared")
        link(rig.share + "/shared", rig.outside + "/secret3")
        change = try rig.change {
            try rig.write(rig.outside + "/secret3")
        }
        #expect(change.bumped == ["shared": .both])
        #expect(change.told == ["content shared"])
    }

    /// The kernel keeps some thousand events for a watcher that does not come.
    @Test func aStormMakesEverythingStale() throws {
        let rig = try WatchRig(at: "/dev/shm")
        let text = (try? Files.text("/proc/sys/fs/fanotify/max_queued_events")) ?? ""
        let limit = Int(text.trimmingPrefix(" ").prefix { $0.isNumber }) ?? 16384
        try #require(limit <= 200_000)
        let watcher = try #require(rig.watchProcesses().first)
        _ = try rig.records()
        let reader = JournalReader(rig.table)
        let epoch = rig.table.epoch
        kill(watcher, SIGSTOP)
        defer { kill(watcher, SIGCONT) }
        try WatchRig.wait("the stop") {
            (try? Files.text("/proc/\(watcher)/stat").contains(") T")) == true
        }
        let beat = rig.table.heartbeat
        for number in 0..<(limit + 500) {
            let path = rig.share + "/sub/\(number)"
            try systemCall { mknod(path, S_IFREG | 0o600, 0) }
        }
        #expect(rig.table.heartbeat == beat)
        #expect(rig.table.epoch == epoch)
        kill(watcher, SIGCONT)
        var isTold = false
        try WatchRig.wait("the loss") {
            while let event = reader.next() {
                if case .record(let record, _) = event, record.kind == .everything { isTold = true }
            }
            return isTold && rig.table.epoch > epoch
        }
        try rig.daemon.waitForLine("everything cached has been declared stale")
        // It goes on.
        rig.followAnew()
        let change = try rig.change { _ = try rig.create(rig.share + "/after") }
        #expect(change.bumped == ["share": .both])
    }

    /// Whatever its numbers are in a process namespace of its own.
    @Test(arguments: ["none", "chroot", "namespace"]) func whatADaemonDoesIsToldOnce(sandbox: String) throws {
        let rig = try WatchRig(at: "/dev/shm", ["--sandbox", sandbox])
        let guest = FuseClient(try DeviceFrontend(connectingTo: rig.daemon.socket))
        _ = try guest.initialize()
        _ = try rig.records()
        let made = try guest.create(.root, "file".utf8, flags: UInt32(O_RDWR))
        let node = NodeID(rawValue: made.entry.nodeID)
        let slot = rig.table.slot(of: try rig.key(rig.share + "/file"))
        try rig.know("file", rig.share + "/file")
        let records = try rig.ownRecords()
        #expect(records.map(\.kind) == [.created])
        let origin = try #require(records.first?.origin)
        #expect(origin != 0)

        var (attributes, content) = (
            rig.table.attributesVersion(slot), rig.table.contentVersion(slot)
        )
        _ = try guest.chmod(node, mode: 0o600)
        var told = try rig.ownRecords()
        #expect(told.map(\.kind) == [.attributes])
        #expect(rig.table.attributesVersion(slot) == attributes + 1)

        // WRITE says so in the table alone; the watcher adds the record.
        (attributes, content) = (rig.table.attributesVersion(slot), rig.table.contentVersion(slot))
        _ = try guest.write(node, made.open.handle, offset: 0, [1, 2, 3])
        told = try rig.ownRecords()
        #expect(told.map(\.kind) == [.content])
        #expect(told.map(\.origin) == [origin])
        #expect(rig.table.contentVersion(slot) == content + 1)
        #expect(rig.table.attributesVersion(slot) == attributes + 1)

        _ = try guest.mkdir(.root, "made".utf8)
        _ = try guest.rename(.root, "file".utf8, to: .root, "moved".utf8)
        try guest.unlink(.root, "moved".utf8)
        told = try rig.ownRecords()
        #expect(told.map(\.kind) == [.created, .movedAway, .movedHere, .removed])
        #expect(told.allSatisfy { $0.origin == origin })
    }

    /// How long after an edit its bump is there. Printed: what it is depends on the machine.
    @Test(arguments: places) func latency(place: String) throws {
        let rig = try WatchRig(at: place)
        let file = try rig.create(rig.share + "/file")
        let slot = rig.table.slot(of: FileKey(try FileStatus(of: file.rawValue)))
        _ = try rig.records()
        var times: [Int64] = []
        for number in 0..<200 {
            usleep(2000)
            let version = rig.table.contentVersion(slot)
            var byte = UInt8(truncatingIfNeeded: number)
            let start = monotonicNanoseconds()
            #expect(pwrite(file.rawValue, &byte, 1, 0) == 1)
            let deadline = Deadline(milliseconds: 30_000)
            while rig.table.contentVersion(slot) == version, !deadline.hasPassed { sched_yield() }
            times.append(monotonicNanoseconds() - start)
            #expect(rig.table.contentVersion(slot) != version)
        }
        times.sort()
        let (median, most) = (times[100] / 1000, times[190] / 1000)
        print("host edit to bump on \(place): median \(median) us, 95 of 100 within \(most) us")
    }
}
