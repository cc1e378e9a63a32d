// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <sys/mount.h>

pid_t vfs_fork(void) { return fork(); }

int vfs_clone_mount(int object, int recursive) {
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return (int)syscall(SYS_open_tree, object, "", flags);
}

int vfs_restrict_mount(int tree, uint64_t flags, int recursive) {
    _Static_assert(VFS_MOUNT_RDONLY == MOUNT_ATTR_RDONLY && VFS_MOUNT_NOSUID == MOUNT_ATTR_NOSUID, "mount flags");
    _Static_assert(VFS_MOUNT_NODEV == MOUNT_ATTR_NODEV && VFS_MOUNT_NOEXEC == MOUNT_ATTR_NOEXEC, "mount flags");
    struct mount_attr attributes = {.attr_set = flags};
    return (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attributes,
                        sizeof attributes);
}

int vfs_mount_on_root(int tree) {
    return (int)syscall(SYS_move_mount, tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
}

int vfs_make_empty_mount(void) {
    int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    if (context < 0) return -1;
    int mount = -1;
    if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "size", "4k", 0) == 0 &&
        syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
                             MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    int error = errno;
    close(context);
    errno = error;
    return mount;
}

int vfs_make_mounts_slave(void) { return mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL); }

int vfs_pivot_to_working_directory(void) {
    // The old root directory comes to lie on top of the new one (pivot_root(2), NOTES), from where it is taken away.
    if (syscall(SYS_pivot_root, ".", ".") != 0) return -1;
    if (umount2(".", MNT_DETACH) != 0) return -1;
    return chdir("/");
}

int vfs_is_noexec(int object) {
    struct statvfs status;
    return fstatvfs(object, &status) == 0 && (status.f_flag & ST_NOEXEC) != 0;
}

// Newer than the headers of some systems: declared here, as the kernel's documentation has them.
struct vfs_landlock_ruleset {
    uint64_t files, network, scopes;
};
struct vfs_landlock_beneath {
    uint64_t rights;
    int32_t directory;
} __attribute__((packed));
enum { LANDLOCK_VERSION_FLAG = 1, LANDLOCK_BENEATH = 1 };

int vfs_landlock_version(void) { return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG); }

int vfs_landlock_create(uint64_t files, uint64_t network, uint64_t scopes) {
    struct vfs_landlock_ruleset attributes = {.files = files, .network = network, .scopes = scopes};
    // A kernel takes a longer record than it knows if the rest is zero.
    return (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
}

int vfs_landlock_allow(int ruleset, int directory, uint64_t rights) {
    struct vfs_landlock_beneath rule = {.rights = rights, .directory = directory};
    return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_BENEATH, &rule, 0);
}

int vfs_landlock_restrict(int ruleset) { return (int)syscall(SYS_landlock_restrict_self, ruleset, 0); }
