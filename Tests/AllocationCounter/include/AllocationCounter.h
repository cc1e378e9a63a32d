// SPDX-License-Identifier: Apache-2.0
// Counts the heap allocations of each thread: in a program that links this, malloc and its kin are ours.
#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H

#include <stdint.h>
#include <sys/types.h>

/// How often the thread has allocated; -1 when it never has, or when this build does not count (a sanitizer has its own
/// malloc).
int64_t allocation_count(pid_t thread);

#endif
