// SPDX-License-Identifier: Apache-2.0
// Makes one system call in a child process that has a filter: for tests of what filters let through.
#ifndef FILTERED_CHILD_H
#define FILTERED_CHILD_H

#include <stddef.h>

/// How the child ended.
struct filtered_end {
    /// The signal that ended it, or 0.
    int signal;
    /// The system call's errno, 0 if it worked.
    int error;
};

/// Forks; the child takes the filter (struct sock_filter, `byte_count` bytes), makes system call `number` and says how that
/// went. `errors`: its stderr, or -1. Returns -1 with errno if there is no child, or it got no filter (ENOEXEC).
int filtered_call(const void *program, size_t byte_count, long number, const unsigned long arguments[6], int errors,
                  struct filtered_end *end);

#endif
