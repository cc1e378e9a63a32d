// SPDX-License-Identifier: Apache-2.0
import Backend
import Errors
import Frontend
import FuseWire
import Glibc
import HostFS
import HostOS
import Synchronization
import Testing

/// What a guest may use of the host: at its limit it gets the error or waits, others notice nothing, and it recovers.
@Suite struct LimitTests {
    /// T1 of a guest with a limit of its own, which is far below what the daemon could hold.
    @Test(arguments: [FileHandlePolicy.prefer, .never]) func openFiles(policy: FileHandlePolicy) throws {
        let host = try HostRig {
            $0.limits.openFiles = 5
            $0.inodeFileHandles = policy
        }
        let other = try HostRig()
        try host.write("file", "x")
        try other.write("file", "x")
        let (guest, neighbour) = (try host.guest(), try other.guest())
        let file = try guest.lookup(.root, "file".utf8).node
        let foreign = try neighbour.lookup(.root, "file".utf8).node
        var handles = try (0..<4).map { _ in try guest.open(file, flags: Open.read).handle }
        let directory = try guest.opendir(.root)
        for _ in 0..<3 {
            #expect(throws: Errno.ENFILE) { try guest.open(file, flags: Open.read) }
            #expect(throws: Errno.ENFILE) { try guest.opendir(.root) }
            _ = try neighbour.open(foreign, flags: Open.read)
        }
        #expect(host.share.reachedLimits.openFiles == 6 && other.share.reachedLimits.openFiles == 0)
        #expect(try guest.read(file, handles[0], size: 1) == [UInt8(ascii: "x")])
        try guest.release(file, handles.removeLast())
        handles.append(try guest.open(file, flags: Open.read).handle)
        var release = ReleaseIn()
        release.handle = directory.handle
        try guest.call(FuseRequest(.releasedir, .root, release))
        _ = try guest.create(.root, "new".utf8, flags: Open.readWrite)
        #expect(throws: Errno.ENFILE) { try guest.create(.root, "newer".utf8, flags: Open.readWrite) }
        #expect(throws: Errno.ENFILE) { try guest.tmpfile(.root, flags: Open.readWrite) }
        #expect(!host.exists("newer"), "what could not be opened is not made")
    }

    /// A guest that opens nothing has no more open than it may either, and never hears of it.
    @Test func openFilesOfAGuestThatDoesNotOpen() throws {
        let host = try HostRig {
            ($0.exclusive, $0.cache) = (true, .always)
            $0.limits.openFiles = 3
        }
        for index in 0..<10 { try host.write("f\(index)", "\(index)") }
        let guest = try host.guest()
        for round in 0..<2 {
            for index in 0..<10 {
                let file = try guest.lookup(.root, "f\(index)".utf8).node
                #expect(try guest.read(file, 0, size: 9) == Array("\(index)".utf8), "round \(round)")
            }
        }
        #expect(host.share.guestDescriptors <= 3)
    }

    @Test func knownInodes() throws {
        let host = try HostRig { $0.limits.inodes = 4 }
        for index in 0..<8 { try host.write("f\(index)", "") }
        let guest = try host.guest()
        var known = try (0..<4).map { try guest.lookup(.root, "f\($0)".utf8) }
        #expect(throws: Errno.ENFILE) { try guest.lookup(.root, "f4".utf8) }
        // What is known can be found, used and listed.
        _ = try guest.lookup(.root, "f0".utf8)
        _ = try guest.getattr(.root)
        let directory = try guest.opendir(.root)
        #expect(try guest.readdir(.root, directory.handle, size: 65536, plus: true).count > 8)
        _ = try guest.link(known[0].node, to: .root, "link".utf8)
        #expect(try guest.lookup(.root, "none".utf8).nodeID == 0)
        // What could not be known is not made.
        let before = host.snapshot()
        #expect(throws: Errno.ENFILE) { try guest.create(.root, "new".utf8, flags: Open.readWrite) }
        #expect(throws: Errno.ENFILE) { try guest.mkdir(.root, "new".utf8) }
        #expect(throws: Errno.ENFILE) { try guest.mknod(.root, "new".utf8, mode: S_IFIFO | 0o600) }
        #expect(throws: Errno.ENFILE) { try guest.symlink(.root, "new".utf8, target: "f0".utf8) }
        #expect(throws: Errno.ENFILE) { try guest.tmpfile(.root, flags: Open.readWrite) }
        #expect(host.snapshot() == before)
        #expect(host.share.reachedLimits.inodes >= 6)

        // Looked up, and listed.
        try guest.forget(known.removeLast().node, count: 2)
        #expect(host.share.knownInodes == 4, "with the root")
        _ = try guest.mkdir(.root, "new".utf8)
        #expect(throws: Errno.ENFILE) { try guest.lookup(.root, "f5".utf8) }
    }

    // MARK: Requests

    private func limits(_ configure: (inout RequestLimits) -> Void) -> RequestLimits {
        var limits = RequestLimits()
        configure(&limits)
        return limits
    }

    /// Whatever the rate, every request is answered in the end; the neighbour's are meanwhile. TokenBucketTests has the rates.
    @Test(arguments: [1, 4]) func requestsPerSecond(queues: Int) throws {
        let host = try HostRig(Setup(queues: queues), limits: limits { $0.requestsPerSecond = 20 })
        let other = try HostRig()
        let (guest, neighbour) = (try host.guest(), try other.guest())
        for _ in 0..<8 {
            _ = try guest.getattr(.root)
            for _ in 0..<10 { _ = try neighbour.getattr(.root) }
        }
        #expect(host.rig.throttleCounts.requests > 0 && host.rig.throttleCounts.bytes == 0)
        #expect(other.rig.throttleCounts == ThrottleCounts())
    }

    /// What a reply carries counts as well as what a request does.
    @Test func bytesPerSecond() throws {
        let host = try HostRig(limits: limits { $0.bytesPerSecond = 1 << 18 })
        try host.write("file", [UInt8](repeating: 7, count: 1 << 16))
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8).node
        let handle = try guest.open(file, flags: Open.readWrite).handle
        var waits = host.rig.throttleCounts.bytes
        func expectWait(after transfer: () throws -> Void) throws {
            try transfer()
            _ = try guest.getattr(.root)
            #expect(host.rig.throttleCounts.bytes > waits)
            waits = host.rig.throttleCounts.bytes
        }
        try expectWait { _ = try guest.read(file, handle, size: 1 << 16) }
        try expectWait { _ = try guest.write(file, handle, [UInt8](repeating: 9, count: 1 << 16)) }
        if ioUringIsAllowed {
            try expectWait {
                try dropFromCache(host.path("file"))
                _ = try guest.read(file, handle, size: 1 << 16)
            }
        }
        #expect(host.rig.throttleCounts.requests == 0)
    }

    /// A bucket that is deep in debt: what waits behind it, and what does not.
    private func indebted() throws -> (host: HostRig, guest: FuseClient, file: NodeID) {
        let host = try HostRig(limits: limits { $0.bytesPerSecond = 4096 })
        try host.write("file", [UInt8](repeating: 7, count: 1 << 20))
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8).node
        let handle = try guest.open(file, flags: Open.read).handle
        #expect(try guest.read(file, handle, size: 1 << 20).count == 1 << 20)  // four minutes' worth
        return (host, guest, file)
    }

    @Test func forgetsAreNeverHeldUp() throws {
        let (host, guest, file) = try indebted()
        let before = host.rig.throttleCounts.bytes
        #expect(host.share.knownInodes == 2)
        _ = try guest.submit(getattr)
        #expect(eventually { host.rig.throttleCounts.bytes == before + 1 })
        let queue = guest.frontend.queues[0]
        _ = queue.chains.armInterrupts()
        let forget = try guest.submit(FuseClient.forgetRequest(file, count: 1), queue: 0)
        #expect(
            waitReadable(queue.call.descriptor.rawValue, timeoutMilliseconds: 20_000) != 0,
            "the guest hears of it, with nothing behind it that would wake the daemon")
        _ = try guest.receive(forget)
        #expect(host.share.knownInodes == 1)
        #expect(host.rig.throttleCounts.bytes == before + 1, "it is one wait")
    }

    private var getattr: FuseRequest {
        var request = FuseRequest(.getattr, .root, GetAttrIn())
        request.replyBodyByteCount = 104
        return request
    }

    /// The VMM gets its ring back at once, with the requests that were not taken still in it.
    @Test func stoppingWaitsForNothing() throws {
        let (host, guest, _) = try indebted()
        let before = host.rig.throttleCounts.bytes
        let pending = try guest.submit(getattr)
        #expect(eventually { host.rig.throttleCounts.bytes == before + 1 })
        host.rig.end()
        #expect(throws: Errno.ECONNRESET, "it was not taken") { try guest.receive(pending) }
    }

    /// What is not for the hiprio queue is not faster there.
    @Test func theHiprioQueueIsNoWayAround() throws {
        let host = try HostRig(limits: limits { $0.requestsPerSecond = 20 })
        let guest = try host.guest()
        guest.rotatesQueues = false
        guest.queue = 0
        for _ in 0..<8 { _ = try guest.getattr(.root) }
        #expect(host.rig.throttleCounts.requests > 0)
    }

    /// Requests that wait for a lock are in flight; the last place is for whoever gives it back.
    @Test func requestsInFlight() throws {
        let host = try HostRig(limits: limits { $0.inFlight = 3 }) {
            $0.posixLock = true
            $0.limits.waitingLocks = 2
        }
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8).node
        let handle = try guest.open(file, flags: Open.readWrite).handle
        var lock = FileLock()
        lock.end = UInt64(Int64.max)
        func request(_ opcode: Opcode, owner: UInt64, type: Int32) -> FuseRequest {
            lock.type = UInt32(type)
            return FuseClient.lockRequest(opcode, file, handle, owner: owner, lock)
        }
        func send(_ request: FuseRequest) throws -> Int32 {
            try guest.receive(try guest.submit(request)).header.error
        }
        #expect(try send(request(.setlk, owner: 1, type: F_WRLCK)) == 0)
        let waiting = try (2...3).map { try guest.submit(request(.setlkw, owner: $0, type: F_RDLCK)) }
        #expect(try send(request(.setlkw, owner: 4, type: F_RDLCK)) == -EAGAIN)
        // One at a time goes on.
        for _ in 0..<20 { _ = try guest.getattr(file) }
        #expect(try send(request(.setlk, owner: 1, type: F_UNLCK)) == 0)
        for one in waiting { #expect(try guest.receive(one).header.error == 0) }
        for owner in 2...3 as ClosedRange<UInt64> {
            #expect(try send(request(.setlk, owner: owner, type: F_UNLCK)) == 0)
        }
        // The places are free again.
        #expect(try send(request(.setlk, owner: 1, type: F_WRLCK)) == 0)
        let again = try guest.submit(request(.setlkw, owner: 2, type: F_WRLCK))
        #expect(try send(request(.setlk, owner: 1, type: F_UNLCK)) == 0)
        #expect(try guest.receive(again).header.error == 0)
    }

    /// Whether somebody waits for a lock of the file, as the host sees it.
    private func isWaitedFor(_ path: String) throws -> Bool {
        var status = stat()
        _ = try systemCall { stat(path, &status) }
        let lines = String(decoding: try Files.read("/proc/locks"), as: UTF8.self).split(separator: "\n")
        return lines.contains { $0.contains(" -> ") && $0.contains(":\(status.st_ino) ") }
    }

    /// Whatever holds the last place, what comes behind it waits, and INTERRUPT gets by.
    @Test(arguments: [1, 3]) func withoutAPlaceRequestsStayOnTheRing(queues: Int) throws {
        let host = try HostRig(Setup(queues: queues), limits: limits { $0.inFlight = 1 }) {
            $0.posixLock = true
        }
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8).node
        let handle = try guest.open(file, flags: Open.readWrite).handle
        var lock = FileLock()
        (lock.end, lock.type) = (UInt64(Int64.max), UInt32(F_WRLCK))
        try guest.setlk(file, handle, owner: 1, lock)
        #expect(host.rig.throttleCounts.inFlight == 0)
        guest.rotatesQueues = false
        guest.queue = 1
        let waiting = try guest.submit(FuseClient.lockRequest(.setlkw, file, handle, owner: 2, lock))
        #expect(try eventually { try isWaitedFor(host.path("file")) })
        guest.queue = queues
        let behind = try guest.submit(getattr)
        #expect(eventually { host.rig.throttleCounts.inFlight == 1 })
        guest.queue = 0
        try guest.interrupt(waiting.unique)
        guest.queue = 1
        #expect(try guest.receive(waiting).header.error == -EINTR)
        #expect(try guest.receive(behind).header.error == 0)
        #expect(host.rig.throttleCounts.inFlight == 1)
        _ = try guest.getattr(file)
    }

    /// One place for two queues: their workers take turns, and everything is answered.
    @Test func onePlaceForAll() throws {
        let host = try HostRig(Setup(queues: 4), limits: limits { $0.inFlight = 1 })
        try host.write("file", [UInt8](repeating: 7, count: 1 << 16))
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8).node
        let handle = try guest.open(file, flags: Open.readWrite).handle
        for _ in 0..<20 {
            let pending = try (0..<4).map { _ in
                try guest.submit(FuseClient.readRequest(.read, file, handle, offset: 0, size: 4096))
            }
            for one in pending { #expect(try guest.receive(one).header.error == 0) }
            // Also what waits for the disk.
            try dropFromCache(host.path("file"))
            #expect(try guest.read(file, handle, size: 4096).count == 4096)
            var sync = FsyncIn()
            sync.handle = handle
            #expect(try guest.receive(try guest.submit(FuseRequest(.fsync, file, sync))).header.error == 0)
        }
    }
}
