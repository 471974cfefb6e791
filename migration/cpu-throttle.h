/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * auto-converge: when the guest dirties memory faster than it is sent, its vCPUs are slowed down,
 * more and more, until the migration gets ahead of it.
 * Whoever has just synced the dirty log calls in, one thread at a time (RamSave.sync_lock); the
 * percentage may be read by any thread.
 */
#ifndef MIGRATION_CPU_THROTTLE_H
#define MIGRATION_CPU_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "migration/ram.h"

/* Of the present or last outgoing migration. */
typedef struct CpuThrottle {
    unsigned percent;        /* atomic; 0: vCPUs run freely */
    unsigned busy_periods;   /* periods above the threshold since the last step */
    int64_t period_start_ns; /* 0: no period has begun */
    uint64_t period_sent;    /* bytes sent when it began */
    uint64_t period_dirty;   /* bytes found dirty in it */
} CpuThrottle;

/* The migration begins to send. */
void cpu_throttle_start(MigrationState *ms);
/* A sync has found `new_pages` target pages that have to be sent again. True if it changed the
 * throttle. */
bool cpu_throttle_synced(MigrationState *ms, uint64_t new_pages);
/* The same while a pass goes on for long: this look alone decides, however short the period. */
bool cpu_throttle_synced_in_pass(MigrationState *ms, uint64_t new_pages);
/* Pages that count for the next look. */
void cpu_throttle_found(MigrationState *ms, uint64_t new_pages);
/*
 * background-sync, at the end of a pass that left `pending` bytes, the one before `last`. If the
 * guest keeps up with the link (a second in which it stands would save four and more: as in
 * gw_estimate_recommend(), that is when it pays), and to send the rest takes no more than
 * background-sync-finish percent of the time that the migration has taken, the throttle goes to its
 * maximum: it ends now. Migration thread.
 */
void cpu_throttle_finish(MigrationState *ms, uint64_t pending, uint64_t last);
/* Whether the throttle cannot grow any further. */
bool cpu_throttle_is_at_max(MigrationState *ms);
/* The migration has ended or the guest has left: vCPUs run freely again. Any thread. */
void cpu_throttle_end(MigrationState *ms);
/* Percent of their time that vCPUs sleep for this migration; 0: not throttled. Any thread. */
unsigned cpu_throttle_percent(const MigrationState *ms);

#endif
