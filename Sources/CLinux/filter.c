// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

// SPEC_ALLOW: before Linux 5.16 a filter also turned off speculative store bypass for its thread, and branch prediction was
// shielded; that is for programs that run other people's code, and made every request slower.
int vfs_filter_load(const void *program, size_t byte_count) {
    size_t count = byte_count / sizeof(struct sock_filter);
    if (count == 0 || count > BPF_MAXINSNS) {
        errno = EINVAL;
        return -1;
    }
    struct sock_fprog filter = {.len = (unsigned short)count, .filter = (struct sock_filter *)program};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter);
}

int vfs_filter_probe(void) {
    // Only a kernel that would take the filter looks where it is.
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, NULL) == 0) return 0;
    return errno == EFAULT ? 0 : -1;
}

static char *const *call_names;

static size_t append(char *line, size_t at, const char *text) {
    while (*text != '\0' && at < 200) line[at++] = *text++;
    return at;
}

// Nothing here takes a lock or allocates, and every call is one that all filters allow.
static void report(int signal, siginfo_t *info, void *context) {
    (void)context;
    if (info->si_code == 1) { // SYS_SECCOMP, which glibc has no name for
        char thread[17] = "", number[12], line[256];
        prctl(PR_GET_NAME, thread);
        vfs_format_fd(info->si_syscall, number);
        size_t n = append(line, 0, "virtiofsd: thread ");
        n = append(line, n, thread);
        n = append(line, n, " made a system call that it has no use for: number ");
        n = append(line, n, number);
        if (info->si_syscall >= 0 && info->si_syscall < VFS_FILTER_NAMES && call_names[info->si_syscall] != NULL) {
            n = append(line, n, ", ");
            n = append(line, n, call_names[info->si_syscall]);
        }
        n = append(line, n, "\n");
        if (write(STDERR_FILENO, line, n) < 0) n = 0; // nobody is left to tell
    }
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigaction(signal, &action, NULL);
    vfs_tgkill(getpid(), gettid(), signal);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + signal);
}

int vfs_filter_report(char *const *names) {
    call_names = names;
    struct sigaction action = {.sa_sigaction = report, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    return sigaction(SIGSYS, &action, NULL);
}
