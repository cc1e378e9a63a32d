// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <time.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid // glibc has the field, older ones no name for it
#endif

static int interrupt_signal(void) { return SIGRTMIN; } // a function in glibc, not a constant

static void ignore(int signal) { (void)signal; }

int vfs_interrupt_install(void) {
    struct sigaction action = {.sa_handler = ignore};
    sigemptyset(&action.sa_mask);
    return sigaction(interrupt_signal(), &action, NULL);
}

int vfs_interrupt_timer_create(void **timer) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, interrupt_signal());
    int code = pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    if (code != 0) {
        errno = code;
        return -1;
    }
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = interrupt_signal()};
    event.sigev_notify_thread_id = gettid();
    timer_t created;
    if (timer_create(CLOCK_MONOTONIC, &event, &created) != 0) return -1;
    *timer = created;
    return 0;
}

int vfs_interrupt_timer_arm(void *timer, long period_us) {
    struct itimerspec when = {
        .it_value = {.tv_nsec = 1},
        .it_interval = {.tv_sec = period_us / 1000000, .tv_nsec = period_us % 1000000 * 1000},
    };
    return timer_settime(timer, 0, &when, NULL);
}

int vfs_interrupt_timer_delete(void *timer) { return timer_delete(timer); }
