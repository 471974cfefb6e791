/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits of how fast each vCPU may dirty memory: only those that do are slowed down. Set by hand,
 * or by a migration with the capability dirty-limit. Any thread, returns at once.
 * docs/devel/migration/dirty-limit; QMP shapes: QEMU's. MB are 2^20 bytes.
 */
#ifndef MIGRATION_DIRTY_LIMIT_H
#define MIGRATION_DIRTY_LIMIT_H

#include "migration/ram.h"
#include "migration/status.h"

typedef struct DirtyLimitInfo {
    unsigned vcpu;
    uint64_t limit_mb;   /* MB/s */
    uint64_t current_mb; /* MB/s, in the last period */
    unsigned percent;    /* of its time that it sleeps for that */
} DirtyLimitInfo;

/* Whether this machine can tell who dirties, and slow one vCPU down; false with *errp. */
bool gw_dirty_limit_supported(MigrationState *ms, GError **errp);
/* Limits one vCPU, or all (-1). mb_per_s 0 lifts the limit. False with *errp if there is no such
 * vCPU or the machine cannot do it. */
bool gw_dirty_limit_set(MigrationState *ms, int vcpu, uint64_t mb_per_s, GError **errp);
/* The vCPUs that have a limit now; returns how many. */
unsigned gw_dirty_limit_query(MigrationState *ms,
                              DirtyLimitInfo info[MIGRATION_LATENCY_MAX_VCPUS]);

#endif
