// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

// Calls on one name in a directory. `directory` may be an O_PATH descriptor. The name must be a single component: none of
// these follows a symbolic link in the last place, and nothing else keeps a path inside the directory.

public func makeDirectory(_ directory: Int32, _ name: UnsafePointer<CChar>, mode: UInt32) throws(Errno) {
    _ = try systemCall { unsafe mkdirat(directory, name, mode) }
}

/// Makes a regular file, FIFO, socket or device node; `device` is encoded as the kernel's 32-bit dev_t.
public func makeNode(
    _ directory: Int32, _ name: UnsafePointer<CChar>, mode: UInt32, device: UInt32
) throws(Errno) {
    _ = try systemCall { unsafe mknodat(directory, name, mode, dev_t(device)) }
}

public func makeSymbolicLink(
    _ directory: Int32, _ name: UnsafePointer<CChar>, target: UnsafePointer<CChar>
) throws(Errno) {
    _ = try systemCall { unsafe symlinkat(target, directory, name) }
}

/// Gives the object behind `path` (/proc/self/fd/N, which is followed) another name.
public func makeLink(
    to path: UnsafePointer<CChar>, in directory: Int32, _ name: UnsafePointer<CChar>
) throws(Errno) {
    _ = try systemCall { unsafe linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW) }
}

public func removeName(
    _ directory: Int32, _ name: UnsafePointer<CChar>, ofDirectory: Bool = false
) throws(Errno) {
    _ = try systemCall { unsafe unlinkat(directory, name, ofDirectory ? AT_REMOVEDIR : 0) }
}

/// `flags` are RENAME_*.
public func renameName(
    _ directory: Int32, _ name: UnsafePointer<CChar>, to newDirectory: Int32, _ newName: UnsafePointer<CChar>,
    flags: UInt32
) throws(Errno) {
    _ = try systemCall { unsafe vfs_renameat2(directory, name, newDirectory, newName, flags) }
}

/// Reads the target of the symbolic link that `descriptor` (O_PATH) is. Returns its length; a longer one is cut.
public func readSymbolicLink(
    _ descriptor: Int32, into target: UnsafeMutableRawBufferPointer
) throws(Errno) -> Int {
    guard let base = target.baseAddress else { throw .EINVAL }
    return try systemCall {
        unsafe readlinkat(descriptor, "", base.assumingMemoryBound(to: CChar.self), target.count)
    }
}

/// Sets the permission bits of the object behind `path` (/proc/self/fd/N, which is followed).
public func setMode(_ path: UnsafePointer<CChar>, to mode: UInt32) throws(Errno) {
    _ = try systemCall { unsafe chmod(path, mode) }
}
