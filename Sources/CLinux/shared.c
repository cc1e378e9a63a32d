// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

void vfs_copy(void *to, const void *from, size_t byte_count) { memcpy(to, from, byte_count); }
