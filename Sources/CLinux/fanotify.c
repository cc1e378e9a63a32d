// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <sys/fanotify.h>

enum {
    VFS_FAN_PRE_ACCESS = 0x00100000,
    VFS_FAN_REPORT_TID = 0x00000100,
    VFS_INFO_RANGE = 6, // FAN_EVENT_INFO_TYPE_RANGE
};
struct vfs_range { // struct fanotify_event_info_range
    uint8_t type, padding;
    uint16_t length;
    uint32_t padding2;
    uint64_t offset, count;
};

int vfs_fanotify_group(void) {
    // As many events as there are threads that wait; who asks for too many files gets ENOSPC (fs.fanotify.max_user_marks).
    unsigned flags = FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE;
    return fanotify_init(flags | VFS_FAN_REPORT_TID, O_RDONLY | O_LARGEFILE | O_CLOEXEC);
}

int vfs_fanotify_add(int group, int file, int whole) {
    return fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN_PERM | (whole ? VFS_FAN_PRE_ACCESS : 0), file, NULL);
}

int vfs_fanotify_remove(int group, int file) {
    // What is not in the mark is of no account.
    if (fanotify_mark(group, FAN_MARK_REMOVE, FAN_OPEN_PERM | VFS_FAN_PRE_ACCESS, file, NULL) == 0) return 0;
    return fanotify_mark(group, FAN_MARK_REMOVE, FAN_OPEN_PERM, file, NULL);
}

int vfs_fanotify_read(int group, struct vfs_fanotify_event *events) {
    // Each event is at least its metadata: no more than that many fit.
    _Alignas(8) char buffer[VFS_FANOTIFY_EVENTS * sizeof(struct fanotify_event_metadata)];
    ssize_t left = read(group, buffer, sizeof buffer);
    if (left < 0) return -1;
    int count = 0;
    for (const char *at = buffer; left >= (ssize_t)sizeof(struct fanotify_event_metadata) && count < VFS_FANOTIFY_EVENTS;) {
        struct fanotify_event_metadata event;
        memcpy(&event, at, sizeof event);
        if (event.event_len < sizeof event || event.event_len > left) break;
        struct vfs_fanotify_event *result = &events[count];
        *result = (struct vfs_fanotify_event){
            .file = event.fd, .thread = event.pid, .is_open = (event.mask & FAN_OPEN_PERM) != 0};
        struct vfs_range range;
        if (event.event_len >= event.metadata_len + sizeof range) {
            memcpy(&range, at + event.metadata_len, sizeof range);
            if (range.type == VFS_INFO_RANGE) {
                result->offset = range.offset;
                result->count = range.count;
            }
        }
        if (event.fd >= 0) count++;
        at += event.event_len;
        left -= event.event_len;
    }
    return count;
}

int vfs_fanotify_allow(int group, int file) {
    struct fanotify_response answer = {.fd = file, .response = FAN_ALLOW};
    return write(group, &answer, sizeof answer) == sizeof answer ? 0 : -1;
}

#ifndef SYS_openat2
#define SYS_openat2 437
#endif

enum vfs_call_kind vfs_call_kind(long number) {
    switch (number) {
    case SYS_read: case SYS_write: case SYS_pread64: case SYS_pwrite64: case SYS_readv: case SYS_writev:
    case SYS_preadv: case SYS_pwritev: case SYS_preadv2: case SYS_pwritev2: case SYS_sendfile: case SYS_splice:
    case SYS_copy_file_range: case SYS_mmap: case SYS_readahead: case SYS_ioctl:
        return VFS_CALL_READS;
    case SYS_truncate: case SYS_ftruncate:
        return VFS_CALL_TRUNCATE;
    case SYS_fallocate:
        return VFS_CALL_FALLOCATE;
#ifdef SYS_open
    case SYS_open:
        return VFS_CALL_OPEN;
#endif
#ifdef SYS_creat
    case SYS_creat:
        return VFS_CALL_CREAT;
#endif
    case SYS_openat: case SYS_open_by_handle_at:
        return VFS_CALL_OPENAT;
    case SYS_openat2:
        return VFS_CALL_OPENAT2;
    case SYS_execve: case SYS_execveat:
        return VFS_CALL_EXECUTES;
    default:
        return VFS_CALL_OTHER;
    }
}

int vfs_read_word(pid_t process, uint64_t address, uint64_t *word) {
    struct iovec here = {.iov_base = word, .iov_len = sizeof *word};
    struct iovec there = {.iov_base = (void *)(uintptr_t)address, .iov_len = sizeof *word};
    ssize_t count = process_vm_readv(process, &here, 1, &there, 1, 0);
    if (count == sizeof *word) return 0;
    if (count >= 0) errno = EFAULT;
    return -1;
}

enum {
    VFS_FAN_REPORT_FIDS = 0x00000200 | 0x00000400 | 0x00000800, // FID, DIR_FID, NAME
    VFS_FAN_REPORT_TARGET_FID = 0x00001000,
};

int vfs_change_group(int *has_objects) {
    unsigned flags = FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | VFS_FAN_REPORT_FIDS;
    *has_objects = 1;
    int group = fanotify_init(flags | VFS_FAN_REPORT_TARGET_FID, O_RDONLY | O_CLOEXEC);
    if (group >= 0 || errno != EINVAL) return group;
    *has_objects = 0;
    return fanotify_init(flags, O_RDONLY | O_CLOEXEC);
}

int vfs_change_add(int group, int file, int has_objects) {
    uint64_t mask = VFS_CHANGE_MODIFIED | VFS_CHANGE_ATTRIBUTES | VFS_CHANGE_CREATED | VFS_CHANGE_REMOVED |
                    VFS_CHANGE_OF_DIRECTORY;
    mask |= has_objects ? VFS_CHANGE_MOVED : VFS_CHANGE_MOVED_FROM | VFS_CHANGE_MOVED_TO;
    return fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, mask, file, NULL);
}

enum {
    VFS_INFO_FID = 1,
    VFS_INFO_DFID_NAME = 2,
    VFS_INFO_DFID = 3,
    VFS_INFO_OLD_DFID_NAME = 10,
    VFS_INFO_NEW_DFID_NAME = 12,
    VFS_INFO_HEADER = 4, // type, padding, length (16 bits)
    VFS_INFO_HANDLE = 16, // file system's id (8), length of the handle (4), its type (4)
    VFS_NAME_MAX = 255,
};

// One record of `length` bytes at `offset`; its handle and name, if it has them all.
static int take_info(const char *bytes, uint32_t offset, uint32_t length, struct vfs_bytes *handle, struct vfs_bytes *name) {
    uint32_t fixed = VFS_INFO_HEADER + VFS_INFO_HANDLE, count;
    if (length < fixed) return 0;
    memcpy(&count, bytes + offset + VFS_INFO_HEADER + 8, sizeof count);
    if (count > MAX_HANDLE_SZ || count > length - fixed) return 0;
    // The kernel could make none.
    if (count == 0) return 1;
    *handle = (struct vfs_bytes){.offset = offset + VFS_INFO_HEADER, .length = VFS_INFO_HANDLE + count};
    uint32_t rest = length - fixed - count;
    if (name == NULL) return 1;
    uint32_t characters = (uint32_t)strnlen(bytes + offset + fixed + count, rest);
    // Without its NUL it is none.
    if (characters == rest || characters > VFS_NAME_MAX) return 0;
    *name = (struct vfs_bytes){.offset = offset + fixed + count, .length = characters};
    return 1;
}

int vfs_change_next(const void *bytes, size_t length, size_t *offset, struct vfs_change *change) {
    struct fanotify_event_metadata event;
    if (length > VFS_CHANGE_BYTES || *offset > length || length - *offset < sizeof event) return 0;
    memcpy(&event, (const char *)bytes + *offset, sizeof event);
    if (event.metadata_len < sizeof event || event.event_len < event.metadata_len || event.event_len > length - *offset)
        return 0;
    *change = (struct vfs_change){.mask = event.mask, .process = event.pid};
    uint32_t at = (uint32_t)*offset + event.metadata_len, end = (uint32_t)*offset + event.event_len;
    while (end - at >= VFS_INFO_HEADER) {
        uint16_t size;
        uint8_t type = ((const uint8_t *)bytes)[at];
        memcpy(&size, (const char *)bytes + at + 2, sizeof size);
        if (size < VFS_INFO_HEADER || size > end - at) return 0;
        int makes_sense = 1;
        switch (type) {
        case VFS_INFO_FID:
            makes_sense = take_info(bytes, at, size, &change->object, NULL);
            break;
        case VFS_INFO_DFID:
            makes_sense = take_info(bytes, at, size, &change->directory, NULL);
            break;
        case VFS_INFO_DFID_NAME:
        case VFS_INFO_OLD_DFID_NAME:
            makes_sense = take_info(bytes, at, size, &change->directory, &change->name);
            break;
        case VFS_INFO_NEW_DFID_NAME:
            makes_sense = take_info(bytes, at, size, &change->new_directory, &change->new_name);
            break;
        }
        if (!makes_sense) return 0;
        at += size;
    }
    *offset += event.event_len;
    return 1;
}

int vfs_file_system_id(int file, uint64_t *id) {
    struct statfs status;
    if (fstatfs(file, &status) < 0) return -1;
    _Static_assert(sizeof status.f_fsid == sizeof *id, "an id has eight bytes");
    memcpy(id, &status.f_fsid, sizeof *id);
    return 0;
}
