// SPDX-License-Identifier: Apache-2.0
// fanotify(7) that asks before a file is changed (Linux 6.14), and what a thread of another process is about to do. The headers of
// some systems are older.
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

#endif
