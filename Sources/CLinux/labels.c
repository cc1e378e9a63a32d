// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

int vfs_open_fscreate(int process_descriptors) {
    char path[48];
    snprintf(path, sizeof path, "../task/%d/attr/fscreate", gettid());
    return openat(process_descriptors, path, O_WRONLY | O_CLOEXEC);
}
