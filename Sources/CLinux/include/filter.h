// SPDX-License-Identifier: Apache-2.0
// seccomp(2), and the last words of a thread whose filter has trapped it.
#ifndef CLINUX_FILTER_H
#define CLINUX_FILTER_H

#include <stddef.h>

/// Gives the calling thread, and those that it will start, a filter: `byte_count` bytes of struct sock_filter. Needs
/// no_new_privs. Returns 0, or -1 with errno.
int vfs_filter_load(const void *program, size_t byte_count);
/// Whether `vfs_filter_load` can work here: 0, or -1 with errno (EPERM, ENOSYS or EINVAL: without support).
int vfs_filter_probe(void);

enum { VFS_FILTER_NAMES = 512 };
/// Has SIGSYS of a filter say on stderr which thread has made which call, before it ends the process as it would anyway.
/// `names`: VFS_FILTER_NAMES names of system calls by number, NULL for those that have none; they must stay. Returns 0, or -1
/// with errno.
int vfs_filter_report(char *const *names);

#endif
