// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <limits.h>
#include <stdlib.h>

// Between fork and exec in a process with threads only async-signal-safe calls are allowed, which no Swift code can
// promise: hence C.
//
// A program is not our own child but that of a guard, which outlives it: when the guard's parent dies, or the program
// ends, the guard kills the program's whole process group and reaps it. The parent-death signal alone would reach the
// program and leave what it has forked (UML runs each guest process in a process of the host).

/// Reports errno through `report` and ends this process.
static _Noreturn void fail(int report) {
    int error = errno;
    if (write(report, &error, sizeof error) < 0) _exit(126);
    _exit(127);
}

/// The program's process: takes its descriptors and becomes the program.
static _Noreturn void become(const char *path, char *const argv[], char *const envp[], const int *fds, int fd_count,
                             int report, pid_t guard) {
    int moved[VFS_SPAWN_MAX_FDS];
    if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail(report);
    if (getppid() != guard) _exit(127); // the guard died before the line above
    for (int s = 1; s < NSIG; s++) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigaction(s, &action, NULL); // fails for SIGKILL, SIGSTOP and glibc's own two: they need none
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    // Out of the way first, so that no number is overwritten before it is copied.
    for (int i = 0; i < fd_count; i++)
        if ((moved[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, fd_count + 1)) < 0) fail(report);
    int kept = fcntl(report, F_DUPFD_CLOEXEC, fd_count + 1);
    if (kept < 0) fail(report);
    for (int i = 0; i < fd_count; i++)
        if (dup2(moved[i], i) < 0) fail(kept);
    if (dup3(kept, fd_count, O_CLOEXEC) < 0) fail(kept);
    if (close_range((unsigned)fd_count + 1, ~0u, 0) != 0) fail(fd_count);
    execve(path, argv, envp);
    fail(fd_count);
}

/// Ends this process as the process with the wait status `status` ended.
static _Noreturn void end_like(int status) {
    if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); // the program has dumped its core already
    sigset_t none;
    sigemptyset(&none);
    signal(WTERMSIG(status), SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    raise(WTERMSIG(status));
    _exit(128 + WTERMSIG(status));
}

/// The guard's process, with every signal blocked since before the program existed.
static _Noreturn void watch(pid_t program) {
    sigset_t all;
    sigfillset(&all);
    setpgid(program, program); // the program does the same: whoever is first
    while (1) {
        int number = sigwaitinfo(&all, NULL);
        if (number == VFS_SPAWN_KILL) {
            kill(-program, SIGKILL);
        } else if (number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT) {
            kill(-program, number);
        } else if (number == SIGCHLD) {
            int status, end = 0;
            pid_t child;
            while ((child = waitpid(-1, &status, WNOHANG)) > 0)
                if (child == program) end = status | INT_MIN;
            if (end == 0) continue;
            kill(-program, SIGKILL);
            while (waitpid(-program, NULL, __WALL) > 0 || errno == EINTR) {}
            end_like(end & INT_MAX);
        }
    }
}

/// The first child's process: makes the program and stays as its guard.
static _Noreturn void guard(const char *path, char *const argv[], char *const envp[], const int *fds, int fd_count,
                            int report, pid_t parent) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, VFS_SPAWN_KILL) != 0) fail(report);
    // Orphans of the program come to the guard to be reaped.
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) fail(report);
    if (getppid() != parent) _exit(127);
    prctl(PR_SET_NAME, "virtiofs-guard", 0, 0, 0);
    pid_t self = getpid();
    pid_t program = _Fork();
    if (program < 0) fail(report);
    if (program == 0) become(path, argv, envp, fds, fd_count, report, self);
    close_range(0, ~0u, 0); // nobody's pipe or socket stays open for the guard
    watch(program);
}

pid_t vfs_spawn(const char *path, char *const argv[], char *const envp[], const int *fds, int fd_count) {
    int report[2];
    if (fd_count > VFS_SPAWN_MAX_FDS) {
        errno = EINVAL;
        return -1;
    }
    if (pipe2(report, O_CLOEXEC) != 0) return -1;
    pid_t parent = getpid();
    pid_t child = _Fork();
    if (child == 0) guard(path, argv, envp, fds, fd_count, report[1], parent);
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
