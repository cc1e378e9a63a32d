// SPDX-License-Identifier: Apache-2.0
// io_uring(7): its calls, which glibc does not wrap, and the one request that we make, whose record is full of unions.
#ifndef CLINUX_URING_H
#define CLINUX_URING_H

#include <linux/io_uring.h>
#include <stdint.h>
#include <sys/uio.h>

int vfs_uring_setup(unsigned entries, struct io_uring_params *parameters);
/// Submits `count` requests; with IORING_ENTER_GETEVENTS the kernel also finishes what is ready. Never waits.
int vfs_uring_enter(int ring, unsigned count, unsigned flags);
/// Has the kernel signal `event`, an eventfd, when something is ready.
int vfs_uring_register_event(int ring, int event);
/// Starts a ring that was made with IORING_SETUP_R_DISABLED: for ever it takes requests of the kind below and nothing else, and
/// nothing more can be registered with it.
int vfs_uring_restrict_to_reads(int ring);
/// Makes the submission queue entry at `entry` a preadv(2); `token` comes back with its result.
void vfs_uring_prepare_read(void *entry, int fd, const struct iovec *vectors, unsigned count, uint64_t offset,
                            uint64_t token);

#endif
