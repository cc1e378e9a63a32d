// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import Synchronization

@testable import HostFS

/// A VMM as QEMU 11.1: no overlap, and what is taken away must be exactly what was put there.
final class StrictVMM: FileWindow {
    let byteCount: Int
    let isUsable = true
    /// By offset: which file (device and inode), and what of it.
    private let pieces = Mutex<[UInt64: (file: UInt64, piece: WindowPiece)]>([:])
    private let complaints = Mutex<[String]>([])
    private let most = Atomic<Int>(0)
    let refuses = Atomic<Bool>(false)
    /// Nothing is shown at these offsets, and nothing taken away from those.
    let refusedMaps = Mutex<Set<UInt64>>([])
    let refusedUnmaps = Mutex<Set<WindowPiece>>([])
    /// What happens on the host while something is mapped.
    let whileMapping = Mutex<@Sendable () -> Void>({})

    init(byteCount: Int = 16 << 20) { self.byteCount = byteCount }

    func map(_ file: Int32, _ piece: WindowPiece, writable: Bool) throws(Errno) {
        if refuses.load(ordering: .relaxed) || refusedMaps.withLock({ $0.contains(piece.offset) }) {
            throw .EIO
        }
        whileMapping.withLock { $0() }
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
            most.max(pieces.count, ordering: .relaxed)
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
    var pieceCount: Int { pieces.withLock { $0.count } }
    /// The most pieces that were there at a time.
    var mostPieceCount: Int { most.load(ordering: .relaxed) }
    var faults: [String] { complaints.withLock { $0 } }
}

/// As if the files were endless.
final class SameFiles: MappableSource {
    let protected = Mutex<Int>(0)
    func open(_ file: Int32) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(adopting: try systemCall { fcntl(file, F_DUPFD_CLOEXEC, 0) })
    }
    func protect(_ file: Int32) { protected.withLock { $0 += 1 } }
    func unprotect(_ file: Int32) { protected.withLock { $0 -= 1 } }
}

let chunk = DAXWindow.chunkByteCount

final class Bench {
    let vmm: StrictVMM
    let source = SameFiles()
    let window: DAXWindow
    let directory: TemporaryDirectory
    let quota = DescriptorQuota(limit: 600)

    /// - Parameter settlingTime: in nanoseconds; by itself so long that no machine is too slow for a test.
    init(
        endless: Bool = true, readOnly: Bool = false, settlingTime: Int64 = 600_000_000_000,
        byteCount: Int = 16 << 20, changes: WriterPool? = nil
    ) throws {
        vmm = StrictVMM(byteCount: byteCount)
        directory = try TemporaryDirectory(prefix: "dax")
        window = try DAXWindow(
            vmm, source: endless ? source : nil, DAXOptions(), quota, readOnly: readOnly, changes: changes,
            settlingTime: settlingTime)
    }

    /// A file of that size, of which the guest is told.
    func make(_ name: String, _ byteCount: UInt64) throws -> FileStatus {
        let status = try resize(name, byteCount)
        window.note(status)
        return status
    }

    /// The guest is not told.
    @discardableResult
    func resize(_ name: String, _ byteCount: UInt64) throws -> FileStatus {
        let file = try open(name)
        _ = try systemCall { ftruncate(file.rawValue, Int(byteCount)) }
        return try FileStatus(of: file.rawValue)
    }

    func open(_ name: String) throws -> OwnedDescriptor {
        OwnedDescriptor(
            adopting: try systemCall { Glibc.open(directory.path + "/" + name, O_RDWR | O_CREAT, 0o644) })
    }

    func setUp(
        _ status: FileStatus, _ name: String, fileOffset: UInt64 = 0, at windowOffset: UInt64,
        length: UInt64 = chunk, writes: Bool = false
    ) throws(Errno) {
        var arguments = SetupMappingIn()
        if writes { arguments.flags = SetupMappingIn.write }
        (arguments.fileOffset, arguments.windowOffset, arguments.length) = (fileOffset, windowOffset, length)
        let path = directory.path + "/" + name
        try window.setUp(status, arguments, writable: true) { () throws(Errno) in
            OwnedDescriptor(adopting: try systemCall { Glibc.open(path, O_RDWR | O_CLOEXEC) })
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

/// What a closure of #expect can have.
struct Copy {
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
    var copy: Copy { Copy(window: window, path: directory.path + "/a") }
}
