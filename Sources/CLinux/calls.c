// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <linux/futex.h>
#include <string.h>
#include <time.h>

int vfs_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

int vfs_setgroups_thread(size_t count, const gid_t *groups) { return (int)syscall(SYS_setgroups, count, groups); }
int vfs_setresuid_thread(uid_t real, uid_t effective, uid_t saved) {
    return (int)syscall(SYS_setresuid, real, effective, saved);
}
int vfs_setresgid_thread(gid_t real, gid_t effective, gid_t saved) {
    return (int)syscall(SYS_setresgid, real, effective, saved);
}

int vfs_capget_thread(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0) return -1;
    *effective = data[0].effective | (uint64_t)data[1].effective << 32;
    *permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    *inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
    return 0;
}

int vfs_capset_thread(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)effective, .permitted = (uint32_t)permitted, .inheritable = (uint32_t)inheritable},
        {.effective = (uint32_t)(effective >> 32),
         .permitted = (uint32_t)(permitted >> 32),
         .inheritable = (uint32_t)(inheritable >> 32)},
    };
    return (int)syscall(SYS_capset, &header, data);
}

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 // Linux 6.6; the same number on every architecture
#endif
int vfs_fchmodat2(int directory, const char *path, mode_t mode, int flags) {
    return (int)syscall(SYS_fchmodat2, directory, path, mode, flags);
}

int vfs_renameat2(int from, const char *old_name, int to, const char *new_name, unsigned flags) {
    return renameat2(from, old_name, to, new_name, flags);
}

int vfs_tgkill(pid_t process, pid_t thread, int signal) { return (int)syscall(SYS_tgkill, process, thread, signal); }

int vfs_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
    return prctl(option, a, b, c, d);
}

void vfs_futex_wait(uint32_t *word, uint32_t expected, int timeout_ms) {
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000l};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ms < 0 ? NULL : &timeout, NULL, 0);
}

void vfs_futex_wake_all(uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0); }

void vfs_shared_futex_wait(uint32_t *word, uint32_t expected, int timeout_ms) {
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000l};
    syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout_ms < 0 ? NULL : &timeout, NULL, 0);
}

void vfs_shared_futex_wake_all(uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0); }

int vfs_fcntl_lock(int fd, int command, struct flock *lock) { return fcntl(fd, command, lock); }
int vfs_fcntl_int(int fd, int command, int argument) { return fcntl(fd, command, argument); }
int vfs_ioctl_pointer(int fd, unsigned long request, void *argument) { return ioctl(fd, request, argument); }
int vfs_ioctl_int(int fd, unsigned long request, int argument) { return ioctl(fd, request, argument); }

void vfs_format_fd(int fd, char *text) {
    char digits[12];
    int n = 0;
    unsigned value = (unsigned)fd;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (int i = 0; i < n; i++) text[i] = digits[n - 1 - i];
    text[n] = '\0';
}

enum { MAX_FDS = 253 }; // SCM_MAX_FD of the kernel: no message carries more

ssize_t vfs_receive_fds(int socket, void *bytes, size_t length, int flags, int *fds, int max_fds, int *fd_count,
                        int *truncated) {
    union {
        char space[CMSG_SPACE(MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec vector = {.iov_base = bytes, .iov_len = length};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    *fd_count = 0;
    *truncated = 0;
    ssize_t count = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    if (count < 0) return -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (*fd_count < max_fds) {
                fds[(*fd_count)++] = fd;
            } else {
                close(fd);
                *truncated = 1;
            }
        }
    }
    if (message.msg_flags & MSG_CTRUNC) *truncated = 1;
    return count;
}

ssize_t vfs_send_fds(int socket, const void *bytes, size_t length, const int *fds, int fd_count) {
    union {
        char space[CMSG_SPACE(MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = length};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (fd_count > MAX_FDS) {
        errno = EINVAL;
        return -1;
    }
    if (fd_count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE((size_t)fd_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)fd_count * sizeof(int));
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

int vfs_wait_exited(int status) { return WIFEXITED(status); }
int vfs_wait_exit_status(int status) { return WEXITSTATUS(status); }
int vfs_wait_signaled(int status) { return WIFSIGNALED(status); }
int vfs_wait_signal(int status) { return WTERMSIG(status); }

void vfs_open_syslog(void) {
    static char name[64]; // openlog keeps the pointer
    snprintf(name, sizeof name, "%.40s[%d]", program_invocation_short_name, getpid());
    openlog(name, LOG_NDELAY, LOG_USER);
}

void vfs_syslog(int priority, const char *message) { syslog(priority, "%s", message); }
