/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast the guest writes to its memory: calc-dirty-rate and query-dirty-rate, and the dirty
 * curve that an estimate of a migration starts from. One measurement at a time and machine, on a
 * thread of its own; it may run beside an outgoing migration.
 * Any thread, returns at once. docs/devel/migration/estimate; QMP shapes: QEMU's.
 */
#ifndef MIGRATION_DIRTY_RATE_H
#define MIGRATION_DIRTY_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "migration/ram.h"
#include "migration/status.h"

typedef enum DirtyRateMode {
    DIRTY_RATE_PAGE_SAMPLING, /* checksums of some pages, before and after */
    DIRTY_RATE_DIRTY_RING,    /* counts per vCPU, where the accelerator has them */
    DIRTY_RATE_DIRTY_BITMAP,  /* the dirty log: every page, and the curve */
    DIRTY_RATE_MODE__COUNT,
} DirtyRateMode;

typedef enum DirtyRateStatus {
    DIRTY_RATE_UNSTARTED,
    DIRTY_RATE_MEASURING,
    DIRTY_RATE_MEASURED,
    DIRTY_RATE_STATUS__COUNT,
} DirtyRateStatus;

/* "page-sampling", ...; "unstarted", ...: static. */
const char *gw_dirty_rate_mode_name(DirtyRateMode mode);
const char *gw_dirty_rate_status_name(DirtyRateStatus status);

#define DIRTY_RATE_MIN_MS         50
#define DIRTY_RATE_MAX_MS         60000
#define DIRTY_RATE_MIN_SAMPLES    128
#define DIRTY_RATE_MAX_SAMPLES    16384
#define DIRTY_RATE_DEFAULT_SAMPLES 512

typedef struct DirtyRateRequest {
    DirtyRateMode mode;
    int64_t calc_time_ms;  /* DIRTY_RATE_MIN_MS to DIRTY_RATE_MAX_MS */
    bool has_sample_pages; /* page-sampling only */
    int64_t sample_pages;  /* per GiB */
} DirtyRateRequest;

typedef struct DirtyRateInfo {
    DirtyRateStatus status;
    DirtyRateMode mode;
    int64_t start_time_s;  /* seconds since 1970 */
    int64_t calc_time_ms;
    uint64_t sample_pages; /* per GiB; 0 unless page-sampling */
    uint64_t rate;         /* MiB/s; when measured */
    unsigned nr_vcpus;     /* dirty-ring: how many of these there are */
    uint64_t vcpu_rate[MIGRATION_LATENCY_MAX_VCPUS]; /* MiB/s */
    char error[256];       /* why the last measurement came to nothing; "" */
} DirtyRateInfo;

/* Starts a measurement; false with *errp if the request is out of range, one runs already, or this
 * machine has no such mode. */
bool gw_dirty_rate_start(MigrationState *ms, const DirtyRateRequest *req, GError **errp);
/* The present or last measurement. */
void gw_dirty_rate_query(MigrationState *ms, DirtyRateInfo *info);
/* Waits until none runs. For tests and tools; not from the main loop. */
void gw_dirty_rate_wait(MigrationState *ms);

#define DIRTY_CURVE_MAX 16

/*
 * How many different pages the guest writes within a time: pages[i] within t_s[i] seconds, both
 * ascending. What a measurement saw, not a fit.
 */
typedef struct DirtyCurve {
    unsigned n;
    double t_s[DIRTY_CURVE_MAX];
    double pages[DIRTY_CURVE_MAX];
    double sync_s;         /* one look at the whole dirty log, seconds */
} DirtyCurve;

#define DIRTY_PLACES 16

/* What a measurement by dirty-bitmap tells of the guest's memory. Places are parts of RAM of the
 * same size, in the order in which the first pass sends them. */
typedef struct DirtySurvey {
    DirtyCurve curve;
    uint64_t ram_pages;    /* that would migrate */
    double zero_share;     /* of ram_pages, 0..1: read as zeros, sampled */
    double zero_at[DIRTY_PLACES];  /* the same of each place */
    double dirty_at[DIRTY_PLACES]; /* written pages found there, as parts of all that were found */
    double busy_share;     /* of its time that the busiest vCPU had work, 0..1; 0: not known */
    bool late_protect;     /* the log protects a page when it is sent, not at the last look */
    int64_t taken_ns;      /* when, by the engine's clock */
} DirtySurvey;

/* The last measurement by dirty-bitmap; false if there was none. */
bool gw_dirty_survey_get(MigrationState *ms, DirtySurvey *out);

#endif
