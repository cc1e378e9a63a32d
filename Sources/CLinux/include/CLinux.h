// SPDX-License-Identifier: Apache-2.0
// The C side of HostOS: what Swift cannot call or spell by itself. Three kinds of things and nothing else:
// - headers that the Glibc module leaves out without _GNU_SOURCE;
// - calls that are variadic, macros, or not wrapped by glibc for one thread only (vfs_*);
// - atomic accesses to memory shared with others, which Swift has no type for (vfs_load_*, vfs_store_*).
#ifndef CLINUX_H
#define CLINUX_H

#ifndef _GNU_SOURCE
#error "every target is built with -D_GNU_SOURCE; see Package.swift"
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <syslog.h>
#include <unistd.h>

#include "arena.h"
#include "atomics.h"
#include "fanotify.h"
#include "files.h"
#include "guest.h"
#include "filter.h"
#include "shared.h"
#include "interrupt.h"
#include "uring.h"
#include "constants.h"
#include "labels.h"
#include "mappable.h"
#include "walls.h"

// ---- system calls without a wrapper, or whose wrapper acts on every thread of the process ----

int vfs_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
// setgroups(2), setresuid(2), setresgid(2) and capset(2) of the calling thread only; glibc's change all threads.
int vfs_setgroups_thread(size_t count, const gid_t *groups);
int vfs_setresuid_thread(uid_t real, uid_t effective, uid_t saved);
int vfs_setresgid_thread(gid_t real, gid_t effective, gid_t saved);
int vfs_capget_thread(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable);
int vfs_capset_thread(uint64_t effective, uint64_t permitted, uint64_t inheritable);
int vfs_fchmodat2(int directory, const char *path, mode_t mode, int flags);
int vfs_renameat2(int from, const char *old_name, int to, const char *new_name, unsigned flags);
int vfs_tgkill(pid_t process, pid_t thread, int signal);
int vfs_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
/// Sleeps while `*word` is `expected`, at most `timeout_ms` milliseconds (negative: for ever); may return early.
void vfs_futex_wait(uint32_t *word, uint32_t expected, int timeout_ms);
void vfs_futex_wake_all(uint32_t *word);
/// The same for a word in memory that other processes map too.
void vfs_shared_futex_wait(uint32_t *word, uint32_t expected, int timeout_ms);
void vfs_shared_futex_wake_all(uint32_t *word);
int vfs_fcntl_lock(int fd, int command, struct flock *lock);
int vfs_fcntl_int(int fd, int command, int argument);
int vfs_ioctl_pointer(int fd, unsigned long request, void *argument);
int vfs_ioctl_int(int fd, unsigned long request, int argument);

// ---- names of one /proc/self/fd entry, formatted without the heap ----

/// Writes the decimal digits of `fd` and a NUL into `text` (12 bytes are enough).
void vfs_format_fd(int fd, char *text);

// ---- ancillary data: the CMSG macros do not import ----

/// Receives up to `length` bytes and up to `max_fds` descriptors (close-on-exec).
/// Returns the byte count, or -1; `*fd_count` is how many descriptors were stored. Descriptors beyond `max_fds` are
/// closed and reported by `*truncated` = 1.
ssize_t vfs_receive_fds(int socket, void *bytes, size_t length, int flags, int *fds, int max_fds, int *fd_count,
                        int *truncated);
/// Sends `length` bytes with `fd_count` descriptors attached to the first of them. MSG_NOSIGNAL is always set.
ssize_t vfs_send_fds(int socket, const void *bytes, size_t length, const int *fds, int fd_count);

// ---- syslog(3) is variadic ----

/// Connects to the log under the program's name with the calling process's pid. Not after its path may lead elsewhere.
void vfs_open_syslog(void);
/// Logs `message` as it is.
void vfs_syslog(int priority, const char *message);

// ---- wait status macros ----
int vfs_wait_exited(int status);
int vfs_wait_exit_status(int status);
int vfs_wait_signaled(int status);
int vfs_wait_signal(int status);

// ---- starting a program ----
enum {
    VFS_SPAWN_MAX_FDS = 16,
    VFS_SPAWN_KILL = SIGUSR1, // asks a guard to kill its program and all that the program has started
};
/// Starts `path` with `fds[i]` as its descriptor i and no other, in a process group of its own, with default signal
/// handling. Returns the process id of its guard, or -1 with the errno of what failed, exec included. The guard passes
/// SIGTERM, SIGINT, SIGHUP and SIGQUIT on to the group, kills it when the calling *thread* ends, and ends as the program
/// ends; then nothing of the group is left.
pid_t vfs_spawn(const char *path, char *const argv[], char *const envp[], const int *fds, int fd_count);
/// `environ`, which two modules declare.
char **vfs_environment(void);

#endif
