// SPDX-License-Identifier: Apache-2.0
// Calls on the object behind a descriptor, which take an empty path: a C literal costs nothing.
#ifndef CLINUX_FILES_H
#define CLINUX_FILES_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

static inline int vfs_statx_fd(int fd, int flags, unsigned mask, struct statx *out) {
    return statx(fd, "", flags | AT_EMPTY_PATH, mask, out);
}
static inline int vfs_chown_fd(int fd, uid_t uid, gid_t gid) {
    return fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
}
static inline int vfs_access_fd(int fd, int mode) { return faccessat(fd, "", mode, AT_EMPTY_PATH | AT_EACCESS); }
// glibc refuses AT_EMPTY_PATH with times on some versions: utimensat(2) itself takes it since Linux 5.8.
static const long VFS_UTIME_NOW = UTIME_NOW;
static const long VFS_UTIME_OMIT = UTIME_OMIT;
int vfs_utimens_fd(int fd, const struct timespec times[2]);

// `handle` is a struct file_handle followed by handle_bytes bytes, whose flexible array Swift cannot see.
static inline int vfs_name_to_handle(int directory, const char *path, void *handle, int *mount, int flags) {
    return name_to_handle_at(directory, path, (struct file_handle *)handle, mount, flags);
}
static inline int vfs_fd_to_handle(int fd, void *handle, int *mount) {
    return name_to_handle_at(fd, "", (struct file_handle *)handle, mount, AT_EMPTY_PATH);
}
static inline int vfs_open_handle(int mount, void *handle, int flags) {
    return open_by_handle_at(mount, (struct file_handle *)handle, flags);
}

#endif
