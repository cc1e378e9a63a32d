// SPDX-License-Identifier: Apache-2.0
// What the agent in a guest asks its kernel for: objects of a FUSE mount by node id, and a mount without its unused names.
#ifndef CLINUX_GUEST_H
#define CLINUX_GUEST_H

#include <stdint.h>
#include <sys/types.h>

/// The group by which this thread asks file systems. Returns 0, or −1 with EPERM: setfsgid(2) tells of no failure itself.
int vfs_set_file_group(gid_t group);
/// Opens the object with this node id of the FUSE mount that `mount` lies on. ESTALE: the kernel does not have it, and its
/// file system does not know it.
int vfs_open_node(int mount, uint64_t node, int flags);
/// The node id of a FUSE mount's object by its path, or behind `directory` where `path` is empty; a link in the last place is
/// followed with AT_SYMLINK_FOLLOW. EOPNOTSUPP: it is no object of a FUSE mount.
int vfs_node_id(int directory, const char *path, int flags, uint64_t *node);
/// Reconfigures the mount whose root `root` is without changing anything, which drops all its names that nobody uses.
int vfs_drop_unused_names(int root);

#endif
