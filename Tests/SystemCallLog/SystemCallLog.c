// SPDX-License-Identifier: Apache-2.0
#include "SystemCallLog.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { log_limit = 1 << 18 };

struct system_call_log {
    pid_t thread;
    pthread_t tracer;
    sem_t attached;
    int error;
    // More than the limit are counted and not kept.
    atomic_int count;
    uint16_t calls[log_limit];
};

static void note(struct system_call_log *log) {
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, log->thread, sizeof info, &info) <= 0) return;
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
    int index = atomic_load(&log->count);
    if (index < log_limit) log->calls[index] = (uint16_t)info.entry.nr;
    atomic_store(&log->count, index + 1);
}

// All requests to the traced thread have to come from the thread that attached to it.
static void *trace(void *argument) {
    struct system_call_log *log = argument;
    pid_t thread = log->thread;
    if (ptrace(PTRACE_SEIZE, thread, 0, PTRACE_O_TRACESYSGOOD) != 0 || ptrace(PTRACE_INTERRUPT, thread, 0, 0) != 0)
        log->error = errno;
    int failed = log->error;
    int announced = 0;
    int status;
    while (!failed && waitpid(thread, &status, __WALL) == thread && WIFSTOPPED(status)) {
        int signal = WSTOPSIG(status);
        if (signal == (SIGTRAP | 0x80)) {
            note(log);
            signal = 0;
        } else if (status >> 16 == PTRACE_EVENT_STOP) {
            signal = 0;
        }
        ptrace(PTRACE_SYSCALL, thread, 0, signal);
        // From the first stop on no call is missed.
        if (!announced) sem_post(&log->attached);
        announced = 1;
    }
    if (!announced) sem_post(&log->attached);
    return NULL;
}

struct system_call_log *system_call_log_begin(pid_t thread) {
    struct system_call_log *log = calloc(1, sizeof *log);
    if (!log) return NULL;
    log->thread = thread;
    sem_init(&log->attached, 0, 0);
    int error = pthread_create(&log->tracer, NULL, trace, log);
    if (error == 0) {
        while (sem_wait(&log->attached) != 0) continue;
        if (log->error == 0) return log;
        error = log->error;
        pthread_join(log->tracer, NULL);
    }
    sem_destroy(&log->attached);
    free(log);
    errno = error;
    return NULL;
}

int system_call_log_count(const struct system_call_log *log) { return atomic_load(&log->count); }

void system_call_log_end(struct system_call_log *log) {
    pthread_join(log->tracer, NULL);
    sem_destroy(&log->attached);
    free(log);
}

#define CALLS(X)                                                                                                       \
    X(brk) X(capset) X(close) X(copy_file_range) X(dup) X(fallocate) X(fchmodat) X(fchmod) X(fchownat) X(fchown) X(fcntl)     \
    X(fdatasync) X(fgetxattr) X(flistxattr) X(fremovexattr) X(fsetxattr) X(fstatfs) X(fsync) X(ftruncate) X(futex)     \
    X(getdents64) X(gettid) X(getxattr) X(io_uring_enter) X(ioctl) X(lgetxattr) X(linkat) X(listxattr) X(llistxattr) X(lremovexattr)               \
    X(lseek) X(lsetxattr) X(madvise) X(mkdirat) X(mknodat) X(mmap) X(mprotect) X(munmap) X(name_to_handle_at) X(open_by_handle_at) X(openat)  \
    X(openat2) X(ppoll) X(pread64) X(preadv) X(preadv2) X(pwrite64) X(pwritev) X(pwritev2) X(read) X(readlinkat)       \
    X(removexattr) X(renameat) X(renameat2) X(restart_syscall) X(setfsgid) X(setfsuid) X(setgroups) X(setxattr) X(statfs) X(statx) \
    X(symlinkat) X(truncate) X(umask) X(unlinkat) X(utimensat) X(write)

const char *system_call_log_name(const struct system_call_log *log, int index) {
    if (index < 0 || index >= log_limit || index >= atomic_load(&log->count)) return "?";
    static _Thread_local char other[16];
    switch (log->calls[index]) {
#define X(name)                                                                                                        \
    case SYS_##name: return #name;
        CALLS(X)
#undef X
    case 452: return "fchmodat2";  // newer than some headers
#ifdef SYS_poll
    case SYS_poll: return "poll";
#endif
    default: snprintf(other, sizeof other, "call %u", log->calls[index]); return other;
    }
}
