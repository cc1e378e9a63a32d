// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

// The ways to get a descriptor of an object of a share. None of them follows a symbolic link that the share contains.

/// Opens `name`, a single component, in `directory`: confined to it whatever the name turns out to be. Close-on-exec.
public func openBeneath(
    _ directory: Int32, _ name: UnsafePointer<CChar>, flags: Int32, mode: UInt32 = 0
) throws(Errno) -> OwnedDescriptor {
    // openat2(2) refuses what means nothing for O_PATH.
    let terminal = flags & O_PATH == 0 ? O_NOCTTY : 0
    let bits = UInt64(UInt32(bitPattern: flags | O_CLOEXEC | O_NOFOLLOW | terminal))
    let resolve = UInt64(RESOLVE_BENEATH) | UInt64(RESOLVE_NO_SYMLINKS) | UInt64(RESOLVE_NO_MAGICLINKS)
    return OwnedDescriptor(
        adopting: try systemCall { unsafe vfs_openat2(directory, name, bits, UInt64(mode), resolve) })
}

/// Opens the object behind a name of /proc/self/fd once more, with other flags. Close-on-exec.
public func openAgain(
    _ processDescriptors: Int32, _ name: UnsafePointer<CChar>, flags: Int32
) throws(Errno) -> OwnedDescriptor {
    OwnedDescriptor(
        adopting: try systemCall {
            unsafe openat(processDescriptors, name, flags & ~O_NOFOLLOW | O_CLOEXEC | O_NOCTTY)
        })
}

/// Opens by file handle (`struct file_handle` at `handle`); needs CAP_DAC_READ_SEARCH. Close-on-exec.
public func openHandle(
    _ mount: Int32, _ handle: UnsafeMutableRawPointer, flags: Int32
) throws(Errno) -> OwnedDescriptor {
    OwnedDescriptor(
        adopting: try systemCall { unsafe vfs_open_handle(mount, handle, flags | O_CLOEXEC | O_NOCTTY) })
}

/// Room for one `struct file_handle` of any size, to be filled by the calls below.
@safe public final class FileHandleBuffer {
    private static let maximumByteCount = 128  // MAX_HANDLE_SZ
    private let base = UnsafeMutableRawPointer.allocate(byteCount: 8 + maximumByteCount, alignment: 8)

    public init() {}
    deinit { unsafe base.deallocate() }

    /// The `struct file_handle`.
    public var address: UnsafeMutableRawPointer { unsafe base }
    /// Of the opaque part; 0 when there is none.
    public var byteCount: Int { Int(unsafe base.load(as: UInt32.self)) }

    /// The handle of a name, and the id of its mount. Fails with EOPNOTSUPP where the file system has none.
    public func load(_ directory: Int32, _ name: UnsafePointer<CChar>) throws(Errno) -> UInt32 {
        var mount: Int32 = 0
        unsafe base.storeBytes(of: UInt32(Self.maximumByteCount), as: UInt32.self)
        _ = try systemCall { unsafe vfs_name_to_handle(directory, name, base, &mount, 0) }
        return UInt32(bitPattern: mount)
    }

    /// The handle of the object behind `descriptor`.
    public func load(of descriptor: Int32) throws(Errno) -> UInt32 {
        var mount: Int32 = 0
        unsafe base.storeBytes(of: UInt32(Self.maximumByteCount), as: UInt32.self)
        _ = try systemCall { unsafe vfs_fd_to_handle(descriptor, base, &mount) }
        return UInt32(bitPattern: mount)
    }
}
