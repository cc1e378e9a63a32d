// SPDX-License-Identifier: Apache-2.0
// The records of the state arena: everything that a guest believes about a share and its device, in one memfd.
//
// No pointers, fixed sizes, zero is "free": a process that maps the same memfd understands all of it. A record's body is
// written before its state says that it is live. Fields that one thread writes while another reads are only touched
// through the atomic accessors below; all others are constant while the record is live, or guarded by their table's lock.
#ifndef CLINUX_ARENA_H
#define CLINUX_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VFS_ARENA_MAGIC 0x414e455241534656ull // "VFSARENA"

enum {
    VFS_ARENA_VERSION = 1,
    VFS_QUEUE_MAX_SIZE = 1024,
    VFS_HANDLE_BYTES = 56, // of a host file handle; longer ones are not kept
    VFS_SESSION_BYTES = 64,
};

// ---- slots: what inodes and handles have in common ----

enum { VFS_SLOT_FREE = 0, VFS_SLOT_LIVE = 1, VFS_SLOT_RETIRED = 2 };

struct vfs_slot {
    uint32_t state;      // VFS_SLOT_*, the valid mark
    uint32_t generation; // high half of a nodeid or fh; one more with each reuse
    uint32_t next;       // free list, or hash chain of the live
    uint32_t flags;      // atomic bits
};

struct vfs_slot_control {
    uint32_t unused; // the first slot that was never used
    uint32_t free;   // head of the free list, 0 if empty
    uint32_t live;
    uint32_t reserved;
};

// ---- inodes ----

enum {
    VFS_INODE_KEEPS_DESCRIPTOR = 1 << 0, // the descriptor is the reference: never closed before the record is retired
    VFS_INODE_VERIFIED = 1 << 1,         // the handle was seen to lead to the object that the identity names
    VFS_INODE_RECENT = 1 << 2,           // the descriptor was used since the clock's hand last passed
    VFS_INODE_INDEXED = 1 << 3,          // found by its identity
    VFS_INODE_ON_MOUNT = 1 << 4,         // holds one reference to its mount record
    VFS_INODE_MANDATORY_BIT = 1 << 5,    // was seen with set-group-ID and without group execution: no program's
    VFS_INODE_REPLACED = 1 << 6,         // lost its name while it lived by an open file: a handle would lead nowhere
};

struct vfs_inode {
    struct vfs_slot slot;
    uint64_t lookups; // how many references the guest holds; under the table's lock
    uint64_t number;  // st_ino
    uint64_t device;  // major << 32 | minor
    int64_t birth_seconds;
    uint32_t birth_nanoseconds; // UINT32_MAX: the file system tells no birth time
    uint32_t mount;             // STATX_MNT_ID
    int32_t descriptor;         // O_PATH descriptor, -1, or -2 - n: n, of the open file that made it; atomic
    uint32_t type;              // S_IFMT bits of the mode
    // Laid out like struct file_handle of open_by_handle_at(2).
    uint32_t handle_bytes; // 0: there is no handle; written before the descriptor that stood in for it goes
    int32_t handle_type;
    uint8_t handle[VFS_HANDLE_BYTES];
};

// ---- open files and directories ----

struct vfs_handle {
    struct vfs_slot slot;
    uint64_t node;     // nodeid
    uint64_t position; // directories: where the descriptor stands, UINT64_MAX if that is not known
    int32_t descriptor;
    uint32_t kind;       // what opened it
    uint32_t open_flags; // of the guest's open(2)
    uint32_t reserved[5];
};

// ---- mounts below the share ----

struct vfs_mount {
    uint32_t references; // of inode records; 0 is a free record
    uint32_t id;         // STATX_MNT_ID
    int32_t descriptor;  // O_RDONLY, for open_by_handle_at(2)
    uint32_t reserved;
};

// ---- queues and sessions ----

struct vfs_queue {
    uint64_t descriptor_table; // ring addresses in the VMM's address space
    uint64_t available_ring;
    uint64_t used_ring;
    uint32_t size;
    uint32_t flags;
    uint16_t next_available;
    uint16_t next_used;
    uint32_t reserved;
    uint64_t sequence; // counts the heads that were taken
    uint64_t padding[2];
    uint64_t in_flight[VFS_QUEUE_MAX_SIZE]; // by head: its sequence number while it is handled, else 0
};

struct vfs_session {
    uint8_t fuse[VFS_SESSION_BYTES]; // FuseServer's negotiated state
    uint64_t virtio_features;
    uint64_t protocol_features;
    uint64_t file_system_flags; // FUSE_INIT flags in force; atomic
    uint64_t reserved[5];
};

// ---- the header, at offset 0 ----

struct vfs_arena {
    uint64_t magic;
    uint32_t version;
    uint32_t inode_capacity;
    uint32_t handle_capacity;
    uint32_t mount_capacity;
    uint32_t queue_capacity;
    uint32_t reserved;
    uint64_t inodes; // offsets of the tables in bytes
    uint64_t handles;
    uint64_t mounts;
    uint64_t queues;
    struct vfs_slot_control inode_slots;
    struct vfs_slot_control handle_slots;
    struct vfs_session session;
};

_Static_assert(sizeof(struct vfs_slot) == 16, "layout version 1");
_Static_assert(sizeof(struct vfs_inode) == 128, "layout version 1: at most 160 bytes, two cache lines");
_Static_assert(offsetof(struct vfs_inode, handle_bytes) == 64, "the handle has its own cache line");
_Static_assert(sizeof(struct vfs_handle) == 64, "layout version 1");
_Static_assert(sizeof(struct vfs_mount) == 16, "layout version 1");
_Static_assert(sizeof(struct vfs_queue) == 64 + 8 * VFS_QUEUE_MAX_SIZE, "layout version 1");
_Static_assert(sizeof(struct vfs_session) == 128, "layout version 1");
_Static_assert(sizeof(struct vfs_arena) == 224, "layout version 1");
_Static_assert(VFS_HANDLE_BYTES + offsetof(struct vfs_inode, handle) == sizeof(struct vfs_inode), "no tail padding");

// ---- atomic accessors ----

// Heads are below VFS_QUEUE_MAX_SIZE, a power of two; the mask keeps any other one inside the array.
static inline uint64_t vfs_queue_mark(const struct vfs_queue *q, uint16_t head) {
    return __atomic_load_n(&q->in_flight[head & (VFS_QUEUE_MAX_SIZE - 1)], __ATOMIC_ACQUIRE);
}
static inline void vfs_queue_set_mark(struct vfs_queue *q, uint16_t head, uint64_t sequence) {
    __atomic_store_n(&q->in_flight[head & (VFS_QUEUE_MAX_SIZE - 1)], sequence, __ATOMIC_RELEASE);
}
static inline void vfs_queue_set_next_available(struct vfs_queue *q, uint16_t v) {
    __atomic_store_n(&q->next_available, v, __ATOMIC_RELEASE);
}
static inline void vfs_queue_set_size(struct vfs_queue *q, uint32_t v) {
    __atomic_store_n(&q->size, v, __ATOMIC_RELEASE);
}

static inline uint32_t vfs_slot_state(const struct vfs_slot *s) { return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE); }
static inline void vfs_slot_set_state(struct vfs_slot *s, uint32_t v) { __atomic_store_n(&s->state, v, __ATOMIC_RELEASE); }
static inline uint32_t vfs_slot_generation(const struct vfs_slot *s) {
    return __atomic_load_n(&s->generation, __ATOMIC_RELAXED);
}
static inline void vfs_slot_set_generation(struct vfs_slot *s, uint32_t v) {
    __atomic_store_n(&s->generation, v, __ATOMIC_RELAXED);
}
static inline uint32_t vfs_slot_flags(const struct vfs_slot *s) { return __atomic_load_n(&s->flags, __ATOMIC_ACQUIRE); }
static inline void vfs_slot_set_flags(struct vfs_slot *s, uint32_t bits) {
    __atomic_fetch_or(&s->flags, bits, __ATOMIC_ACQ_REL);
}
static inline void vfs_slot_clear_flags(struct vfs_slot *s, uint32_t bits) {
    __atomic_fetch_and(&s->flags, ~bits, __ATOMIC_ACQ_REL);
}
static inline int32_t vfs_inode_descriptor(const struct vfs_inode *i) {
    return __atomic_load_n(&i->descriptor, __ATOMIC_ACQUIRE);
}
/// Only on a record that nobody can find; one who comes too late with `vfs_inode_exchange` may still try, and must fail.
static inline void vfs_inode_set_descriptor(struct vfs_inode *i, int32_t fd) {
    __atomic_store_n(&i->descriptor, fd, __ATOMIC_RELAXED);
}
/// Stores `fd` in the place of `former`; false if that is not there.
static inline bool vfs_inode_exchange(struct vfs_inode *i, int32_t former, int32_t fd) {
    return __atomic_compare_exchange_n(&i->descriptor, &former, fd, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
/// Takes the descriptor out of the record.
static inline int32_t vfs_inode_take(struct vfs_inode *i) { return __atomic_exchange_n(&i->descriptor, -1, __ATOMIC_SEQ_CST); }

#endif
