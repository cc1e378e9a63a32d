// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import Glibc
import HostFS
import HostOS

/// A DAX window as a VMM has it that believes nothing: pieces in bounds that do not overlap, and to take away exactly what it shows.
///
/// It may be told to refuse. What it has refused to take away stays in the way until it is asked again; it is no fault of the file system to
/// ask for that place.
final class FuzzWindow: FileWindow, MappableSource, @unchecked Sendable {
    // SAFETY: @unchecked because one thread has it, that of the target.
    let byteCount = 8 << 20
    let isUsable = true

    private struct Shown {
        let key: FileKey
        let piece: WindowPiece
        var wasToGo = false
    }
    private struct Announced {
        let size: UInt64
        let changeTime: [Int64]
        let end: Int64
    }
    private var shown: [UInt64: Shown] = [:]
    private var announced: [FileKey: Announced] = [:]
    private var protected: Set<FileKey> = []
    private var complaint: String?
    /// Which of the next eight calls of each kind are refused, the lowest bit first.
    private var (refusedMaps, refusedUnmaps): (UInt8, UInt8) = (0, 0)

    /// What is announced counts half a second; less, for the time that passes here.
    private static let patience: Int64 = 400_000_000

    // MARK: For the target

    /// Another input, whatever was wrong with the last one.
    func begin() {
        (shown, announced, protected, complaint) = ([:], [:], [], nil)
        refuse(maps: 0, unmaps: 0)
    }

    func refuse(maps: UInt8, unmaps: UInt8) { (refusedMaps, refusedUnmaps) = (maps, unmaps) }

    /// `file` is about to be made `size` bytes long.
    func announce(_ file: Int32, _ size: UInt64, to window: DAXWindow) throws {
        let status = try FileStatus(of: file)
        let key = FileKey(status)
        announced[key] = Announced(
            size: size, changeTime: Self.changeTime(status), end: monotonicNanoseconds() + Self.patience)
        window.cut(key, to: size)
        let end = (size + 4095) & ~4095
        for one in shown.values where one.key == key && !one.wasToGo {
            try demand(
                one.piece.fileOffset + one.piece.byteCount <= end,
                "\(one.piece) shows what a file of \(size) bytes has not")
        }
    }

    func check() throws(Broken) { try demand(complaint == nil, complaint ?? "") }

    /// After the guest's DESTROY, with nothing refused.
    func checkEnd() throws(Broken) {
        try check()
        try demand(shown.isEmpty, "\(shown.values.map(\.piece)) outlive their guest")
        try demand(protected.isEmpty, "\(protected.count) files are protected for nobody")
    }

    // MARK: FileWindow

    func map(_ file: Int32, _ piece: WindowPiece, writable: Bool) throws(Errno) {
        let status = try FileStatus(of: file)
        let key = FileKey(status)
        let (page, whole) = (UInt64(4096), UInt64(byteCount))
        if piece.byteCount == 0 || piece.byteCount > whole || piece.offset > whole - piece.byteCount
            || (piece.offset | piece.byteCount | piece.fileOffset) % page != 0
            || piece.fileOffset > UInt64(Int64.max) - piece.byteCount
        {
            complain("\(piece) is out of bounds")
        }
        if vfs_fcntl_int(file, F_GETFL, 0) & O_ACCMODE != O_RDWR || !writable {
            complain("\(piece) cannot be written")
        }
        if Self.takeBit(&refusedMaps) { throw .EIO }
        for other in shown.values
        where piece.offset < other.piece.offset + other.piece.byteCount
            && other.piece.offset < piece.offset + piece.byteCount
        {
            if !other.wasToGo { complain("\(piece) overlaps \(other.piece)") }
            throw .EIO
        }
        if let cut = announced[key], monotonicNanoseconds() < cut.end {
            let hasChanged = Self.changeTime(status) != cut.changeTime
            let size = hasChanged ? max(cut.size, status.raw.stx_size) : cut.size
            if piece.fileOffset + piece.byteCount > (size + page - 1) / page * page {
                complain("\(piece) shows more than the \(size) bytes that were announced")
            }
        }
        shown[piece.offset] = Shown(key: key, piece: piece)
    }

    func unmap(_ piece: WindowPiece) throws(Errno) {
        guard let one = shown[piece.offset], one.piece == piece else {
            return complain("there is no \(piece)")
        }
        if Self.takeBit(&refusedUnmaps), !one.wasToGo {
            shown[piece.offset]?.wasToGo = true
            throw .EIO
        }
        shown[piece.offset] = nil
    }

    // MARK: MappableSource

    func open(_ file: Int32) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(adopting: try systemCall { vfs_fcntl_int(file, F_DUPFD_CLOEXEC, 0) })
    }

    func protect(_ file: Int32) {
        guard let status = try? FileStatus(of: file) else { return complain("a file has no status") }
        if !protected.insert(FileKey(status)).inserted { complain("a file is protected twice") }
    }

    func unprotect(_ file: Int32) {
        guard let status = try? FileStatus(of: file) else { return complain("a file has no status") }
        if protected.remove(FileKey(status)) == nil { complain("a file was not protected") }
    }

    private func complain(_ text: String) { complaint = complaint ?? text }

    private static func changeTime(_ status: FileStatus) -> [Int64] {
        [status.raw.stx_ctime.tv_sec, Int64(status.raw.stx_ctime.tv_nsec)]
    }

    private static func takeBit(_ bits: inout UInt8) -> Bool {
        defer { bits >>= 1 }
        return bits & 1 != 0
    }
}

/// What happens beside the guest of a share with a window: a RequestRecord with a number that no operation of FUSE has.
enum Beside: UInt8 {
    /// The VMM refuses what the bits of `extra` (maps) and of `node` (unmaps) say.
    case refusal = 254
    /// A file of the host's choice is announced to become 1024 × `extra` bytes long, and becomes so unless the lowest bit of `node` is
    /// set; the others choose the file.
    case cut

    static let names = ["a", "s", "new", "h"]
    /// Each takes some time.
    static let mostCuts = 3
}
