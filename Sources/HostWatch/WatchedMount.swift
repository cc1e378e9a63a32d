// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Glibc
import HostOS

/// A mount whose file system is watched, and through which what is on it is opened by handle.
final class WatchedMount {
    /// Of its root, or of the shared directory. No O_PATH: open_by_handle_at(2) wants a real one.
    let descriptor: OwnedDescriptor
    let path: [UInt8]
    /// As in `FileHandle.fileSystem`.
    let fileSystem: UInt64

    init(_ descriptor: consuming OwnedDescriptor, at path: [UInt8]) throws(Errno) {
        let number = descriptor.rawValue
        var id: UInt64 = 0
        _ = try systemCall { unsafe vfs_file_system_id(number, &id) }
        self.descriptor = descriptor
        self.path = path
        fileSystem = id
    }

    /// O_PATH, for the caller to close; nil where there is no such object any more.
    func open(_ handle: FileHandle) -> Int32? {
        var bytes = handle.bytes
        guard bytes.count >= FileHandle.systemByteCount + Self.headerByteCount else { return nil }
        let number = descriptor.rawValue
        return try? systemCall {
            // SAFETY: behind the file system's id is a struct file_handle, whose length the events' parser has checked.
            unsafe bytes.withUnsafeMutableBytes { bytes in
                unsafe vfs_open_handle(
                    number, bytes.baseAddress.map { unsafe $0 + FileHandle.systemByteCount },
                    O_PATH | O_CLOEXEC)
            }
        }
    }

    /// Of what the descriptor is open for, as events have it.
    func handle() throws(Errno) -> FileHandle {
        let number = descriptor.rawValue
        let room = Int(MAX_HANDLE_SZ)
        var bytes = [UInt8](repeating: 0, count: FileHandle.systemByteCount + Self.headerByteCount + room)
        var mount: Int32 = 0
        Self.put(fileSystem, into: &bytes, at: 0)
        Self.put(UInt32(room), into: &bytes, at: FileHandle.systemByteCount)
        _ = try systemCall {
            // SAFETY: a struct file_handle with room for what its length says.
            unsafe bytes.withUnsafeMutableBytes { bytes in
                unsafe vfs_fd_to_handle(
                    number, bytes.baseAddress.map { unsafe $0 + FileHandle.systemByteCount }, &mount)
            }
        }
        let length = (0..<4).reduce(0) { $0 | Int(bytes[FileHandle.systemByteCount + $1]) << (8 * $1) }
        return FileHandle(Array(bytes.prefix(FileHandle.systemByteCount + Self.headerByteCount + length)))
    }

    /// Of struct file_handle: length and type.
    private static let headerByteCount = 8

    private static func put<T: FixedWidthInteger>(_ value: T, into bytes: inout [UInt8], at offset: Int) {
        for index in 0..<MemoryLayout<T>.size {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> T(8 * index))
        }
    }
}

/// Opens what `descriptor`, O_PATH, is open for once more, for reading.
func openReadable(_ descriptor: Int32) throws(Errno) -> OwnedDescriptor {
    let name = "/proc/self/fd/\(descriptor)"
    let flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC
    return OwnedDescriptor(adopting: try systemCall { unsafe open(name, flags) })
}

/// The path of what `descriptor` is open for.
func linkTarget(_ descriptor: Int32) throws(Errno) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let name = "/proc/self/fd/\(descriptor)"
    let count = try systemCall { unsafe readlink(name, &buffer, buffer.count) }
    return Array(buffer[..<count])
}
