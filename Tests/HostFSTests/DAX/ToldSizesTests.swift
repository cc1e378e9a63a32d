// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import Glibc
import HostOS
import StateArena
import Testing

@testable import HostFS

/// Files that have become shorter while nothing of them was mapped, so that nobody was asked.
@Suite struct ToldSizesTests {
    @Test func aGuestThatBelievesInMoreSeesZerosBehindTheEnd() throws {
        let bench = try Bench()
        let status = try bench.make("a", 2 * chunk)
        let number = status.raw.stx_ino
        try bench.resize("a", 100)
        try bench.setUp(status, "a", fileOffset: chunk, at: 0)
        try bench.setUp(status, "a", at: chunk)
        #expect(bench.vmm.shown(at: 0, of: number) == 0)
        #expect(bench.vmm.shown(at: chunk, of: number) == 4096)
        #expect(bench.vmm.coveredByteCount == 2 * chunk && bench.vmm.pieceCount == 3)

        // It is told of more before it looks there, and of as much as it believes in: then all is as with any file.
        bench.window.note(try bench.resize("a", 5000))
        #expect(bench.vmm.shown(at: chunk, of: number) == 8192 && bench.vmm.shown(at: 0, of: number) == 0)
        bench.window.note(try bench.resize("a", 2 * chunk - 5))
        #expect(
            bench.vmm.shown(at: chunk, of: number) == chunk && bench.vmm.shown(at: 0, of: number) == chunk)
        #expect(bench.vmm.pieceCount == 2 && !bench.window.hasLimits)
        try bench.remove(0, 2 * chunk)
        #expect(bench.vmm.coveredByteCount == 0 && bench.vmm.faults == [] && bench.quota.usedCount == 0)
    }

    /// One piece for each chunk, and nothing to do when the file grows.
    @Test(arguments: [1, 4096, 4097, chunk - 1, chunk])
    func aGuestThatBelievesInNoMoreHasWholeChunks(_ size: UInt64) throws {
        let bench = try Bench()
        let status = try bench.make("a", size)
        try bench.setUp(status, "a", at: 0)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == chunk && !bench.window.hasLimits)
        // Within its last page a file may end anywhere.
        try bench.remove(0)
        try bench.resize("a", (size - 1) & ~4095 + 1)
        try bench.setUp(status, "a", at: 0)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == chunk && !bench.window.hasLimits)
        // Larger ones are not looked at further.
        try bench.remove(0)
        try bench.resize("a", size + 3 * chunk)
        try bench.setUp(status, "a", fileOffset: 2 * chunk, at: 0)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == chunk && !bench.window.hasLimits)
    }

    /// A chunk before the end needs no limit, whatever the guest believes.
    @Test func onlyWhatReachesBehindTheEndHasALimit() throws {
        let bench = try Bench()
        let status = try bench.make("a", 4 * chunk)
        try bench.resize("a", 2 * chunk)
        try bench.setUp(status, "a", fileOffset: chunk, at: 0)
        #expect(bench.vmm.pieceCount == 1 && !bench.window.hasLimits)
        try bench.setUp(status, "a", fileOffset: 2 * chunk, at: chunk)
        #expect(bench.vmm.shown(at: chunk, of: status.raw.stx_ino) == 0 && bench.window.hasLimits)
    }

    /// A guest that was told nothing, or has forgotten the file.
    @Test func whatIsNotRememberedHasALimit() throws {
        let bench = try Bench()
        let status = try bench.resize("a", 100)
        try bench.setUp(status, "a", at: 0)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == 4096)
        bench.window.removeAll()
        let told = try bench.make("a", 100)
        try bench.setUp(told, "a", at: 0)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == chunk)
        try bench.remove(0)
        bench.window.forget(Identity(told))
        try bench.setUp(told, "a", at: 0)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == 4096)
    }

    /// Where nobody hears of what happens to mapped files, it is seen at the next mapping at the latest.
    @Test func otherChunksOfTheFileAreAdaptedToo() throws {
        let bench = try Bench()
        let status = try bench.make("a", 3 * chunk)
        let number = status.raw.stx_ino
        for index in [0, 1] as [UInt64] {
            try bench.setUp(status, "a", fileOffset: index * chunk, at: index * chunk)
        }
        try bench.resize("a", 100)
        try bench.setUp(status, "a", fileOffset: 2 * chunk, at: 2 * chunk)
        #expect((0..<3).map { bench.vmm.shown(at: $0 * chunk, of: number) } == [4096, 0, 0])
        #expect(bench.vmm.coveredByteCount == 3 * chunk && bench.vmm.faults == [])
    }

    // MARK: At the same time

    /// Who looked at the size before the file became shorter tells the guest of it after the file was mapped.
    @Test func aLateReplyIsSeenTo() throws {
        let bench = try Bench()
        let small = try bench.make("a", 100)
        let late = try bench.resize("a", 2 * chunk)
        try bench.resize("a", 100)
        try bench.setUp(small, "a", at: 0)
        #expect(bench.vmm.shown(at: 0, of: small.raw.stx_ino) == chunk)
        bench.window.note(late)
        #expect(bench.vmm.shown(at: 0, of: small.raw.stx_ino) == 4096)

        let file = try bench.resize("b", 100)
        bench.window.note(file)
        try bench.setUp(file, "b", at: chunk)
        bench.window.noteGrowth(FileKey(file), try bench.open("b").rawValue, to: 10_000, isEnd: true)
        #expect(bench.vmm.shown(at: chunk, of: file.raw.stx_ino) == 4096 && bench.vmm.faults == [])
    }

    /// Who was about to make it shorter before anybody watched it does so while the VMM maps it.
    @Test func aFileThatBecomesShorterWhileItIsMapped() throws {
        let bench = try Bench()
        let status = try bench.make("a", chunk)
        let path = bench.directory.path + "/a"
        bench.vmm.whileMapping.withLock { $0 = { truncate(path, 100) } }
        try bench.setUp(status, "a", at: 0)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == 4096)
        #expect(bench.vmm.coveredByteCount == chunk && bench.vmm.faults == [])
        // And what cannot be put right is no mapping.
        try bench.remove(0)
        try bench.resize("a", chunk)
        bench.vmm.refusedMaps.withLock { $0 = [chunk + 4096] }
        #expect(throws: Errno.EIO) { try bench.setUp(status, "a", at: chunk) }
        #expect(bench.vmm.coveredByteCount == 0 && bench.quota.usedCount == 0)
    }

    // MARK: What the guest does itself

    /// It sends what ends behind the size that it believes in: afterwards it knows the end, and is not mapped anew at each write.
    @Test func aGuestThatAppendsKnowsTheEnd() throws {
        let bench = try Bench()
        let status = try bench.make("a", 2 * chunk)
        let (number, key) = (status.raw.stx_ino, FileKey(status))
        let file = try bench.open("a")
        try bench.resize("a", 100)
        try bench.setUp(status, "a", at: 0)
        // Within what it may believe in, and not where the file ends.
        try bench.resize("a", 5000)
        bench.window.noteGrowth(key, file.rawValue, to: 5000, isEnd: false)
        bench.window.noteGrowth(key, file.rawValue, to: 4999, isEnd: true)
        #expect(bench.vmm.shown(at: 0, of: number) == 8192 && bench.window.told.size(of: key) == 2 * chunk)
        bench.window.noteGrowth(key, file.rawValue, to: 5000, isEnd: true)
        #expect(bench.vmm.shown(at: 0, of: number) == chunk && bench.window.told.size(of: key) == 5000)
        #expect(!bench.window.hasLimits)
        try bench.resize("a", 50_000)
        bench.window.noteGrowth(key, file.rawValue, to: 50_000, isEnd: true)
        #expect(bench.window.told.size(of: key) == 50_000 && bench.vmm.pieceCount == 1)
    }

    @Test func aGuestThatSetsTheSizeKnowsIt() throws {
        let bench = try Bench()
        let status = try bench.make("a", 2 * chunk)
        try bench.resize("a", 100)
        try bench.setUp(status, "a", at: 0)
        try bench.resize("a", 50)
        bench.window.noteSetting(FileKey(status), size: 50)
        #expect(bench.vmm.shown(at: 0, of: status.raw.stx_ino) == chunk && !bench.window.hasLimits)
    }

    /// A new time that comes of the guest's own write is no sign of what was announced.
    @Test(arguments: [chunk, chunk + 5000])
    func aWriteOfTheGuestIsNotWhatWasAnnounced(_ size: UInt64) throws {
        let bench = try Bench()
        let status = try bench.make("a", chunk)
        let (number, key) = (status.raw.stx_ino, FileKey(status))
        let file = try bench.open("a")
        try bench.setUp(status, "a", at: 0)
        bench.window.cut(key, to: 5000)
        bench.window.tell(key)
        // The times of a file are as fine as the kernel's clock.
        _ = waitReadable(-1, timeoutMilliseconds: 20)
        _ = try systemCall { pwrite(file.rawValue, "x", 1, off_t(size - 1)) }
        bench.window.noteGrowth(key, file.rawValue, to: size, isEnd: true)
        bench.window.note(try FileStatus(of: file.rawValue))
        #expect(bench.vmm.shown(at: 0, of: number) == 8192)
        // Nor is a size that it has set.
        try bench.resize("a", 6500)
        bench.window.noteSetting(key, size: 6500)
        bench.window.note(try FileStatus(of: file.rawValue))
        #expect(bench.vmm.shown(at: 0, of: number) == 8192)
        // But a smaller one is.
        try bench.resize("a", 6499)
        bench.window.tell(key)
        #expect(bench.vmm.shown(at: 0, of: number) == chunk && bench.vmm.faults == [])
    }
}
