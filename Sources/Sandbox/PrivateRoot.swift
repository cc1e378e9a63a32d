// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Makes the share the root directory of this mount namespace, which must be our own, and takes everything else out of it.
///
/// Mounts that the host makes in the share later still arrive, as containers' managers expect, with the flags that they have there;
/// what leaves the share's tree is out of reach. A single file is served from a mount beside an empty root directory.
///
/// - Parameters:
///   - root: O_PATH of the shared directory or file, opened in this mount namespace.
///   - readOnly: the share's mounts become read-only too.
/// - Returns: the same object on its new mount, O_PATH.
package func enterPrivateRoot(
    _ root: consuming OwnedDescriptor, readOnly: Bool, _ walls: Walls
) throws(StartupError) -> OwnedDescriptor {
    guard walls.contains(.root) else { return root }
    _ = try raising("mount namespace") { () throws(Errno) in try systemCall(vfs_make_mounts_slave) }
    let isDirectory = try raising("mount namespace (the share)") { () throws(Errno) in
        try FileStatus(of: root.rawValue).type == FileType.directory
    }
    let tree = try cloneMount(of: root, named: "the share", recursive: isDirectory)
    if walls.contains(.mountFlags) {
        let flags =
            VFS_MOUNT_NODEV | VFS_MOUNT_NOSUID | VFS_MOUNT_NOEXEC
            | (readOnly ? VFS_MOUNT_RDONLY : 0)
        _ = try raising("mount flags") { () throws(Errno) in
            try systemCall { vfs_restrict_mount(tree.rawValue, UInt64(flags), isDirectory ? 1 : 0) }
        }
    }
    if isDirectory {
        try pivot(to: tree)
    } else {
        let empty = OwnedDescriptor(
            adopting: try raising("empty root directory") { () throws(Errno) in
                try systemCall(vfs_make_empty_mount)
            })
        try pivot(to: empty)
    }
    return tree
}

private func pivot(to mount: borrowing OwnedDescriptor) throws(StartupError) {
    let number = mount.rawValue
    let hint =
        "a root directory that is no mount of its own (of a chroot, an initramfs) cannot be left: give --sandbox chroot (root only) "
        + "or --sandbox none there"
    _ = try raising("root directory", hint: hint) { () throws(Errno) in
        _ = try systemCall { vfs_mount_on_root(number) }
        _ = try systemCall { fchdir(number) }
        _ = try systemCall(vfs_pivot_to_working_directory)
    }
}

/// A detached mount of what `object` is.
private func cloneMount(
    of object: borrowing OwnedDescriptor, named name: String, recursive: Bool
) throws(StartupError) -> OwnedDescriptor {
    let number = object.rawValue
    return OwnedDescriptor(
        adopting: try raising("private mount of \(name)") { () throws(Errno) in
            try systemCall { vfs_clone_mount(number, recursive ? 1 : 0) }
        })
}

extension OwnProcess {
    /// The same directories on mounts of their own, from which no `..` leads to what else /proc shows. /proc itself need not be
    /// mounted anew, which a container may forbid.
    ///
    /// - Parameter withTasks: the threads' directory too, if it is open.
    package consuming func walledOff(_ walls: Walls) throws(StartupError) -> OwnProcess {
        guard walls.contains(.processDirectory) else { return self }
        let descriptors = try cloneMount(of: descriptors, named: "/proc/self/fd", recursive: false)
        guard tasks >= 0 else { return OwnProcess(descriptors: descriptors, tasks: nil) }
        let tasks = tasks
        return OwnProcess(
            descriptors: descriptors,
            tasks: OwnedDescriptor(
                adopting: try raising("private mount of /proc/self/task") { () throws(Errno) in
                    try systemCall { vfs_clone_mount(tasks, 0) }
                }))
    }
}

/// Makes the share this process's root directory: a weaker wall, for root in a container that forbids namespaces. For a single file
/// the root directory shows this process's own descriptors and nothing else.
///
/// - Parameter process: where those are.
package func enterChroot(
    _ root: borrowing OwnedDescriptor, _ process: borrowing OwnProcess
) throws(StartupError) {
    let (share, own) = (root.rawValue, process.descriptors.rawValue)
    do throws(Errno) {
        let isDirectory = try FileStatus(of: share).type == FileType.directory
        _ = try systemCall { fchdir(isDirectory ? share : own) }
        _ = try systemCall { unsafe chroot(".") }
        _ = try systemCall { unsafe chdir("/") }
    } catch {
        throw StartupError(
            operation: "raise", subject: "the sandbox's root directory (chroot)", reason: describe(error),
            hint: "allow CAP_SYS_CHROOT, or give --sandbox none")
    }
}
