// SPDX-License-Identifier: Apache-2.0
import CLinux

/// What the host's kernel tells of one object, or of several changes of it by one process.
package struct WatchEvent: Equatable, Sendable {
    package struct Changes: OptionSet, Sendable, Hashable {
        package let rawValue: UInt64
        package init(rawValue: UInt64) { self.rawValue = rawValue }
        private init(_ bit: Int) { rawValue = UInt64(bit) }

        package static let modified = Changes(VFS_CHANGE_MODIFIED)
        package static let attributes = Changes(VFS_CHANGE_ATTRIBUTES)
        package static let created = Changes(VFS_CHANGE_CREATED)
        package static let removed = Changes(VFS_CHANGE_REMOVED)
        package static let moved = Changes(VFS_CHANGE_MOVED)
        /// Before Linux 5.17, instead of `moved`: two events.
        package static let movedFrom = Changes(VFS_CHANGE_MOVED_FROM)
        package static let movedTo = Changes(VFS_CHANGE_MOVED_TO)
        /// It is about a directory.
        package static let ofDirectory = Changes(VFS_CHANGE_OF_DIRECTORY)
        /// Events before this one are lost.
        package static let lost = Changes(VFS_CHANGE_LOST)
    }

    /// A name and the directory that has it. "." is the directory itself.
    package struct Place: Equatable, Sendable {
        package var directory: FileHandle
        package var name: [UInt8]

        package init(_ directory: FileHandle, _ name: [UInt8]) {
            self.directory = directory
            self.name = name
        }
    }

    package var changes: Changes
    /// Who did it, as the watcher sees it; 0: it does not.
    package var process: Int32
    package var object: FileHandle?
    /// nil where the kernel came to the object by no name: its links have changed, or a server of files opened it by its handle.
    package var place: Place?
    /// Of `moved`.
    package var newPlace: Place?

    package init(
        _ changes: Changes, by process: Int32 = 0, object: FileHandle? = nil, at place: Place? = nil,
        to newPlace: Place? = nil
    ) {
        self.changes = changes
        self.process = process
        self.object = object
        self.place = place
        self.newPlace = newPlace
    }
}

/// An object of a host file system as fanotify and open_by_handle_at(2) name it: the file system's id (8 bytes) and a struct file_handle.
/// No other object ever has it.
package struct FileHandle: Hashable, Sendable {
    package let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Where the struct file_handle begins.
    package static let systemByteCount = 8

    /// 0 where there is no handle.
    package var fileSystem: UInt64 {
        guard bytes.count >= Self.systemByteCount else { return 0 }
        return (0..<Self.systemByteCount).reduce(0) { $0 | UInt64(bytes[$1]) << UInt64(8 * $1) }
    }
}

extension WatchEvent {
    /// Those in `bytes`, which read(2) of a group has given, at most `VFS_CHANGE_BYTES`. What makes no sense ends them with one that
    /// says that events are lost.
    package static func all(in bytes: UnsafeRawBufferPointer) -> [WatchEvent] {
        var result: [WatchEvent] = []
        var (offset, change) = (0, vfs_change())
        while offset < bytes.count {
            guard unsafe vfs_change_next(bytes.baseAddress, bytes.count, &offset, &change) == 1 else {
                result.append(WatchEvent(.lost))
                break
            }
            result.append(unsafe WatchEvent(change, bytes))
        }
        return result
    }

    private init(_ change: vfs_change, _ bytes: UnsafeRawBufferPointer) {
        func slice(_ part: vfs_bytes) -> [UInt8] {
            // SAFETY: `vfs_change_next` says where, and has checked that it lies in them.
            unsafe Array(bytes[Int(part.offset)..<Int(part.offset) + Int(part.length)])
        }
        func place(_ directory: vfs_bytes, _ name: vfs_bytes) -> Place? {
            directory.length == 0 ? nil : Place(FileHandle(slice(directory)), slice(name))
        }
        self.init(
            Changes(rawValue: change.mask), by: change.process,
            object: change.object.length == 0 ? nil : FileHandle(slice(change.object)),
            at: place(change.directory, change.name), to: place(change.new_directory, change.new_name))
    }
}
