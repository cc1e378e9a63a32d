// SPDX-License-Identifier: Apache-2.0
#include "FilteredChild.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NO_FILTER = 255 };

int filtered_call(const void *program, size_t byte_count, long number, const unsigned long arguments[6], int errors,
                  struct filtered_end *end) {
    pid_t child = fork();
    if (child < 0) return -1;
    if (child == 0) {
        // Nothing here but system calls: other threads of the parent may hold locks.
        struct sock_fprog filter = {
            .len = (unsigned short)(byte_count / sizeof(struct sock_filter)),
            .filter = (struct sock_filter *)program,
        };
        if (errors >= 0) dup2(errors, STDERR_FILENO);
        prctl(PR_SET_NAME, "filtered");
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(NO_FILTER);
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) _exit(NO_FILTER);
        const unsigned long *a = arguments;
        long result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
        _exit(result == -1 ? errno : 0);
    }
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return -1;
    }
    end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    end->error = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    if (end->error != NO_FILTER) return 0;
    errno = ENOEXEC;
    return -1;
}
