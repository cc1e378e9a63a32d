// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

int vfs_utimens_fd(int fd, const struct timespec times[2]) {
    return (int)syscall(SYS_utimensat, fd, "", times, AT_EMPTY_PATH);
}
