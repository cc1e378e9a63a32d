// SPDX-License-Identifier: Apache-2.0
// fanotify(7): that asks before a file is changed (Linux 6.14), and what a thread of another process is about to do; that tells of
// all changes in a file system (Linux 5.9). The headers of some systems are older.
#ifndef CLINUX_FANOTIFY_H
#define CLINUX_FANOTIFY_H

#include <stdint.h>
#include <sys/types.h>

struct vfs_fanotify_event {
    int32_t file;   // O_RDONLY; ours to close after the answer
    int32_t thread; // who waits, as this process sees it; 0 if it sees it not
    uint64_t offset; // of the page where it begins; 0 for an open
    uint64_t count; // bytes, whole pages; a new length is one page, or none where it is a multiple of pages
    int is_open;    // FAN_OPEN_PERM; else FAN_PRE_ACCESS
};

enum { VFS_FANOTIFY_EVENTS = 16 };

/// A new group whose events wait for an answer. Close-on-exec, never blocking.
int vfs_fanotify_group(void);
/// Asks from now on before `file` is opened and, if `whole`, before it is read or changed. EOPNOTSUPP where the file system does not.
int vfs_fanotify_add(int group, int file, int whole);
int vfs_fanotify_remove(int group, int file);
/// Takes up to VFS_FANOTIFY_EVENTS events. Returns how many, or -1 with errno.
int vfs_fanotify_read(int group, struct vfs_fanotify_event *events);
/// Lets whoever waits go on. Does not close the event's file.
int vfs_fanotify_allow(int group, int file);

enum vfs_call_kind {
    VFS_CALL_OTHER,     // anything
    VFS_CALL_READS,     // reads, writes and maps; no file gets shorter
    VFS_CALL_TRUNCATE,  // to argument 1
    VFS_CALL_FALLOCATE, // mode in argument 1, offset in argument 2
    VFS_CALL_OPEN,      // flags in argument 1
    VFS_CALL_OPENAT,    // flags in argument 2
    VFS_CALL_OPENAT2,   // flags behind the address in argument 2
    VFS_CALL_CREAT,
    VFS_CALL_EXECUTES,  // opens for reading
};
/// What the system call `number` of this architecture does with files.
enum vfs_call_kind vfs_call_kind(long number);

/// Reads eight bytes of another process's memory. 0, or -1 with errno.
int vfs_read_word(pid_t process, uint64_t address, uint64_t *word);

// ---- what has changed in whole file systems ----

enum {
    VFS_CHANGE_MODIFIED = 0x2,
    VFS_CHANGE_ATTRIBUTES = 0x4,
    VFS_CHANGE_MOVED_FROM = 0x40, // before Linux 5.17
    VFS_CHANGE_MOVED_TO = 0x80,
    VFS_CHANGE_CREATED = 0x100,
    VFS_CHANGE_REMOVED = 0x200,
    VFS_CHANGE_LOST = 0x4000, // the queue was full
    VFS_CHANGE_MOVED = 0x10000000,
    VFS_CHANGE_OF_DIRECTORY = 0x40000000,
};

/// Some of the bytes that `vfs_change_next` has been given; `length` 0: there are none.
struct vfs_bytes {
    uint32_t offset;
    uint32_t length;
};

/// A handle is the eight bytes of the file system's id and a struct file_handle.
struct vfs_change {
    uint64_t mask;    // VFS_CHANGE_*
    int32_t process;  // as this process sees it; 0 if it sees it not
    struct vfs_bytes object, directory, name;
    struct vfs_bytes new_directory, new_name; // of MOVED; the others are the old ones
};

enum { VFS_CHANGE_BYTES = 65536 }; // of a buffer that many events fit in

/// A new group that tells of changes, with names. Close-on-exec, never blocking. `*has_objects` is 0 where the kernel names no objects in
/// what happens to names (before 5.17), and has MOVED_FROM and MOVED_TO instead of MOVED.
int vfs_change_group(int *has_objects);
/// Tells of all changes in the file system that `file`, no O_PATH, is on. EOPNOTSUPP, ENODEV, EXDEV: it has no handles that tell.
int vfs_change_add(int group, int file, int has_objects);
/// Takes the event at `*offset` of `length` bytes that read(2) has given and moves `*offset` behind it. 0: there is none, or it makes no
/// sense. Of an event that came from elsewhere nothing lies outside the buffer.
int vfs_change_next(const void *bytes, size_t length, size_t *offset, struct vfs_change *change);
/// The id of the file system that `file` is on, as handles have it.
int vfs_file_system_id(int file, uint64_t *id);

#endif
