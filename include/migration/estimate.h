/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a migration would take: a model of precopy, auto-converge, background-sync and postcopy that
 * starts from a measured dirty curve. The same code answers migrate-estimate, tells during a
 * migration when it will end, and is bench/simulate.
 *
 * gw_estimate() and gw_estimate_recommend() are pure; any thread. The model and its error against
 * measured runs: docs/devel/migration/estimate.
 */
#ifndef MIGRATION_ESTIMATE_H
#define MIGRATION_ESTIMATE_H

#include "migration/dirty-rate.h"

typedef enum EstimateMethod {
    ESTIMATE_PRECOPY,
    ESTIMATE_AUTO_CONVERGE,
    ESTIMATE_BACKGROUND_SYNC, /* auto-converge with background-sync */
    ESTIMATE_POSTCOPY,        /* switched to at the end of the first pass */
    ESTIMATE_METHOD__COUNT,
} EstimateMethod;

/* "precopy", "auto-converge", "background-sync", "postcopy": static. */
const char *gw_estimate_method_name(EstimateMethod m);

/* Everything the model knows. Times in seconds, shares 0..1, throttle in percent. */
typedef struct EstimateInput {
    DirtySurvey survey;
    double bandwidth;        /* bytes/s that the stream gets */
    double downtime_limit_s;
    double setup_s;          /* until the first page */
    double switch_s;         /* the guest's pause if no page is left: devices, the last answers */
    double zero_page_s;      /* finding out that one page is zero */
    double write_fault_s;    /* the guest's first write to a page after it was protected */
    double page_fault_s;     /* postcopy: from a fault to the page */
    unsigned vcpus;          /* that share the time which faults take */
    unsigned throttle_initial, throttle_increment, throttle_max, throttle_trigger;
    double sync_interval_s;  /* background-sync: between two looks */
    unsigned sync_threshold; /* its own, in place of throttle_trigger */
    unsigned sync_finish;    /* percent of its time that a migration may cost to end it */
    bool sync_first_pass;
} EstimateInput;

/* Sets all but survey and bandwidth to the engine's defaults. */
void gw_estimate_defaults(EstimateInput *in);

typedef struct EstimateResult {
    bool converges;
    double total_s, downtime_s; /* only if it converges */
    double bytes;               /* on the wire */
    double slowdown;            /* share of its time that the guest loses, in the mean */
    unsigned passes, throttle;  /* the highest throttle, percent */
    char reason[256];           /* why it does not converge; "" */
} EstimateResult;

void gw_estimate(const EstimateInput *in, EstimateMethod method, EstimateResult *out);

/* Pages that the guest writes to in the long run, as far as the curve tells. */
double gw_estimate_working_set(const EstimateInput *in);

/* A migration that is under way. */
typedef struct EstimateProgress {
    bool first_pass;
    double begun_s;         /* since the migration began */
    double pass_s, ran_s;   /* since this pass began, and how much of that the guest ran */
    double remaining_pages; /* of this pass */
    unsigned throttle;      /* percent, now */
} EstimateProgress;

/* From here on: total_s and bytes are what is still to come. Precopy methods only. */
void gw_estimate_rest(const EstimateInput *in, const EstimateProgress *p, EstimateMethod method,
                      EstimateResult *out);

/*
 * The method to take, and why. A second that the guest loses counts as much as four seconds of
 * migration, and postcopy, which cannot go back, a quarter more than its time.
 * ESTIMATE_METHOD__COUNT if none converges.
 */
EstimateMethod gw_estimate_recommend(const EstimateResult results[ESTIMATE_METHOD__COUNT],
                                     char *why, size_t size);

/* Where a bandwidth comes from. */
typedef enum EstimateBandwidth {
    ESTIMATE_BANDWIDTH_GIVEN,
    ESTIMATE_BANDWIDTH_AVAIL,    /* parameter avail-switchover-bandwidth */
    ESTIMATE_BANDWIDTH_MEASURED, /* what the present or last migration reached */
    ESTIMATE_BANDWIDTH_LIMIT,    /* parameter max-bandwidth, and nothing lower is known */
    ESTIMATE_BANDWIDTH_ASSUMED,  /* nothing is known: 10 Gb/s */
    ESTIMATE_BANDWIDTH__COUNT,
} EstimateBandwidth;

/* "given", "avail-switchover-bandwidth", ...: static. */
const char *gw_estimate_bandwidth_name(EstimateBandwidth source);

#define ESTIMATE_ASSUMED_BANDWIDTH 1.25e9 /* bytes/s: 10 Gb/s */

/*
 * Sees to a survey that is not older than a minute: *ready if there is one, else a measurement of
 * calc_time_ms goes on; ask again. `fresh`: measure anew. False with *errp if there will be none.
 */
bool gw_estimate_survey(MigrationState *ms, bool fresh, int64_t calc_time_ms, bool *ready,
                        GError **errp);
/*
 * Fills *in from the last survey, the parameters and what is known of the link; `bandwidth` in
 * bytes/s, 0: find one. max-bandwidth caps all but a given one. False with *errp if there is no
 * survey: see gw_estimate_survey(). Any thread, returns at once.
 */
bool gw_estimate_input(MigrationState *ms, uint64_t bandwidth, EstimateInput *in,
                       EstimateBandwidth *source, GError **errp);
/* How long ago in ns its survey was taken. */
int64_t gw_estimate_age_ns(MigrationState *ms, const EstimateInput *in);

#endif
