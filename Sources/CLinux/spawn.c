// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <stdlib.h>

// Between fork and exec in a process with threads only async-signal-safe calls are allowed, which no Swift code can
// promise: hence C.

/// Runs in the child; reports the errno of what failed through `report` and never returns.
static void become(const char *path, char *const argv[], char *const envp[], const int *fds, int fd_count, int report,
                   pid_t parent) {
    int error;
    int moved[VFS_SPAWN_MAX_FDS];
    if (setpgid(0, 0) != 0) goto fail;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) goto fail;
    if (getppid() != parent) _exit(127); // the parent died before the line above
    for (int s = 1; s < NSIG; s++) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigaction(s, &action, NULL); // fails for SIGKILL, SIGSTOP and glibc's own two: they need none
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    // Out of the way first, so that no number is overwritten before it is copied.
    for (int i = 0; i < fd_count; i++) {
        moved[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, fd_count + 1);
        if (moved[i] < 0) goto fail;
    }
    int kept = fcntl(report, F_DUPFD_CLOEXEC, fd_count + 1);
    if (kept < 0) goto fail;
    for (int i = 0; i < fd_count; i++)
        if (dup2(moved[i], i) < 0) goto fail;
    if (dup3(kept, fd_count, O_CLOEXEC) < 0) goto fail;
    report = fd_count;
    if (close_range((unsigned)fd_count + 1, ~0u, 0) != 0) goto fail;
    execve(path, argv, envp);
fail:
    error = errno;
    if (write(report, &error, sizeof error) < 0) _exit(126);
    _exit(127);
}

pid_t vfs_spawn(const char *path, char *const argv[], char *const envp[], const int *fds, int fd_count) {
    int report[2];
    if (fd_count > VFS_SPAWN_MAX_FDS) {
        errno = EINVAL;
        return -1;
    }
    if (pipe2(report, O_CLOEXEC) != 0) return -1;
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) become(path, argv, envp, fds, fd_count, report[1], parent);
    int error = errno;
    close(report[1]);
    if (child > 0) {
        ssize_t count;
        do count = read(report[0], &error, sizeof error);
        while (count < 0 && errno == EINTR);
        if (count != sizeof error) {
            close(report[0]);
            return child; // exec closed the pipe: the program runs
        }
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    }
    close(report[0]);
    errno = error;
    return -1;
}

char **vfs_environment(void) { return environ; }
