// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

/// How many system calls each operation costs: the built daemon with its default options, as root, traced while a client
/// sends it one request after another. docs/performance.md has the table.
@Suite(.enabled(if: getuid() == 0, "needs root (file handles, other users)")) struct SystemCallBudgetTests {
    /// A traced daemon on a directory of its own with a guest.
    private final class Bench {
        let scratch: TemporaryDirectory
        let guest: FuseClient
        private let requests: SystemCallTrace

        init(_ options: [String] = []) throws {
            scratch = try TemporaryDirectory()
            let daemon = try DaemonProcess(sharing: scratch.path, options)
            guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socketPath, options: Setup().options))
            _ = try guest.initialize()
            requests = try SystemCallTrace("requests.0", of: daemon)
        }

        func path(_ name: String) -> String { scratch.path + "/" + name }

        /// Where the kernel finds handles in its memory, a hot descriptor is not the quickest way.
        var openingOfHot: String {
            var place = statfs()
            let quick: [UInt32] = [0x0102_1994, 0xef53, 0x5846_5342, 0x9123_683e]
            return statfs(scratch.path, &place) == 0 && quick.contains(UInt32(place.f_type))
                ? "open_by_handle_at" : "openat"
        }

        func write(_ name: String, _ text: String = "") throws {
            try Files.replace(path(name), with: Array(text.utf8))
        }

        /// Checks which calls on files `body` costs, a single request. Whatever it is, one kick is read and one notification
        /// sent at most.
        func expect(
            _ expected: [String], _ what: String, at place: SourceLocation = #_sourceLocation,
            _ body: () throws -> Void
        ) throws {
            let calls = try requests.calls(body)
            #expect(calls.files == expected, "\(what)", sourceLocation: place)
            #expect(calls.kicksRead <= 1 && calls.notifications <= 1, "\(what)", sourceLocation: place)
        }

        func calls(_ body: () throws -> Void) throws -> SystemCallTrace.Calls { try requests.calls(body) }
    }

    @Test func names() throws {
        let bench = try Bench()
        let guest = bench.guest
        try bench.write("new")
        try bench.expect(["statx", "name_to_handle_at"], "LOOKUP of a new name") {
            _ = try guest.lookup(.root, "new".utf8)
        }
        try bench.expect(["statx"], "LOOKUP of a known name") { _ = try guest.lookup(.root, "new".utf8) }
        try bench.expect(["statx"], "LOOKUP of a missing name") { _ = try guest.lookup(.root, "none".utf8) }
    }

    @Test func making() throws {
        let bench = try Bench()
        let guest = bench.guest
        var created = CreateOut()
        try bench.expect(["openat2", "statx"], "CREATE") {
            created = try guest.create(.root, "file".utf8, flags: Open.readWrite)
        }
        let file = created.entry.node
        try bench.expect(["statx"], "GETATTR of a file while it is being made") {
            _ = try guest.getattr(file)
        }
        // The inode lives by the open file until then. Nobody waits for a RELEASE.
        try bench.expect(["name_to_handle_at", "close"], "RELEASE of a file that was made") {
            try guest.release(file, created.open.handle)
        }
        try bench.expect(["open_by_handle_at"], "OPEN") {
            created.open = try guest.open(file, flags: Open.read)
        }
        try bench.expect(["close"], "RELEASE") { try guest.release(file, created.open.handle) }

        // The third call brings a descriptor, by which what was made can be used without another.
        try bench.expect(["mkdirat", "openat2", "statx"], "MKDIR") { _ = try guest.mkdir(.root, "d".utf8) }
        let directory = try guest.lookup(.root, "d".utf8).node
        try bench.expect(["openat2", "statx"], "CREATE in a new directory") {
            _ = try guest.create(directory, "f".utf8, flags: Open.readWrite)
        }
        try bench.expect(["mknodat", "openat2", "statx"], "MKNOD") {
            _ = try guest.mknod(.root, "p".utf8, mode: S_IFIFO | 0o600)
        }
        var link = EntryOut()
        try bench.expect(["symlinkat", "openat2", "statx"], "SYMLINK") {
            link = try guest.symlink(.root, "l".utf8, target: "target".utf8)
        }
        try bench.expect(["readlinkat"], "READLINK") { _ = try guest.readlink(link.node) }
        _ = try guest.getattr(file)
        try bench.expect(["linkat", "statx"], "LINK") { _ = try guest.link(file, to: .root, "other".utf8) }
    }

    /// Whom files are made as changes only when the guest's user does.
    @Test func makingAsOthers() throws {
        let bench = try Bench()
        let guest = bench.guest
        try check(chmod(bench.scratch.path, 0o777))
        (guest.uid, guest.gid) = (1000, 1000)
        let first = try bench.calls { _ = try guest.create(.root, "0".utf8, flags: Open.readWrite) }
        #expect(first.files.contains("setfsuid") && first.files.contains("setfsgid"))
        #expect(first.files.filter { !$0.hasPrefix("setfs") && $0 != "capset" } == ["openat2", "statx"])
        for index in 1...3 {
            try bench.expect(["openat2", "statx"], "CREATE as the same user") {
                _ = try guest.create(.root, "\(index)".utf8, flags: Open.readWrite)
            }
        }
    }

    @Test func removingAndRenaming() throws {
        let bench = try Bench()
        let guest = bench.guest
        for name in ["a", "b", "unknown"] { try bench.write(name) }
        _ = try guest.lookup(.root, "a".utf8)
        try bench.expect(["renameat2"], "RENAME to a new name") {
            try guest.rename(.root, "a".utf8, to: .root, "c".utf8)
        }
        try bench.expect(["renameat2"], "RENAME back") {
            try guest.rename(.root, "c".utf8, to: .root, "a".utf8)
        }
        // What is replaced stays open for whoever is about to open it: it is not reached by its handle any more.
        let replaced = try guest.lookup(.root, "b".utf8).node
        _ = try guest.getattr(replaced)
        try bench.expect(["renameat"], "RENAME over a file in use") {
            try guest.rename(.root, "a".utf8, to: .root, "b".utf8)
        }
        #expect(try guest.getattr(replaced).attributes.nlink == 0)
        try bench.expect(
            ["renameat2", "statx", "renameat"], "RENAME over a file that the guest does not know"
        ) {
            try guest.rename(.root, "b".utf8, to: .root, "unknown".utf8)
        }
        try bench.expect(["unlinkat"], "UNLINK") { try guest.unlink(.root, "unknown".utf8) }

        _ = try guest.mkdir(.root, "d".utf8)
        try bench.expect(["unlinkat"], "RMDIR") { try guest.rmdir(.root, "d".utf8) }
        try check(mkdir(bench.path("cold"), 0o755))
        let cold = try guest.lookup(.root, "cold".utf8).node
        try bench.expect(["open_by_handle_at", "statx", "unlinkat"], "RMDIR of what was never used") {
            try guest.rmdir(.root, "cold".utf8)
        }
        #expect(try guest.getattr(cold).attributes.nlink == 0)
    }

    @Test func openFiles() throws {
        let bench = try Bench()
        let guest = bench.guest
        try bench.write("file", String(repeating: "x", count: 8000))
        let file = try guest.lookup(.root, "file".utf8).node
        _ = try guest.getattr(file)
        var opened = OpenOut()
        try bench.expect([bench.openingOfHot], "OPEN of a file in use") {
            opened = try guest.open(file, flags: Open.readWrite)
        }
        #expect(opened.openFlags & OpenOutFlags.noFlush != 0, "FLUSH is never asked")
        let handle = opened.handle
        // Finds out what this file system says of reads that would wait.
        _ = try guest.read(file, handle, size: 4096)
        try bench.expect(["preadv2"], "READ") { _ = try guest.read(file, handle, size: 4096) }
        try bench.expect(["preadv2"], "READ to the end") {
            _ = try guest.read(file, handle, offset: 4096, size: 8192)
        }
        try bench.expect(["pwritev2"], "WRITE") { _ = try guest.write(file, handle, [1, 2, 3]) }
        try bench.expect(["statx"], "GETATTR with a handle") { _ = try guest.getattr(file, handle: handle) }
        try bench.expect(["lseek"], "LSEEK") {
            _ = try guest.lseek(file, handle, offset: 0, whence: UInt32(SEEK_DATA))
        }
        // Of an unprivileged user; the thread stays without CAP_FSETID after the first.
        _ = try guest.write(file, handle, [1], writeFlags: WriteIn.killSuidGid)
        try bench.expect(["pwritev2"], "WRITE that takes set-id bits away") {
            _ = try guest.write(file, handle, [1], writeFlags: WriteIn.killSuidGid)
        }
        try bench.expect(["close"], "RELEASE") { try guest.release(file, handle) }
    }

    /// What a READ finds out from the cache costs it one call, and what the kernel then does one to start and some to end.
    @Test(.enabled(if: ioUringIsAllowed && isOnDisk("/tmp"), "needs io_uring and a disk below /tmp"))
    func aReadFromTheDisk() throws {
        let bench = try Bench()
        let guest = bench.guest
        try bench.write("file", String(repeating: "x", count: 1 << 16))
        let file = try guest.lookup(.root, "file".utf8).node
        let handle = try guest.open(file, flags: Open.read).handle
        for _ in 0..<5 {
            try dropFromCache(bench.path("file"))
            let calls = try bench.calls { _ = try guest.read(file, handle, offset: 8192, size: 4096) }
            #expect(calls.files.prefix(2) == ["preadv2", "io_uring_enter"])
            #expect(calls.files.count <= 4 && calls.files.dropFirst().allSatisfy { $0 == "io_uring_enter" })
            #expect(calls.kicksRead <= 2 && calls.notifications <= 1 && calls.sleeps <= 2)
        }
    }

    @Test func attributes() throws {
        let bench = try Bench(["--xattr"])
        let guest = bench.guest
        try bench.write("file", "12345")
        let file = try guest.lookup(.root, "file".utf8).node
        _ = try guest.getattr(file)
        try bench.expect(["statx"], "GETATTR") { _ = try guest.getattr(file) }
        try bench.expect(["fchmodat2", "statx"], "SETATTR of the mode") {
            _ = try guest.chmod(file, mode: 0o600)
        }
        try bench.expect(["fchownat", "statx"], "SETATTR of the owner") {
            _ = try guest.chown(file, uid: 7, gid: 8)
        }
        var times = SetAttrIn()
        times.valid = SetAttrValid.mtime
        try bench.expect(["utimensat", "statx"], "SETATTR of times") { _ = try guest.setattr(file, times) }
        let handle = try guest.open(file, flags: Open.readWrite).handle
        var size = SetAttrIn()
        size.valid = SetAttrValid.size | SetAttrValid.handle
        size.handle = handle
        try bench.expect(["ftruncate", "statx"], "SETATTR of the size by handle") {
            _ = try guest.setattr(file, size)
        }
        size.valid = SetAttrValid.size
        try bench.expect(["truncate", "statx"], "SETATTR of the size") { _ = try guest.setattr(file, size) }
        try bench.expect(["fstatfs"], "STATFS") { _ = try guest.statfs() }
        let name = "user.x".utf8
        for (what, body) in [
            ("SETXATTR", { try guest.setxattr(file, name, [1, 2, 3]) }),
            ("GETXATTR", { _ = try guest.getxattr(file, name) }),
            ("LISTXATTR", { _ = try guest.listxattr(file) }),
            ("REMOVEXATTR", { try guest.removexattr(file, name) }),
        ] as [(String, () throws -> Void)] {
            let calls = try bench.calls(body).files
            #expect((1...2).contains(calls.count), "\(what): \(calls)")
        }
    }

    @Test func directories() throws {
        let bench = try Bench()
        let guest = bench.guest
        let count = 50
        try check(mkdir(bench.path("d"), 0o755))
        for index in 0..<count { try bench.write("d/\(index)") }
        let directory = try guest.lookup(.root, "d".utf8).node
        _ = try guest.getattr(directory)
        var handle: UInt64 = 0
        try bench.expect([bench.openingOfHot], "OPENDIR") { handle = try guest.opendir(directory).handle }
        func list() throws {
            #expect(try guest.readdir(directory, handle, size: 65536, plus: true).count == count + 2)
        }
        let asked = [String](repeating: "statx", count: count)
        try bench.expect(
            ["getdents64"] + asked.flatMap { [$0, "name_to_handle_at"] }, "READDIRPLUS of new entries", list)
        try guest.release(directory, handle, directory: true)
        handle = try guest.opendir(directory).handle
        try bench.expect(["getdents64"] + asked, "READDIRPLUS of known entries", list)
        try guest.release(directory, handle, directory: true)
        handle = try guest.opendir(directory).handle
        try bench.expect(["getdents64"], "READDIR") {
            _ = try guest.readdir(directory, handle, size: 65536, plus: false)
        }
        try bench.expect(["close"], "RELEASEDIR") { try guest.release(directory, handle, directory: true) }
    }

    /// A FORGET costs a call only for what is hot, and so for a few dozen inodes at most.
    @Test func forgetting() throws {
        let bench = try Bench()
        let guest = bench.guest
        var nodes: [NodeID] = []
        for index in 0..<100 {
            try bench.write("\(index)")
            nodes.append(try guest.lookup(.root, "\(index)".utf8).node)
        }
        let calls = try bench.calls { for node in nodes { try guest.forget(node) } }
        #expect(calls.files == [])
    }

    /// Many requests in the ring: one kick, one notification, one sleep.
    @Test func aBatchIsAnnouncedOnce() throws {
        let bench = try Bench()
        let guest = bench.guest
        try bench.write("file")
        let file = try guest.lookup(.root, "file".utf8).node
        _ = try guest.getattr(file)
        let queue = guest.frontend.queues[1]
        let calls = try bench.calls {
            var request = FuseRequest(.getattr, file, GetAttrIn())
            request.replyBodyByteCount = MemoryLayout<AttrOut>.size
            var tickets: [Ticket] = []
            for _ in 0..<4 {
                request.header.unique = guest.makeUnique()
                request.setLengths()
                tickets.append(try queue.enqueue(request.message))
            }
            queue.notify()
            // Looks without asking for interrupts, as a guest that is busy with the first answers.
            #expect(
                try eventually {
                    try queue.collect()
                    return tickets.allSatisfy(queue.isCompleted)
                })
            for ticket in tickets { _ = try queue.wait(for: ticket, until: Deadline(milliseconds: 10_000)) }
        }
        #expect(calls.files == ["statx", "statx", "statx", "statx"])
        #expect(calls.kicksRead == 1 && calls.notifications <= 1 && calls.sleeps == 1)
    }
}
