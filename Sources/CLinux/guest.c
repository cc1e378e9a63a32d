// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <sys/mount.h>

/// exportfs of FUSE (fs/fuse/inode.c): the halves of the node id and the generation.
enum { fuse_handle_type = 0x81, fuse_handle_bytes = 12 };

struct node_handle {
    struct file_handle header;
    uint32_t words[MAX_HANDLE_SZ / 4];
};

int vfs_set_file_group(gid_t group) {
    setfsgid(group);
    if (setfsgid(group) == (int)group) return 0; // the value before, which an invalid one would not change
    errno = EPERM;
    return -1;
}

int vfs_open_node(int mount, uint64_t node, int flags) {
    struct node_handle handle = {.header = {.handle_bytes = fuse_handle_bytes, .handle_type = fuse_handle_type}};
    handle.words[0] = (uint32_t)(node >> 32);
    handle.words[1] = (uint32_t)node;
    return open_by_handle_at(mount, &handle.header, flags | O_CLOEXEC | O_NOCTTY);
}

int vfs_node_id(int directory, const char *path, int flags, uint64_t *node) {
    struct node_handle handle = {.header = {.handle_bytes = sizeof handle.words}};
    int mount;
    if (*path == 0) flags |= AT_EMPTY_PATH;
    if (name_to_handle_at(directory, path, &handle.header, &mount, flags) != 0) return -1;
    if (handle.header.handle_type != fuse_handle_type || handle.header.handle_bytes != fuse_handle_bytes) {
        errno = EOPNOTSUPP;
        return -1;
    }
    *node = (uint64_t)handle.words[0] << 32 | handle.words[1];
    return 0;
}

int vfs_drop_unused_names(int root) {
    enum { empty_path = 8, reconfigure = 7 }; // FSPICK_EMPTY_PATH, FSCONFIG_CMD_RECONFIGURE
    int context = (int)syscall(SYS_fspick, root, "", empty_path | 1);
    if (context < 0) return -1;
    int result = (int)syscall(SYS_fsconfig, context, reconfigure, NULL, NULL, 0);
    int error = errno;
    close(context);
    errno = error;
    return result;
}
