// SPDX-License-Identifier: Apache-2.0
#ifndef CLINUX_LABELS_H
#define CLINUX_LABELS_H

/// The calling thread's attr/fscreate, found from a descriptor of /proc/self/fd; -1 where there is none.
int vfs_open_fscreate(int process_descriptors);

#endif
