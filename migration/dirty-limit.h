/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The limiter inside the engine: made with the MigrationState, its thread with the first limit. */
#ifndef MIGRATION_DIRTY_LIMIT_PRIVATE_H
#define MIGRATION_DIRTY_LIMIT_PRIVATE_H

#include "migration/dirty-limit.h"

typedef struct DirtyLimit DirtyLimit;

DirtyLimit *dirty_limit_new(MigrationState *ms);
/* Lifts every limit and joins the thread. Machine lock not held. */
void dirty_limit_stop(DirtyLimit *d);
void dirty_limit_free(DirtyLimit *d);

/* The limit that a migration puts on every vCPU beside those set by hand; the smaller counts. 0
 * lifts it. Any thread. */
void dirty_limit_migration(DirtyLimit *d, uint64_t mb_per_s);
uint64_t dirty_limit_of_migration(DirtyLimit *d);
/* Of the last period: the longest time that a vCPU slept (us), and how long the one that dirties
 * most takes to fill a ring of 4096 pages (us). */
void dirty_limit_stats(DirtyLimit *d, uint64_t *throttle_us, uint64_t *ring_full_us);

/* The share of its time, percent, that a vCPU should sleep, which sleeps `now` percent and dirtied
 * `rate` where `limit` is allowed. Pure. */
unsigned dirty_limit_share(unsigned now, double rate, double limit);

#endif
