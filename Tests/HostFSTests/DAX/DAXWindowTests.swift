// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import Testing

@testable import HostFS

@Suite struct DAXWindowTests {
    @Test func chunksComeAndGo() throws {
        let bench = try Bench()
        let status = try bench.make("a", 3 * chunk + 5)
        for index in 0..<4 as Range<UInt64> {
            try bench.setUp(status, "a", fileOffset: index * chunk, at: (index + 1) * chunk)
        }
        #expect(bench.window.usedChunkCount == 4)
        #expect(bench.quota.usedCount == 2)
        #expect(bench.source.protected.withLock { $0 } == 1)
        // The upgrade from reading to writing, and a place that is used for something else.
        try bench.setUp(status, "a", fileOffset: chunk, at: 2 * chunk)
        try bench.setUp(status, "a", fileOffset: 0, at: 2 * chunk)
        try bench.remove(chunk, 3 * chunk)
        #expect(bench.window.usedChunkCount == 1)
        try bench.remove(4 * chunk)
        #expect(bench.vmm.coveredByteCount == 0 && bench.vmm.faults == [])
        #expect(bench.quota.usedCount == 0)
        #expect(bench.source.protected.withLock { $0 } == 0)
    }

    /// For as long as something of a file is mapped that the guest has asked to write.
    @Test func othersHearOfWhatTheGuestMayWrite() throws {
        let folder = try TemporaryDirectory(prefix: "table-")
        let table = try VersionTable(path: folder.path + "/table")
        let bench = try Bench(changes: try WriterPool(table))
        let status = try bench.make("a", 3 * chunk)
        let slot = table.slot(of: FileKey(status))
        try bench.setUp(status, "a", at: 0)
        #expect(!table.isChanging(slot), "it is only read")
        try bench.setUp(status, "a", at: 0, writes: true)
        #expect(table.isChanging(slot), "the same chunk is to be written")
        try bench.setUp(status, "a", fileOffset: chunk, at: chunk, writes: true)
        try bench.remove(0)
        #expect(table.isChanging(slot))
        try bench.remove(chunk)
        #expect(!table.isChanging(slot))
        try bench.setUp(status, "a", at: 0, writes: true)
        bench.window.forgetAll()
        #expect(!table.isChanging(slot), "the guest is gone")
        bench.vmm.refuses.store(true, ordering: .relaxed)
        let refusing = bench.copy
        #expect(throws: Errno.EIO) { try refusing.setUp(status, 0, 2 * chunk, chunk) }
        #expect(!table.isChanging(slot))
    }

    @Test func forgedRangesAreRefused() throws {
        let bench = try Bench()
        let status = try bench.make("a", chunk)
        let forged: [(UInt64, UInt64, UInt64)] = [
            (0, 1, chunk), (1, 0, chunk), (4096, 0, chunk), (0, 4096, chunk), (0, 16 << 20, chunk),
            (0, 0, 0), (0, 0, 4096), (0, 0, 2 * chunk), (0, UInt64.max &- chunk &+ 1, chunk),
            (UInt64(Int64.max) &+ 1, 0, chunk), (UInt64.max &- chunk &+ 1, 0, chunk), (0, 0, .max),
        ]
        for (fileOffset, windowOffset, length) in forged {
            let bench = bench.copy
            #expect(throws: Errno.EINVAL, "\(fileOffset) \(windowOffset) \(length)") {
                try bench.setUp(status, fileOffset, windowOffset, length)
            }
        }
        for (offset, length) in [
            (0, chunk), (0, 0), (1, chunk), (0, 1), (16 << 20, chunk), (0, .max), (chunk, 16 << 20),
        ]
            as [(UInt64, UInt64)]
        {
            let window = bench.window
            var entry = RemoveMappingOne()
            (entry.windowOffset, entry.length) = (offset, length)
            #expect(throws: Errno.EINVAL, "\(offset) \(length)") { try window.remove(entry) }
        }
        #expect(bench.vmm.faults == [] && bench.vmm.coveredByteCount == 0 && bench.quota.usedCount == 0)
    }

    /// Where files are mapped themselves QEMU would refuse, or make them longer.
    @Test func onlyWholeChunksOfAFileThatEnds() throws {
        let bench = try Bench(endless: false)
        let status = try bench.make("a", chunk + 4096)
        try bench.setUp(status, "a", at: 0)
        let rest = bench.copy
        #expect(throws: Errno.EOPNOTSUPP) { try rest.setUp(status, chunk, chunk, chunk) }
        #expect(bench.vmm.coveredByteCount == chunk)
        try bench.truncate("a", 0)
        try bench.remove(0)
        let empty = try bench.make("a", 0)
        #expect(throws: Errno.EOPNOTSUPP) { try rest.setUp(empty, 0, chunk, chunk) }
    }

    @Test func aRefusalLeavesNothing() throws {
        let bench = try Bench()
        let status = try bench.make("a", chunk)
        bench.vmm.refuses.store(true, ordering: .relaxed)
        let copy = bench.copy
        #expect(throws: Errno.EIO) { try copy.setUp(status, 0, 0, chunk) }
        #expect(bench.quota.usedCount == 0 && bench.window.usedChunkCount == 0)
    }

    @Test func noMoreDescriptorsThanTheGuestMayHave() throws {
        let vmm = StrictVMM()
        let directory = try TemporaryDirectory(prefix: "dax")
        let window = try DAXWindow(
            vmm, source: SameFiles(), DAXOptions(), DescriptorQuota(limit: 3), readOnly: false)
        let copy = Copy(window: window, path: directory.path + "/a")
        let file = OwnedDescriptor(
            adopting: try systemCall { open(directory.path + "/a", O_RDWR | O_CREAT, 0o644) })
        let other = OwnedDescriptor(
            adopting: try systemCall { open(directory.path + "/b", O_RDWR | O_CREAT, 0o644) })
        try copy.setUp(try FileStatus(of: file.rawValue), 0, 0, chunk)
        let status = try FileStatus(of: other.rawValue)
        #expect(throws: Errno.ENFILE) { try copy.setUp(status, 0, chunk, chunk) }
    }

    /// What is left of it shows what it showed: nothing is put over it.
    @Test func aPieceThatStaysInTheWayIsAnError() throws {
        let bench = try Bench()
        let status = try bench.make("a", chunk)
        try bench.setUp(status, "a", at: 0)
        bench.vmm.refusedUnmaps.withLock {
            $0 = [WindowPiece(offset: 0, byteCount: chunk, fileOffset: 0)]
        }
        bench.vmm.refusedMaps.withLock { $0 = [0] }
        try bench.remove(0)
        #expect(throws: Errno.EIO) { try bench.setUp(status, "a", at: 0) }
        #expect(bench.vmm.coveredByteCount == chunk && bench.window.usedChunkCount == 0)
        bench.vmm.refusedUnmaps.withLock { $0 = [] }
        bench.vmm.refusedMaps.withLock { $0 = [] }
        try bench.setUp(status, "a", at: 0)
        try bench.remove(0)
        #expect(bench.vmm.coveredByteCount == 0 && bench.vmm.faults == [])
    }

    // MARK: The guest's life

    @Test func destroyTakesEverythingAway() throws {
        let bench = try Bench()
        let status = try bench.make("a", 2 * chunk)
        try bench.setUp(status, "a", at: 0)
        try bench.setUp(status, "a", fileOffset: chunk, at: 6 * chunk)
        bench.window.removeAll()
        #expect(bench.vmm.coveredByteCount == 0 && bench.vmm.faults == [] && bench.quota.usedCount == 0)
    }

    /// After a reset a VMM may have kept its mappings (crosvm) or not (QEMU): the next INIT sees to it.
    @Test func whatAResetHasLeftGoesAtTheNextStart() throws {
        let bench = try Bench()
        try bench.setUp(try bench.make("a", chunk), "a", at: 0)
        bench.window.forgetAll()
        #expect(bench.vmm.coveredByteCount == chunk && bench.quota.usedCount == 0)
        bench.window.removeAll()
        #expect(bench.vmm.coveredByteCount == 0 && bench.vmm.faults == [])
    }
}
