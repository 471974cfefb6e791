/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an estimate starts from: the last survey of the guest's memory, the parameters, and the best
 * word on the link's bandwidth. Any thread; takes the leaf locks of those for a moment each.
 */
#include "estimate-input.h"

#include "error.h"
#include "outgoing.h"

#define FRESH_NS   (60 * INT64_C(1000000000))
#define FAILED_S   10 /* for so long a failed measurement is not tried again */

const char *gw_estimate_bandwidth_name(EstimateBandwidth source)
{
    static const char *const names[ESTIMATE_BANDWIDTH__COUNT] = {
        [ESTIMATE_BANDWIDTH_GIVEN] = "given",
        [ESTIMATE_BANDWIDTH_AVAIL] = "avail-switchover-bandwidth",
        [ESTIMATE_BANDWIDTH_MEASURED] = "measured",
        [ESTIMATE_BANDWIDTH_LIMIT] = "max-bandwidth",
        [ESTIMATE_BANDWIDTH_ASSUMED] = "assumed-10-gbit",
    };

    return source < ESTIMATE_BANDWIDTH__COUNT ? names[source] : "unknown";
}

static double find_bandwidth(MigrationState *ms, uint64_t given, EstimateBandwidth *source)
{
    const uint64_t avail = gw_param_get(ms, MIGRATION_PARAM_AVAIL_SWITCHOVER_BANDWIDTH);
    const double limit = (double)gw_param_get(ms, MIGRATION_PARAM_MAX_BANDWIDTH);
    double found = ESTIMATE_ASSUMED_BANDWIDTH, measured;

    if (given) {
        *source = ESTIMATE_BANDWIDTH_GIVEN;
        return (double)given;
    }
    pthread_mutex_lock(&ms->lock);
    measured = ms->out.link_bytes_per_s;
    pthread_mutex_unlock(&ms->lock);
    *source = ESTIMATE_BANDWIDTH_ASSUMED;
    if (avail) {
        *source = ESTIMATE_BANDWIDTH_AVAIL;
        found = (double)avail;
    } else if (measured > 0) {
        *source = ESTIMATE_BANDWIDTH_MEASURED;
        found = measured;
    }
    if (limit > 0 && (limit < found || *source == ESTIMATE_BANDWIDTH_ASSUMED)) {
        *source = ESTIMATE_BANDWIDTH_LIMIT;
        found = limit;
    }
    return found;
}

void estimate_options(MigrationState *ms, EstimateInput *in)
{
    in->downtime_limit_s = (double)gw_param_get(ms, MIGRATION_PARAM_DOWNTIME_LIMIT) / 1e3;
    in->throttle_initial = (unsigned)gw_param_get(ms, MIGRATION_PARAM_CPU_THROTTLE_INITIAL);
    in->throttle_increment = (unsigned)gw_param_get(ms, MIGRATION_PARAM_CPU_THROTTLE_INCREMENT);
    in->throttle_max = (unsigned)gw_param_get(ms, MIGRATION_PARAM_MAX_CPU_THROTTLE);
    in->throttle_trigger = (unsigned)gw_param_get(ms, MIGRATION_PARAM_THROTTLE_TRIGGER_THRESHOLD);
    in->sync_interval_s = (double)gw_param_get(ms, MIGRATION_PARAM_BACKGROUND_SYNC_INTERVAL) / 1e3;
    in->sync_threshold = (unsigned)gw_param_get(ms, MIGRATION_PARAM_BACKGROUND_SYNC_THRESHOLD);
    in->sync_finish = (unsigned)gw_param_get(ms, MIGRATION_PARAM_BACKGROUND_SYNC_FINISH);
    in->sync_first_pass = gw_param_get(ms, MIGRATION_PARAM_BACKGROUND_SYNC_FIRST_PASS);
}

static bool last_one_failed(const DirtyRateInfo *info)
{
    return info->error[0] && info->mode == DIRTY_RATE_DIRTY_BITMAP &&
           g_get_real_time() / G_USEC_PER_SEC - info->start_time_s < FAILED_S;
}

bool gw_estimate_survey(MigrationState *ms, bool fresh, int64_t calc_time_ms, bool *ready,
                        GError **errp)
{
    const DirtyRateRequest r = {.mode = DIRTY_RATE_DIRTY_BITMAP, .calc_time_ms = calc_time_ms};
    DirtyRateInfo info;
    DirtySurvey s;

    *ready = false;
    gw_dirty_rate_query(ms, &info);
    if (info.status == DIRTY_RATE_MEASURING) {
        return true;
    }
    *ready = !fresh && gw_dirty_survey_get(ms, &s) && ms_now_ns(ms) - s.taken_ns < FRESH_NS;
    if (*ready) {
        return true;
    }
    if (outgoing_is_running(ms)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "A migration is in progress: query-migrate tells "
                       "when it will end");
    }
    if (!fresh && last_one_failed(&info)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "The dirty rate could not be measured: %s",
                       info.error);
    }
    return gw_dirty_rate_start(ms, &r, errp);
}

bool gw_estimate_input(MigrationState *ms, uint64_t bandwidth, EstimateInput *in,
                       EstimateBandwidth *source, GError **errp)
{
    gw_estimate_defaults(in);
    if (!gw_dirty_survey_get(ms, &in->survey)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "the dirty curve was not measured yet: run "
                       "calc-dirty-rate with mode dirty-bitmap");
    }
    estimate_options(ms, in);
    in->vcpus = MAX(ms->nr_vcpus, 1);
    in->bandwidth = find_bandwidth(ms, bandwidth, source);
    return true;
}

int64_t gw_estimate_age_ns(MigrationState *ms, const EstimateInput *in)
{
    return ms_now_ns(ms) - in->survey.taken_ns;
}
