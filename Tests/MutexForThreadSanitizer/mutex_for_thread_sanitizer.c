// SPDX-License-Identifier: Apache-2.0
// Tells the thread sanitizer what Swift's Mutex does when threads meet at it.
//
// Swift compiles the quick way through a Mutex, an atomic exchange, into its user, where the sanitizer sees it. When another
// thread has the lock, library code takes and gives it by futex calls (FUTEX_LOCK_PI), which the sanitizer does not see: all that
// the lock guards looks like a race then. These functions are called instead, call the library's, and name the order that the
// lock makes: an unlock happens before the lock that follows. Nothing else is hidden from the sanitizer.
#include "mutex_for_thread_sanitizer.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

// Methods of Synchronization._MutexHandle by their mangled names; `self` is passed as Swift passes it.
#define METHOD __attribute__((swiftcall, visibility("default")))
#define SELF __attribute__((swift_context)) void *self
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

typedef __attribute__((swiftcall)) void lock_method(uint32_t thread, SELF);
typedef __attribute__((swiftcall)) bool try_lock_method(SELF);
typedef __attribute__((swiftcall)) void unlock_method(SELF);

static void *librarys(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort();
    return function;
}

METHOD void lock_slow(uint32_t thread, SELF) __asm__(LOCK);
METHOD void lock_slow(uint32_t thread, SELF) {
    ((lock_method *)librarys(LOCK))(thread, self);
    __tsan_acquire(self);
}

METHOD bool try_lock_slow(SELF) __asm__(TRY_LOCK);
METHOD bool try_lock_slow(SELF) {
    bool taken = ((try_lock_method *)librarys(TRY_LOCK))(self);
    if (taken) __tsan_acquire(self);
    return taken;
}

METHOD void unlock_slow(SELF) __asm__(UNLOCK);
METHOD void unlock_slow(SELF) {
    __tsan_release(self);
    ((unlock_method *)librarys(UNLOCK))(self);
}
