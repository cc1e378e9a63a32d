// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <stdlib.h>

// Seen from another pid namespace than the one that `tasks` was mounted for, the calling thread has another number there than
// gettid(2) says: it is the one whose status says so. NSpid lists its numbers, the innermost last.
static int is_calling_thread(int tasks, const char *name) {
    char path[64], text[4096];
    snprintf(path, sizeof path, "%.20s/status", name);
    int file = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    if (count <= 0) return 0;
    text[count] = '\0';
    char *line = strstr(text, "\nNSpid:");
    if (line == NULL) return atoi(name) == gettid(); // a kernel without pid namespaces
    line += sizeof "\nNSpid:" - 1;
    int number = 0, length = 0;
    while (sscanf(line, "%*[\t ]%d%n", &number, &length) == 1) line += length;
    return number == gettid();
}

// Not by opendir(3), which makes calls that a thread with a filter may not.
int vfs_open_thread_attributes(int tasks) {
    int directory = openat(tasks, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return -1;
    int result = -1, error = ENOENT;
    _Alignas(struct dirent64) char entries[4096];
    ssize_t count;
    while (result < 0 && (count = getdents64(directory, entries, sizeof entries)) > 0) {
        for (ssize_t offset = 0; result < 0 && offset < count;) {
            const struct dirent64 *entry = (const void *)(entries + offset);
            offset += entry->d_reclen;
            if (entry->d_name[0] == '.' || !is_calling_thread(tasks, entry->d_name)) continue;
            char path[64];
            snprintf(path, sizeof path, "%.20s/attr", entry->d_name);
            result = openat(tasks, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
            error = errno;
        }
    }
    close(directory);
    errno = error;
    return result;
}

int vfs_open_fscreate(int attributes) { return openat(attributes, "fscreate", O_WRONLY | O_CLOEXEC); }
