// SPDX-License-Identifier: Apache-2.0
// Copies between private memory and memory that a guest writes at the same time.
#ifndef CLINUX_SHARED_H
#define CLINUX_SHARED_H

#include <stddef.h>

/// memcpy behind a call the optimiser cannot see through: whatever is checked in the destination afterwards was
/// fetched once and is never read again from the source.
void vfs_copy(void *to, const void *from, size_t byte_count);

#endif
