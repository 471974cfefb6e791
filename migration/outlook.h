/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When will the migration that goes on end, and will it? The model of migration/estimate.h, fed
 * with what this migration's own passes left dirty. All of it under ms->lock: the migration thread
 * notes, whoever asks query-migrate computes. No wire message.
 */
#ifndef MIGRATION_OUTLOOK_H
#define MIGRATION_OUTLOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "migration/ram.h"
#include "migration/status.h"

#define OUTLOOK_PASSES 6

typedef struct Outlook {
    int64_t pass_start_ns;  /* 0: RAM has not begun */
    int64_t seen_ns;        /* up to here ran_s is counted */
    double ran_s;           /* that the guest ran in this pass: less than it took when throttled */
    unsigned throttle;      /* percent, since seen_ns */
    double busy_share;      /* of the survey before it */
    uint64_t passes;        /* that ended */
    double t_s[OUTLOOK_PASSES], pages[OUTLOOK_PASSES]; /* of the last: ran_s, what they left */
    double bytes_per_s;     /* of the stream, smoothed; 0: not known yet */
    unsigned windows;       /* that bytes_per_s comes from */
} Outlook;

/* Migration thread, ms->lock not held. The first pass begins. */
void outlook_begin(MigrationState *ms);
/* So many bytes and pages, zero pages among them, went out within ns. */
void outlook_sent(MigrationState *ms, uint64_t bytes, uint64_t pages, int64_t ns);
/* A pass has ended, and a look at the dirty log found so many bytes. */
void outlook_pass_ended(MigrationState *ms, uint64_t pending);

/* Fills in the expected end and whether there will be one. ms->lock held; status, RAM counters,
 * times and throttle of *info are there. */
void outlook_fill(MigrationState *ms, MigrationInfo *info);

#endif
