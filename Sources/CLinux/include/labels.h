// SPDX-License-Identifier: Apache-2.0
#ifndef CLINUX_LABELS_H
#define CLINUX_LABELS_H

/// O_PATH of the calling thread's attr directory, found from a descriptor of its process's /proc/PID/task, which may belong to an
/// outer pid namespace; -1 where there is none.
int vfs_open_thread_attributes(int tasks);

/// The fscreate attribute, from what the call above gave; -1 where there is none. Opened anew for each use: the kernel lets only those
/// credentials write that have opened it.
int vfs_open_fscreate(int attributes);

#endif
