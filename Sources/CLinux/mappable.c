// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <sys/mount.h>

static int set(int context, const char *name, const char *value) {
    unsigned kind = value == NULL ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
    return (int)syscall(SYS_fsconfig, context, kind, name, value, 0);
}

int vfs_make_fuse_mount(int device) {
    int context = (int)syscall(SYS_fsopen, "fuse", FSOPEN_CLOEXEC);
    if (context < 0) return -1;
    int mount = -1;
    char number[12];
    vfs_format_fd(device, number);
    // A daemon that has changed its ids opens files there too: hence allow_other, and no default_permissions.
    if (set(context, "source", "virtiofsd-files") == 0 && set(context, "fd", number) == 0 &&
        set(context, "rootmode", "40000") == 0 && set(context, "user_id", "0") == 0 &&
        set(context, "group_id", "0") == 0 && set(context, "allow_other", NULL) == 0 &&
        syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
                             MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    int error = errno;
    close(context);
    errno = error;
    return mount;
}

struct vfs_backing_map { // struct fuse_backing_map
    int32_t fd;
    uint32_t flags;
    uint64_t padding;
};
_Static_assert(_IOW(229, 1, struct vfs_backing_map) == 0x4010e501, "FUSE_DEV_IOC_BACKING_OPEN");
_Static_assert(_IOW(229, 2, uint32_t) == 0x4004e502, "FUSE_DEV_IOC_BACKING_CLOSE");

int vfs_fuse_backing_open(int device, int file) {
    struct vfs_backing_map map = {.fd = file};
    return ioctl(device, VFS_FUSE_BACKING_OPEN, &map);
}

int vfs_fuse_backing_close(int device, uint32_t number) { return ioctl(device, VFS_FUSE_BACKING_CLOSE, &number); }

int vfs_want_sender(int socket) {
    int yes = 1;
    return setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes);
}

ssize_t vfs_receive_from(int socket, void *bytes, size_t length, int *fd, pid_t *sender) {
    union {
        char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec vector = {.iov_base = bytes, .iov_len = length};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    *fd = -1;
    *sender = 0;
    ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (count < 0) return -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET) continue;
        size_t size = c->cmsg_len - CMSG_LEN(0);
        if (c->cmsg_type == SCM_CREDENTIALS && size >= sizeof(struct ucred)) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(c), sizeof who);
            *sender = who.pid;
        }
        if (c->cmsg_type != SCM_RIGHTS) continue;
        for (size_t i = 0; i < size / sizeof(int); i++) {
            int number;
            memcpy(&number, CMSG_DATA(c) + i * sizeof(int), sizeof number);
            if (*fd < 0)
                *fd = number;
            else
                close(number);
        }
    }
    return count;
}
