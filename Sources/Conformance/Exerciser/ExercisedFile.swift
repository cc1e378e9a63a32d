// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// A file on which operations are done: the one under test, and the local one beside it.
@safe final class ExercisedFile {
    let directory: String
    private(set) var name: String
    /// What the last operation read.
    let bytes: Mapping
    private let limit: Int
    private var descriptor: OwnedDescriptor
    private var held: Mapping?
    private var hasName = true

    var path: String { "\(directory)/\(name)" }

    /// Opens `name`, made if there is none; `limit` is the size that it never exceeds.
    init(directory: String, name: String, limit: Int) throws(Errno) {
        self.directory = directory
        self.name = name
        self.limit = limit
        bytes = try Mapping(anonymous: limit)
        descriptor = try Self.open("\(directory)/\(name)", O_RDWR | O_CREAT)
    }

    private static func open(_ path: String, _ flags: Int32) throws(Errno) -> OwnedDescriptor {
        let number = try systemCall { () -> Int32 in unsafe Glibc.open(path, flags | O_CLOEXEC, 0o644) }
        return OwnedDescriptor(adopting: number)
    }

    /// Once more, with other flags; also a file that has no name any more.
    private func openAgain(_ flags: Int32) throws(Errno) -> OwnedDescriptor {
        try Self.open(hasName ? path : "/proc/self/fd/\(descriptor.rawValue)", flags)
    }

    /// Does one operation; `data` is what it writes. Returns what the call returned, where that means something.
    func perform(_ operation: FileOperation, data: UnsafeRawPointer) throws(Errno) -> Int {
        let file = descriptor.rawValue
        let offset = operation.offset
        let count = operation.count
        switch operation.kind {
        case .read:
            _ = try systemCall { lseek(file, offset, SEEK_SET) }
            return try systemCall { unsafe Glibc.read(file, bytes.base, count) }
        case .pread: return try systemCall { unsafe Glibc.pread(file, bytes.base, count, offset) }
        case .write:
            _ = try systemCall { lseek(file, offset, SEEK_SET) }
            return try systemCall { unsafe Glibc.write(file, data, count) }
        case .pwrite: return try systemCall { unsafe Glibc.pwrite(file, data, count, offset) }
        case .append:
            let appending = try openAgain(O_WRONLY | O_APPEND)
            return try systemCall { unsafe Glibc.write(appending.rawValue, data, count) }
        case .truncate: return Int(try systemCall { ftruncate(file, offset) })
        case .allocate, .allocateKeepingSize, .punchHole, .zeroRange:
            if count == 0 { return 0 }
            return Int(try systemCall { fallocate(file, operation.kind.allocationMode, offset, count) })
        case .mapRead, .mapWrite, .mapWriteSynchronously, .heldMapRead, .heldMapWrite:
            return try unsafe performMapped(operation, data)
        case .copyRange: return try copy(operation)
        case .directRead, .directWrite: return try unsafe performDirectly(operation, data)
        case .synchronize: return Int(try systemCall { fsync(file) })
        case .synchronizeData: return Int(try systemCall { fdatasync(file) })
        case .status: return try status().st_size
        case .links: return Int(try status().st_nlink)
        case .holes: return 0
        case .reopen, .rename, .unlink, .replace:
            try changeName(operation.kind)
            return 0
        }
    }

    private func status() throws(Errno) -> stat {
        var status = stat()
        let file = descriptor.rawValue
        _ = try systemCall { unsafe fstat(file, &status) }
        return status
    }

    /// Through a mapping that is made for it, or through one of the whole file that stays while the file is open.
    private func performMapped(_ operation: FileOperation, _ data: UnsafeRawPointer) throws(Errno) -> Int {
        let count = operation.count
        if count == 0 { return 0 }
        let file = descriptor.rawValue
        let first = operation.offset / OperationPlan.pageByteCount * OperationPlan.pageByteCount
        let length = operation.offset + count - first
        switch operation.kind {
        case .heldMapRead, .heldMapWrite:
            if held == nil { held = try Mapping(sharing: file, offset: 0, byteCount: limit) }
            guard let base = unsafe held?.base else { return 0 }
            if operation.kind == .heldMapRead {
                unsafe memcpy(bytes.base, base + operation.offset, count)
            } else {
                unsafe memcpy(base + operation.offset, data, count)
            }
        case .mapRead:
            let map = try Mapping(sharing: file, offset: first, byteCount: length, readOnly: true)
            unsafe memcpy(bytes.base, map.base + (operation.offset - first), count)
        default:
            let map = try Mapping(sharing: file, offset: first, byteCount: length)
            unsafe memcpy(map.base + (operation.offset - first), data, count)
            if operation.kind == .mapWriteSynchronously {
                _ = try systemCall { unsafe msync(map.base, length, MS_SYNC) }
            }
        }
        return count
    }

    private func performDirectly(_ operation: FileOperation, _ data: UnsafeRawPointer) throws(Errno) -> Int {
        let direct = try openAgain(O_RDWR | O_DIRECT)
        let number = direct.rawValue
        let (count, offset) = (operation.count, operation.offset)
        if operation.kind == .directRead {
            return try systemCall { unsafe pread(number, bytes.base, count, offset) }
        }
        unsafe memcpy(bytes.base, data, count)  // aligned
        return try systemCall { unsafe pwrite(number, bytes.base, count, offset) }
    }

    /// copy_file_range(2) may do less than it is asked for.
    private func copy(_ operation: FileOperation) throws(Errno) -> Int {
        var (from, to) = (operation.offset, operation.other)
        let file = descriptor.rawValue
        var done = 0
        while done < operation.count {
            let rest = operation.count - done
            let count = try systemCall { unsafe copy_file_range(file, &from, file, &to, rest, 0) }
            if count == 0 { break }
            done += count
        }
        return done
    }

    private func changeName(_ kind: FileOperation.Kind) throws(Errno) {
        let old = path
        switch kind {
        case .reopen:
            held = nil
            descriptor = try Self.open(old, O_RDWR)
        case .rename:
            name = name.hasSuffix(".renamed") ? String(name.dropLast(8)) : "\(name).renamed"
            let new = path
            _ = try systemCall { unsafe Glibc.rename(old, new) }
        case .replace:
            _ = try Self.open("\(old).other", O_WRONLY | O_CREAT | O_EXCL)
            _ = try systemCall { unsafe Glibc.rename("\(old).other", old) }
            hasName = false
        default:
            _ = try systemCall { unsafe Glibc.unlink(old) }
            hasName = false
        }
    }

    /// A file without a name gets a successor of `size` bytes at `data`.
    func recreate(_ data: UnsafeRawPointer, size: Int) throws(Errno) {
        held = nil
        _ = unsafe Glibc.unlink(path)  // there is one after `replace`
        descriptor = try Self.open(path, O_RDWR | O_CREAT | O_EXCL)
        hasName = true
        let file = descriptor.rawValue
        let written = try systemCall { unsafe Glibc.pwrite(file, data, size, 0) }
        if written != size { throw .EIO }
    }

    /// Where the next data and the next hole from `offset` are; `data` is nil where there is none.
    func holes(from offset: Int) throws(Errno) -> (data: Int?, hole: Int) {
        let file = descriptor.rawValue
        // What was written through a mapping may be unknown to a remote file system until then.
        _ = try systemCall { fsync(file) }
        var data: Int?
        do throws(Errno) { data = try systemCall { lseek(file, offset, SEEK_DATA) } } catch {
            if error != .ENXIO { throw error }
        }
        return (data, try systemCall { lseek(file, offset, SEEK_HOLE) })
    }

    /// Removes what has its name, which after `replace` is another file.
    func remove() { _ = unsafe Glibc.unlink(path) }

    /// Writes `size` bytes at `contents` to `path`.
    static func save(_ contents: UnsafeRawPointer, size: Int, to path: String) {
        guard let file = try? open(path, O_WRONLY | O_CREAT | O_TRUNC) else { return }
        _ = unsafe Glibc.pwrite(file.rawValue, contents, size, 0)
    }
}

extension FileOperation.Kind {
    fileprivate var allocationMode: Int32 {
        switch self {
        case .allocateKeepingSize: FALLOC_FL_KEEP_SIZE
        case .punchHole: FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
        case .zeroRange: FALLOC_FL_ZERO_RANGE
        default: 0
        }
    }
}
