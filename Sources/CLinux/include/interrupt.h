// SPDX-License-Identifier: Apache-2.0
// A timer that interrupts one thread's blocking system call, again and again, until the thread deletes it.
#ifndef CLINUX_INTERRUPT_H
#define CLINUX_INTERRUPT_H

/// Makes the signal of vfs_interrupt_* end a system call with EINTR: a handler that does nothing, without SA_RESTART.
/// For the whole process; calling it again changes nothing.
int vfs_interrupt_install(void);
/// A disarmed timer whose signal goes to the calling thread, which must not have the signal blocked: unblocks it.
int vfs_interrupt_timer_create(void **timer);
/// Sends the signal now and every `period_us` microseconds until the timer is deleted.
int vfs_interrupt_timer_arm(void *timer, long period_us);
int vfs_interrupt_timer_delete(void *timer);

#endif
