// SPDX-License-Identifier: Apache-2.0
// What makes files mappable: a FUSE mount that hands its files through to others (Linux 6.9), and fanotify(7) that asks before
// a file is changed (Linux 6.14). The headers of some systems are older than both.
#ifndef CLINUX_MAPPABLE_H
#define CLINUX_MAPPABLE_H

#include <stdint.h>
#include <sys/types.h>

/// A new detached FUSE file system for everybody, whose requests come out of `device`. Close-on-exec; the mount goes with its
/// last descriptor. What is in it has no set-id bits, devices or programs.
int vfs_make_fuse_mount(int device);

static const unsigned long VFS_FUSE_BACKING_OPEN = 0x4010e501; // FUSE_DEV_IOC_BACKING_OPEN
static const unsigned long VFS_FUSE_BACKING_CLOSE = 0x4004e502; // FUSE_DEV_IOC_BACKING_CLOSE
/// Lets files of the mount be opened as `file`. Returns its number, or -1 with errno.
int vfs_fuse_backing_open(int device, int file);
/// Files that are open already stay what they are.
int vfs_fuse_backing_close(int device, uint32_t number);

/// Has every message that `socket` receives say who sent it.
int vfs_want_sender(int socket);
/// Receives one message of up to `length` bytes, without waiting. `*fd`: its descriptor (close-on-exec), -1 if it brings none; more
/// than one are closed. `*sender`: the process that sent it, as this one sees it; 0 if it sees it not. Returns the byte count, 0 at
/// the end, or -1 with errno.
ssize_t vfs_receive_from(int socket, void *bytes, size_t length, int *fd, pid_t *sender);

#endif
