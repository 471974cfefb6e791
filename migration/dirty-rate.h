/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the rooms of a dirty rate measurement: dirty-rate.c (state machine and thread),
 * dirty-rate-sample.c (checksums and zeros of some pages), dirty-rate-log.c (the dirty log).
 * DirtyRate.lock (leaf) guards info, survey, quit and the thread's handle; nothing is called with
 * it held but the clock.
 */
#ifndef MIGRATION_DIRTY_RATE_PRIVATE_H
#define MIGRATION_DIRTY_RATE_PRIVATE_H

#include "migration/dirty-rate.h"
#include "state.h"

typedef struct DirtyRate {
    MigrationState *ms;
    pthread_mutex_t lock;
    pthread_cond_t cond;   /* quit, and the end of the thread */
    GThread *thread;
    bool running, quit;
    DirtyRateInfo info;
    bool has_survey;
    DirtySurvey survey;
} DirtyRate;

DirtyRate *dirty_rate_new(MigrationState *ms);
void dirty_rate_free(DirtyRate *dr);
/* Ends a measurement and joins its thread; no other can be started. Machine lock not held. */
void dirty_rate_stop(DirtyRate *dr);

/* Measuring thread: sleeps until then by the engine's clock; false if told to quit. */
bool dirty_rate_wait(DirtyRate *dr, int64_t until_ns);
/* MiB/s of so many pages in so many ns. */
uint64_t dirty_rate_mib(double pages, int64_t ns);

/* What a measurement found. */
typedef struct DirtyRateResult {
    uint64_t rate; /* MiB/s */
    unsigned nr_vcpus;
    uint64_t vcpu_rate[MIGRATION_LATENCY_MAX_VCPUS];
    bool has_survey;
    DirtySurvey survey;
} DirtyRateResult;

/* One measurement each. Measuring thread; false with *errp, also when told to quit. */
bool dirty_rate_by_sample(DirtyRate *dr, int64_t calc_ns, uint64_t per_gib, DirtyRateResult *out,
                          GError **errp);
bool dirty_rate_by_log(DirtyRate *dr, int64_t calc_ns, DirtyRateResult *out, GError **errp);
bool dirty_rate_by_vcpu(DirtyRate *dr, int64_t calc_ns, DirtyRateResult *out, GError **errp);
/* Fills in the shares of pages that read as zeros, by a sample that touches no untouched page. */
void dirty_rate_zeros(MigrationState *ms, DirtySurvey *s);
/* The place (DirtySurvey) that a page lies in. */
unsigned dirty_rate_place(MigrationState *ms, const RAMBlock *block, uint64_t page);

#endif
