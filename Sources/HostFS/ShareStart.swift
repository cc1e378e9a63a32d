// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// The steps of opening a share that can fail for reasons a person must hear.
struct ShareStart {
    private let options: ShareOptions
    private let path: String

    init(_ options: ShareOptions) {
        self.options = options
        path = String(decoding: options.sharedDirectory, as: UTF8.self)
    }

    private func failure(_ reason: String, hint: String = "") -> StartupError {
        StartupError(operation: "share", subject: path, reason: reason, hint: hint)
    }

    /// An O_PATH descriptor of the shared directory or regular file, whose type is checked before it is really opened.
    func openRoot() throws -> OwnedDescriptor {
        var name = options.sharedDirectory.map { CChar(bitPattern: $0) }
        name.append(0)
        let root: OwnedDescriptor
        do throws(Errno) {
            let number = try systemCall { unsafe open(name, O_PATH | O_CLOEXEC) }
            root = OwnedDescriptor(adopting: number)
        } catch {
            let hint = error == .ENOENT ? "make the directory first" : ""
            throw failure(describe(error), hint: hint)
        }
        let type = try status(of: root).type
        guard type == FileType.directory || type == FileType.regular else {
            throw failure(
                "neither a directory nor a regular file", hint: "give a directory with --shared-dir")
        }
        return root
    }

    func status(of root: borrowing OwnedDescriptor) throws -> FileStatus {
        do throws(Errno) {
            return try FileStatus(of: root.rawValue)
        } catch {
            throw failure(describe(error))
        }
    }

    /// The shared directory opened for reading, which is also what file handles of its mount are opened by.
    func openReadable(
        _ root: borrowing OwnedDescriptor, _ process: borrowing OwnProcess
    ) throws -> OwnedDescriptor {
        do throws(Errno) {
            let name = ProcessDescriptorName()
            return try unsafe openAgain(
                process.descriptors.rawValue, name.of(root.rawValue), flags: O_RDONLY)
        } catch {
            let hint = error == .EACCES ? "run as a user who may read it" : ""
            throw failure(describe(error), hint: hint)
        }
    }

    /// Whether the file system is one that finds what a handle leads to in the kernel's table of inodes, if it is in use.
    func findsHandlesInMemory(_ root: borrowing OwnedDescriptor) -> Bool {
        guard let type = try? fileSystemStatus(of: root.rawValue).f_type else { return false }
        // TMPFS_MAGIC, EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC
        return [0x0102_1994, 0xef53, 0x5846_5342, 0x9123_683e].contains(UInt32(truncatingIfNeeded: type))
    }

    /// Whether file handles work here: the file system has them and birth times, and we may open them.
    func probeFileHandles(
        _ root: borrowing OwnedDescriptor, mount: borrowing OwnedDescriptor, _ status: FileStatus
    ) throws -> Bool {
        if options.inodeFileHandles == .never { return false }
        let reason: String
        do throws(Errno) {
            let handle = FileHandleBuffer()
            _ = try handle.load(of: root.rawValue)
            _ = try unsafe openHandle(mount.rawValue, handle.address, flags: O_PATH)
            if status.hasBirthTime { return true }
            reason = "the file system tells no birth times"
        } catch {
            reason = describe(error)
        }
        guard options.inodeFileHandles == .mandatory else {
            Log.info("no file handles for \(path), a descriptor for each inode instead: \(reason)")
            return false
        }
        throw StartupError(
            operation: "use file handles for", subject: path, reason: reason,
            hint: "they need CAP_DAC_READ_SEARCH; or leave out --inode-file-handles=mandatory")
    }
}
