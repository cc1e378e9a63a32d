// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

int vfs_uring_setup(unsigned entries, struct io_uring_params *parameters) {
    return (int)syscall(SYS_io_uring_setup, entries, parameters);
}

int vfs_uring_enter(int ring, unsigned count, unsigned flags) {
    return (int)syscall(SYS_io_uring_enter, ring, count, 0, flags, NULL, 0);
}

int vfs_uring_register_event(int ring, int event) {
    return (int)syscall(SYS_io_uring_register, ring, IORING_REGISTER_EVENTFD, &event, 1);
}

int vfs_uring_restrict_to_reads(int ring) {
    struct io_uring_restriction only = {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV};
    if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_RESTRICTIONS, &only, 1) < 0) return -1;
    return (int)syscall(SYS_io_uring_register, ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

void vfs_uring_prepare_read(void *entry, int fd, const struct iovec *vectors, unsigned count, uint64_t offset,
                            uint64_t token) {
    struct io_uring_sqe request = {
        .opcode = IORING_OP_READV,
        .fd = fd,
        .off = offset,
        .addr = (uint64_t)(uintptr_t)vectors,
        .len = count,
        .user_data = token,
    };
    memcpy(entry, &request, sizeof request);
}
