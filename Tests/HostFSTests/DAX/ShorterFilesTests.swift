// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import HostOS
import Testing

@testable import HostFS

/// What guests see of files that others make shorter.
@Suite struct ShorterFilesTests {
    @Test func whatGoesIsReplacedByZeros() throws {
        let bench = try Bench()
        let status = try bench.make("a", 3 * chunk)
        let number = status.raw.stx_ino
        for index in 0..<3 as Range<UInt64> {
            try bench.setUp(status, "a", fileOffset: index * chunk, at: index * chunk)
        }
        bench.window.cut(FileKey(status), to: chunk + 5000)
        #expect(bench.vmm.shown(at: 0, of: number) == chunk)
        #expect(bench.vmm.shown(at: chunk, of: number) == 8192)
        #expect(bench.vmm.shown(at: 2 * chunk, of: number) == 0)
        // No hole: a guest may still look there.
        #expect(bench.vmm.coveredByteCount == 3 * chunk)

        // Not before it has become shorter: the size is the old one still.
        bench.window.tell(FileKey(status))
        #expect(bench.vmm.shown(at: 2 * chunk, of: number) == 0)
        try bench.truncate("a", Int(chunk) + 5000)
        try bench.truncate("a", 2 * Int(chunk) + 1)
        let longer = try bench.make("a", 2 * chunk + 1)
        bench.window.tell(FileKey(longer))
        #expect(bench.vmm.shown(at: chunk, of: number) == chunk)
        #expect(bench.vmm.shown(at: 2 * chunk, of: number) == 4096)
        #expect(bench.vmm.coveredByteCount == 3 * chunk)

        // A chunk that is mapped now shows as much as there is.
        try bench.remove(2 * chunk)
        try bench.setUp(longer, "a", fileOffset: 2 * chunk, at: 2 * chunk)
        #expect(bench.vmm.shown(at: 2 * chunk, of: number) == 4096)
        #expect(bench.vmm.faults == [])
        #expect(bench.window.hasLimits)
        try bench.remove(0, 3 * chunk)
        #expect(!bench.window.hasLimits && bench.vmm.faults == [])
    }

    @Test func ofOtherFilesNothingGoes() throws {
        let bench = try Bench()
        let (status, other) = (try bench.make("a", chunk), try bench.make("b", chunk))
        try bench.setUp(status, "a", at: 0)
        bench.window.cut(FileKey(other), to: 0)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == chunk && !bench.window.hasLimits)
    }

    /// A VMM that refuses the zeros shows nothing of the chunk.
    @Test func aRefusalWhileAFileBecomesShorterLeavesNothing() throws {
        let bench = try Bench()
        let status = try bench.make("a", chunk)
        try bench.setUp(status, "a", at: chunk)
        bench.vmm.refusedMaps.withLock { $0 = [chunk + 8192] }
        bench.window.cut(FileKey(status), to: 8192)
        #expect(bench.vmm.coveredByteCount == 0 && bench.vmm.faults == [])
        #expect(bench.window.usedChunkCount == 0 && bench.quota.usedCount == 0)
    }

    /// And one that does not even take away what it has shown then is asked again, whatever comes next.
    @Test(arguments: ["remove", "set up", "remove all", "another guest"])
    func whatIsNotTakenAwayIsAskedForAgain(_ next: String) throws {
        let bench = try Bench()
        let status = try bench.make("a", chunk)
        try bench.setUp(status, "a", at: chunk)
        let half = WindowPiece(offset: chunk, byteCount: 8192, fileOffset: 0)
        bench.vmm.refusedMaps.withLock { $0 = [chunk + 8192] }
        bench.vmm.refusedUnmaps.withLock { $0 = [half] }
        bench.window.cut(FileKey(status), to: 8192)
        #expect(bench.vmm.coveredByteCount == 8192)
        #expect(bench.window.usedChunkCount == 0 && bench.quota.usedCount == 0)
        // Not in vain, either.
        try bench.remove(chunk)
        #expect(bench.vmm.coveredByteCount == 8192)

        bench.vmm.refusedMaps.withLock { $0 = [] }
        bench.vmm.refusedUnmaps.withLock { $0 = [] }
        switch next {
        case "remove": try bench.remove(chunk)
        case "set up":
            let other = try bench.make("b", chunk)
            try bench.setUp(other, "b", at: chunk)
            #expect(bench.vmm.shown(at: chunk, of: other.raw.stx_ino) == chunk)
            try bench.remove(chunk)
        case "remove all": bench.window.removeAll()
        default:
            bench.window.forgetAll()
            bench.window.removeAll()
        }
        #expect(bench.vmm.coveredByteCount == 0 && bench.vmm.faults == [])
        #expect(throws: Errno.EINVAL) { try bench.remove(chunk) }
    }

    /// Its owner was not allowed to, or has changed his mind: nobody tells, so somebody looks.
    @Test func whatHasNotBecomeShorterComesBack() throws {
        let bench = try Bench(settlingTime: DAXWindow.settlingTime)
        let status = try bench.make("a", chunk)
        try bench.setUp(status, "a", at: 0)
        let stop = try EventFD()
        let window = bench.window
        let thread = try HostOS.Thread(name: "looks") { window.lookAtSizes(until: stop) }
        window.cut(FileKey(status), to: 0)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == 0)
        let deadline = Deadline(milliseconds: 20_000)
        while bench.vmm.shown(at: 0, of: status.raw.stx_ino) == 0, !deadline.hasPassed {
            _ = waitReadable(-1, timeoutMilliseconds: 10)
        }
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == chunk)
        stop.signal()
        thread.join()
        #expect(bench.vmm.faults == [])
    }

    // MARK: What is announced while chunks come and go

    /// Between the announcement and what it announces the guest may give the last chunk back and map it again.
    @Test func anAnnouncementOutlivesTheLastChunk() throws {
        let bench = try Bench()
        let status = try bench.make("a", chunk)
        let number = status.raw.stx_ino
        try bench.setUp(status, "a", at: 0)
        bench.window.cut(FileKey(status), to: 4096)
        for place in [0, chunk] {
            try bench.remove(0)
            #expect(!bench.window.hasLimits && bench.quota.usedCount == 0)
            try bench.setUp(status, "a", at: place)
            #expect(bench.vmm.shown(at: place, of: number) == 4096)
            try bench.remove(place)
            try bench.setUp(status, "a", at: 0)
        }
        // A guest that resets in between is no other case.
        bench.window.removeAll()
        try bench.setUp(status, "a", at: 0)
        #expect(bench.vmm.shown(at: 0, of: number) == 4096 && bench.window.hasLimits)
        // What the guest knows may still be the size before.
        try bench.truncate("a", 4096)
        try bench.remove(0)
        try bench.setUp(status, "a", at: 0)
        #expect(bench.vmm.shown(at: 0, of: number) == 4096)
        try bench.remove(0)
        try bench.truncate("a", 8192)
        try bench.setUp(status, "a", at: 0)
        #expect(bench.vmm.shown(at: 0, of: number) == 8192 && bench.vmm.faults == [])
        // It is mapped, counted and guarded as any other.
        #expect(bench.window.hasLimits && bench.quota.usedCount == 2)
        #expect(bench.source.protected.withLock { $0 } == 1)
    }

    /// It was on its way while the last chunk went.
    @Test func anAnnouncementMayComeBeforeTheFirstChunk() throws {
        let bench = try Bench()
        let status = try bench.make("a", chunk)
        bench.window.cut(FileKey(status), to: 8192)
        bench.window.cut(FileKey(status), to: 4096)
        bench.window.cut(FileKey(status), to: 8192)
        try bench.setUp(status, "a", at: 0)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == 4096)
        #expect(bench.vmm.coveredByteCount == chunk && bench.vmm.faults == [])
        let other = try bench.make("b", chunk)
        try bench.setUp(other, "b", at: chunk)
        #expect(bench.vmm.shown(at: chunk, of: other.raw.stx_ino) == chunk)
    }

    @Test func whatDoesNotComeAnyMoreIsForgotten() throws {
        let bench = try Bench(settlingTime: 0)
        let status = try bench.make("a", chunk)
        try bench.setUp(status, "a", at: 0)
        bench.window.cut(FileKey(status), to: 4096)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == 4096)
        try bench.remove(0)
        try bench.setUp(status, "a", at: 0)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == chunk && !bench.window.hasLimits)
        try bench.remove(0)
        bench.window.cut(FileKey(status), to: 4096)
        try bench.setUp(status, "a", at: 0)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == chunk && !bench.window.hasLimits)
    }

    /// A chunk that cannot be replaced while another one of the file is set up leaves the file as it was.
    @Test func aFileWhoseOtherChunkGoesMeanwhileIsKept() throws {
        let bench = try Bench()
        let status = try bench.make("a", chunk)
        try bench.setUp(status, "a", at: 0)
        bench.window.cut(FileKey(status), to: 4096)
        try bench.truncate("a", 4096)
        try bench.truncate("a", 2 * Int(chunk))
        bench.vmm.refusedMaps.withLock { $0 = [0] }
        try bench.setUp(status, "a", fileOffset: chunk, at: chunk)
        #expect(bench.vmm.shown(at: chunk, of: status.raw.stx_ino) == chunk)
        #expect(bench.window.usedChunkCount == 1 && bench.quota.usedCount == 2)
        #expect(bench.source.protected.withLock { $0 } == 1)
        try bench.remove(chunk)
        #expect(bench.quota.usedCount == 0 && bench.vmm.coveredByteCount == 0 && bench.vmm.faults == [])
        #expect(bench.source.protected.withLock { $0 } == 0)
    }

    /// The thread that looks has a file that was mapped again on its list too.
    @Test func whatWasMappedAgainComesBack() throws {
        let bench = try Bench(settlingTime: DAXWindow.settlingTime)
        let status = try bench.make("a", chunk)
        try bench.setUp(status, "a", at: 0)
        let stop = try EventFD()
        let window = bench.window
        window.cut(FileKey(status), to: 0)
        try bench.remove(0)
        try bench.setUp(status, "a", at: 0)
        let thread = try HostOS.Thread(name: "looks") { window.lookAtSizes(until: stop) }
        let deadline = Deadline(milliseconds: 20_000)
        while bench.vmm.shown(at: 0, of: status.raw.stx_ino) == 0, !deadline.hasPassed {
            _ = waitReadable(-1, timeoutMilliseconds: 10)
        }
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == chunk)
        stop.signal()
        thread.join()
        #expect(bench.vmm.faults == [])
    }
}
