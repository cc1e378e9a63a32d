// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import Synchronization
import StateArena
import Testing

@testable import HostFS

/// A VMM as QEMU 11.1: no overlap, and what is taken away must be exactly what was put there.
private final class StrictVMM: FileWindow {
    let byteCount = 16 << 20
    let isUsable = true
    /// By offset: which file (device and inode), and what of it.
    private let pieces = Mutex<[UInt64: (file: UInt64, piece: WindowPiece)]>([:])
    private let complaints = Mutex<[String]>([])
    let refuses = Atomic<Bool>(false)
    /// Nothing is shown at these offsets, and nothing taken away from those.
    let refusedMaps = Mutex<Set<UInt64>>([])
    let refusedUnmaps = Mutex<Set<WindowPiece>>([])

    func map(_ file: Int32, _ piece: WindowPiece, writable: Bool) throws(Errno) {
        if refuses.load(ordering: .relaxed) || refusedMaps.withLock({ $0.contains(piece.offset) }) {
            throw .EIO
        }
        let number = try FileStatus(of: file).raw.stx_ino
        pieces.withLock { pieces in
            for other in pieces.values
            where piece.offset < other.piece.offset + other.piece.byteCount
                && other.piece.offset < piece.offset + piece.byteCount
            { complaints.withLock { $0.append("overlap at \(piece.offset)") } }
            if piece.offset % 4096 != 0 || piece.byteCount % 4096 != 0 || piece.fileOffset % 4096 != 0
                || piece.byteCount == 0
            {
                complaints.withLock { $0.append("misaligned \(piece)") }
            }
            pieces[piece.offset] = (number, piece)
        }
    }

    func unmap(_ piece: WindowPiece) throws(Errno) {
        if refusedUnmaps.withLock({ $0.contains(piece) }) { throw .EIO }
        let wasThere = pieces.withLock { pieces in
            guard pieces[piece.offset]?.piece.byteCount == piece.byteCount else { return false }
            pieces[piece.offset] = nil
            return true
        }
        if !wasThere { complaints.withLock { $0.append("nothing at \(piece.offset)+\(piece.byteCount)") } }
    }

    /// How many bytes from `offset` of the chunk at `windowOffset` show the file of inode `number`.
    func shown(at windowOffset: UInt64, of number: UInt64) -> UInt64 {
        pieces.withLock { pieces in
            guard let entry = pieces[windowOffset], entry.file == number else { return 0 }
            return entry.piece.byteCount
        }
    }
    var coveredByteCount: UInt64 { pieces.withLock { $0.values.reduce(0) { $0 + $1.piece.byteCount } } }
    var faults: [String] { complaints.withLock { $0 } }
}

/// As if the files were endless.
private final class SameFiles: MappableSource {
    let protected = Mutex<Int>(0)
    func open(_ file: Int32) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(adopting: try systemCall { fcntl(file, F_DUPFD_CLOEXEC, 0) })
    }
    func protect(_ file: Int32) { protected.withLock { $0 += 1 } }
    func unprotect(_ file: Int32) { protected.withLock { $0 -= 1 } }
}

private let chunk = DAXWindow.chunkByteCount

private final class Bench {
    let vmm = StrictVMM()
    let source = SameFiles()
    let window: DAXWindow
    let directory: TemporaryDirectory
    let quota = DescriptorQuota(limit: 100)

    init(endless: Bool = true, readOnly: Bool = false) throws {
        directory = try TemporaryDirectory(prefix: "dax")
        window = try DAXWindow(
            vmm, source: endless ? source : nil, DAXOptions(), quota, readOnly: readOnly)
    }

    func make(_ name: String, _ byteCount: UInt64) throws -> FileStatus {
        let file = OwnedDescriptor(
            adopting: try systemCall { open(directory.path + "/" + name, O_RDWR | O_CREAT, 0o644) })
        _ = try systemCall { ftruncate(file.rawValue, Int(byteCount)) }
        return try FileStatus(of: file.rawValue)
    }

    func setUp(
        _ status: FileStatus, _ name: String, fileOffset: UInt64 = 0, at windowOffset: UInt64,
        length: UInt64 = chunk
    ) throws(Errno) {
        var arguments = SetupMappingIn()
        (arguments.fileOffset, arguments.windowOffset, arguments.length) = (fileOffset, windowOffset, length)
        let path = directory.path + "/" + name
        try window.setUp(status, arguments, writable: true) { () throws(Errno) in
            OwnedDescriptor(adopting: try systemCall { open(path, O_RDWR | O_CLOEXEC) })
        }
    }

    func remove(_ windowOffset: UInt64, _ length: UInt64 = chunk) throws(Errno) {
        var entry = RemoveMappingOne()
        (entry.windowOffset, entry.length) = (windowOffset, length)
        try window.remove(entry)
    }

    func truncate(_ name: String, _ size: Int) throws {
        try systemCall { Glibc.truncate(directory.path + "/" + name, size) }
    }
}

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

    // MARK: Files that become shorter

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
        bench.window.tell(status)
        #expect(bench.vmm.shown(at: 2 * chunk, of: number) == 0)
        try bench.truncate("a", Int(chunk) + 5000)
        try bench.truncate("a", 2 * Int(chunk) + 1)
        let longer = try bench.make("a", 2 * chunk + 1)
        bench.window.tell(longer)
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

    /// Its owner was not allowed to, or has changed his mind: nobody tells, so somebody looks.
    @Test func whatHasNotBecomeShorterComesBack() throws {
        let bench = try Bench()
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

/// What a closure of #expect can have.
private struct Copy {
    let window: DAXWindow
    let path: String

    func setUp(
        _ status: FileStatus, _ fileOffset: UInt64, _ windowOffset: UInt64, _ length: UInt64
    ) throws(Errno) {
        var arguments = SetupMappingIn()
        (arguments.fileOffset, arguments.windowOffset, arguments.length) = (fileOffset, windowOffset, length)
        let path = path
        try window.setUp(status, arguments, writable: true) { () throws(Errno) in
            OwnedDescriptor(adopting: try systemCall { open(path, O_RDWR | O_CLOEXEC) })
        }
    }
}

extension Bench {
    fileprivate var copy: Copy { Copy(window: window, path: directory.path + "/a") }
}

@Suite struct DAXGrantsTests {
    private func status(_ size: Int, mode: mode_t = 0o644) throws -> FileStatus {
        let directory = try TemporaryDirectory(prefix: "dax")
        let file = OwnedDescriptor(
            adopting: try systemCall { open(directory.path + "/f", O_RDWR | O_CREAT, 0o600) })
        _ = try systemCall { fchmod(file.rawValue, mode) }
        _ = try systemCall { ftruncate(file.rawValue, size) }
        return try FileStatus(of: file.rawValue)
    }

    @Test func whatFitsTogether() throws {
        var options = DAXOptions()
        options.minimumByteCount = 1
        let grants = DAXGrants(chunks: 4, options, anySize: true)
        let (large, small, larger) = (
            try status(3 << 21), try status(40000), try status((4 << 21) + 1)
        )
        #expect(!grants.takes(larger, readOnly: false))
        #expect(grants.takes(large, readOnly: false))
        #expect(grants.takes(small, readOnly: false))
        let third = try status(40000)
        #expect(!grants.takes(third, readOnly: false))
        #expect(grants.takes(large, readOnly: false))
        grants.remove(Identity(large))
        #expect(grants.takes(third, readOnly: false))
        grants.removeAll()
        #expect(grants.takes(large, readOnly: false))
    }

    @Test func notPrograms() throws {
        let grants = DAXGrants(chunks: 100, DAXOptions(), anySize: true)
        #expect(!grants.takes(try status(1 << 20, mode: 0o755), readOnly: false))
        #expect(!grants.takes(try status(1 << 20, mode: 0o601), readOnly: false))
        #expect(!grants.takes(try status((1 << 20) - 1), readOnly: false))
        #expect(grants.takes(try status(1 << 20), readOnly: false))
        #expect(!grants.takes(try status(1 << 20), readOnly: true))
        var options = DAXOptions()
        (options.mapsReadOnly, options.minimumByteCount) = (true, 1)
        let other = DAXGrants(chunks: 100, options, anySize: false)
        #expect(!other.takes(try status(0), readOnly: true))
        #expect(!other.takes(try status(4096), readOnly: true))
        #expect(other.takes(try status(1 << 21), readOnly: true))
    }
}
