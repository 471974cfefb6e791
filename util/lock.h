/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small helpers on pthread mutexes and conditions. Pthreads and not GLib's own, because the thread
 * sanitizer understands them. Any thread.
 */
#ifndef UTIL_LOCK_H
#define UTIL_LOCK_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline pthread_mutex_t *lock_guard_take(pthread_mutex_t *m)
{
    pthread_mutex_lock(m);
    return m;
}

static inline void lock_guard_drop(pthread_mutex_t **m)
{
    pthread_mutex_unlock(*m);
}

/* Holds the mutex until the end of the enclosing block. */
#define LOCK_GUARD(mutex) \
    __attribute__((cleanup(lock_guard_drop), unused)) pthread_mutex_t *lock_guard_ = \
        lock_guard_take(mutex)

/* A condition whose timed waits use the monotonic clock. */
static inline void cond_init_monotonic(pthread_cond_t *c)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

/* False when the deadline (monotonic ns) has come. */
static inline bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline_ns)
{
    const struct timespec ts = {deadline_ns / 1000000000, deadline_ns % 1000000000};

    return pthread_cond_timedwait(c, m, &ts) != ETIMEDOUT;
}

#endif
