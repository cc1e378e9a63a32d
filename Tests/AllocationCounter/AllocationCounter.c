// SPDX-License-Identifier: Apache-2.0
#include "AllocationCounter.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

// A slot for each thread that ever allocated, newest last; a thread number that the kernel uses again gets a new one.
struct slot {
    _Atomic pid_t thread;
    _Atomic int64_t count;
};
enum { slot_limit = 1 << 16 };
static struct slot slots[slot_limit];
static atomic_int used_slots;

int64_t allocation_count(pid_t thread) {
    int used = atomic_load(&used_slots);
    for (int i = (used < slot_limit ? used : slot_limit) - 1; i >= 0; i--)
        if (atomic_load(&slots[i].thread) == thread) return atomic_load(&slots[i].count);
    return -1;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifndef SANITIZED

// glibc's own names for its allocator.
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static void count_one(void) {
    static __thread struct slot *mine;
    if (!mine) {
        int index = atomic_fetch_add(&used_slots, 1);
        if (index >= slot_limit) return;
        mine = &slots[index];
        atomic_store(&mine->thread, (pid_t)syscall(SYS_gettid));
    }
    atomic_fetch_add_explicit(&mine->count, 1, memory_order_relaxed);
}

void *malloc(size_t size) {
    count_one();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    count_one();
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    count_one();
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
    count_one();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count_one();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
    count_one();
    void *memory = __libc_memalign(alignment, size);
    if (!memory) return ENOMEM;
    *result = memory;
    return 0;
}

#endif
