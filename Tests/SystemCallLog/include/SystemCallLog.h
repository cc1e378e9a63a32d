// SPDX-License-Identifier: Apache-2.0
// Writes down every system call that one thread of another process makes, as strace(1) does: for tests that count them.
#ifndef SYSTEM_CALL_LOG_H
#define SYSTEM_CALL_LOG_H

#include <sys/types.h>

struct system_call_log;

/// Begins to trace `thread`, which must not be traced yet; returns NULL with errno. The log is freed by `system_call_log_end`.
struct system_call_log *system_call_log_begin(pid_t thread);
/// How many calls the thread has begun since.
int system_call_log_count(const struct system_call_log *log);
/// The name of the call at `index`, which is below the count; "call N" for one that no test knows, valid until the next.
const char *system_call_log_name(const struct system_call_log *log, int index);
/// Waits until the traced thread has ended, and frees the log.
void system_call_log_end(struct system_call_log *log);

#endif
