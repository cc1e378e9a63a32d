// SPDX-License-Identifier: Apache-2.0
// What the sandbox calls: the mount calls by descriptor (Linux 5.2 and 5.12), Landlock, pivot_root. Flags come in as numbers, since
// <linux/mount.h> and <sys/mount.h> declare the same names differently.
#ifndef CLINUX_WALLS_H
#define CLINUX_WALLS_H

#include <stdint.h>
#include <sys/types.h>

enum {
    VFS_MOUNT_RDONLY = 0x1,
    VFS_MOUNT_NOSUID = 0x2,
    VFS_MOUNT_NODEV = 0x4,
    VFS_MOUNT_NOEXEC = 0x8,
};

/// fork(2); the child has one thread, and a process of several must not call this.
pid_t vfs_fork(void);

/// A detached mount of what the O_PATH descriptor `object` of this mount namespace is, with the mounts below it if `recursive`.
/// Close-on-exec; the mount goes with its descriptor.
int vfs_clone_mount(int object, int recursive);
/// Sets VFS_MOUNT_* flags of the mount `tree`, and of all below it with `recursive`.
int vfs_restrict_mount(int tree, uint64_t flags, int recursive);
/// Attaches the detached mount `tree` on top of the root directory.
int vfs_mount_on_root(int tree);
/// A new detached tmpfs, empty and read-only. Close-on-exec.
int vfs_make_empty_mount(void);
/// What is mounted elsewhere still arrives in this mount namespace; what is mounted here shows nowhere else.
int vfs_make_mounts_slave(void);
/// Makes the working directory, the root of a mount, the root directory, and detaches the old one.
int vfs_pivot_to_working_directory(void);

/// Whether the object's mount is noexec; 0 when that cannot be known.
int vfs_is_noexec(int object);

/// The version of Landlock; -1 where the kernel has none or it is turned off.
int vfs_landlock_version(void);
/// Rights of files and of TCP, and scopes (LANDLOCK_SCOPE_*), that are refused but for rules. Only those that the version has.
int vfs_landlock_create(uint64_t files, uint64_t network, uint64_t scopes);
/// Allows `rights` to what `directory` is and all below it.
int vfs_landlock_allow(int ruleset, int directory, uint64_t rights);
/// Holds the calling thread, and those that it will start, to the ruleset.
int vfs_landlock_restrict(int ruleset);

#endif
