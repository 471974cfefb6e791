/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * calc-dirty-rate: one measurement at a time. Started from any thread, carried out on a thread of
 * its own, so that no monitor waits; looked at from any thread. DirtyRate.lock guards the record.
 * Words, ranges and messages are those of QEMU 11.1, found by trying (docs: estimate).
 */
#include "dirty-rate.h"

#include <string.h>

#include "dirty-share.h"
#include "error.h"
#include "ram-block.h"
#include "trace.h"

const char *gw_dirty_rate_mode_name(DirtyRateMode mode)
{
    static const char *const names[DIRTY_RATE_MODE__COUNT] = {
        [DIRTY_RATE_PAGE_SAMPLING] = "page-sampling",
        [DIRTY_RATE_DIRTY_RING] = "dirty-ring",
        [DIRTY_RATE_DIRTY_BITMAP] = "dirty-bitmap",
    };

    return mode < DIRTY_RATE_MODE__COUNT ? names[mode] : "unknown";
}

const char *gw_dirty_rate_status_name(DirtyRateStatus status)
{
    static const char *const names[DIRTY_RATE_STATUS__COUNT] = {
        [DIRTY_RATE_UNSTARTED] = "unstarted",
        [DIRTY_RATE_MEASURING] = "measuring",
        [DIRTY_RATE_MEASURED] = "measured",
    };

    return status < DIRTY_RATE_STATUS__COUNT ? names[status] : "unknown";
}

bool dirty_rate_wait(DirtyRate *dr, int64_t until_ns)
{
    MigrationState *ms = dr->ms;
    LOCK_GUARD(&dr->lock);

    while (!dr->quit && ms->clock.wait_until(ms->clock_opaque, &dr->cond, &dr->lock, until_ns)) {
    }
    return !dr->quit;
}

uint64_t dirty_rate_mib(double pages, int64_t ns)
{
    const double mib = pages * (double)GW_TARGET_PAGE_SIZE / (1 << 20);

    return (uint64_t)(mib * 1e9 / (double)MAX(ns, 1) + 0.5);
}

static void take_result(DirtyRate *dr, bool ok, const DirtyRateResult *r, const GError *err)
{
    LOCK_GUARD(&dr->lock);

    if (ok) {
        dr->info.rate = r->rate;
        dr->info.nr_vcpus = r->nr_vcpus;
        memcpy(dr->info.vcpu_rate, r->vcpu_rate, sizeof(dr->info.vcpu_rate));
        if (r->has_survey) {
            dr->survey = r->survey;
            dr->has_survey = true;
        }
    } else {
        g_strlcpy(dr->info.error, err->message, sizeof(dr->info.error));
    }
    dr->info.status = ok ? DIRTY_RATE_MEASURED : DIRTY_RATE_UNSTARTED;
    dr->running = false;
    pthread_cond_broadcast(&dr->cond);
}

static gpointer measure_thread(gpointer opaque)
{
    DirtyRate *dr = opaque;
    g_autoptr(GError) err = NULL;
    DirtyRateResult r = {0};
    DirtyRateInfo info;
    int64_t ns;
    bool ok;

    gw_dirty_rate_query(dr->ms, &info);
    ns = info.calc_time_ms * 1000000;
    trace_event(dirty_rate_begin, "%s for %d ms", gw_dirty_rate_mode_name(info.mode),
                (int)info.calc_time_ms);
    switch (info.mode) {
    case DIRTY_RATE_PAGE_SAMPLING:
        ok = dirty_rate_by_sample(dr, ns, info.sample_pages, &r, &err);
        break;
    case DIRTY_RATE_DIRTY_RING:
        ok = dirty_rate_by_vcpu(dr, ns, &r, &err);
        break;
    default:
        ok = dirty_rate_by_log(dr, ns, &r, &err);
        break;
    }
    trace_event(dirty_rate_end, "%s", ok ? "measured" : err->message);
    take_result(dr, ok, &r, err);
    return NULL;
}

static bool mode_is_there(MigrationState *ms, DirtyRateMode mode)
{
    uint64_t pages[MIGRATION_LATENCY_MAX_VCPUS];
    MigrationDirtyLogOps log = {0};
    void *opaque = NULL;

    if (ms->has_dirty_log) {
        opaque = dirty_share_ops(ms->dirty_share, DIRTY_USER_MEASURE, &log);
    }
    switch (mode) {
    case DIRTY_RATE_PAGE_SAMPLING:
        return true;
    case DIRTY_RATE_DIRTY_RING:
        /* An accelerator whose ring does not report answers for no vCPU. */
        return log.vcpu_dirty_pages &&
               log.vcpu_dirty_pages(opaque, pages, G_N_ELEMENTS(pages)) > 0;
    default:
        return ms->has_dirty_log;
    }
}

static bool request_check(MigrationState *ms, const DirtyRateRequest *r, GError **errp)
{
    if (r->calc_time_ms < DIRTY_RATE_MIN_MS || r->calc_time_ms > DIRTY_RATE_MAX_MS) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Calculation time is out of range [%dms, %dms].",
                       DIRTY_RATE_MIN_MS, DIRTY_RATE_MAX_MS);
    }
    if (r->has_sample_pages && r->mode != DIRTY_RATE_PAGE_SAMPLING) {
        return gw_fail(errp, GW_ERROR_GENERIC, "sample-pages is used only in page-sampling mode");
    }
    if (r->has_sample_pages && (r->sample_pages < DIRTY_RATE_MIN_SAMPLES ||
                                r->sample_pages > DIRTY_RATE_MAX_SAMPLES)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "sample-pages is out of range[%d, %d].",
                       DIRTY_RATE_MIN_SAMPLES, DIRTY_RATE_MAX_SAMPLES);
    }
    if (!mode_is_there(ms, r->mode)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "mode %s is not enabled, use other method instead.",
                       gw_dirty_rate_mode_name(r->mode));
    }
    return true;
}

/* While a guest comes in, a look at a page that is not there yet would wait for it. */
static bool guest_is_here(MigrationState *ms, GError **errp)
{
    MigrationInfo in;
    bool coming;

    gw_incoming_query(ms, &in);
    coming = in.status != MIGRATION_STATUS_NONE && in.status != MIGRATION_STATUS_COMPLETED;
    gw_migration_info_clear(&in);
    return !coming || gw_fail(errp, GW_ERROR_GENERIC,
                              "The dirty rate cannot be measured before the incoming migration "
                              "is complete");
}

bool gw_dirty_rate_start(MigrationState *ms, const DirtyRateRequest *req, GError **errp)
{
    DirtyRate *dr = ms->dirty_rate;
    const bool sample = req->mode == DIRTY_RATE_PAGE_SAMPLING;
    GThread *ended;

    if (!guest_is_here(ms, errp) || !request_check(ms, req, errp)) {
        return false;
    }
    pthread_mutex_lock(&dr->lock);
    if (dr->running || dr->quit) {
        pthread_mutex_unlock(&dr->lock);
        return gw_fail(errp, GW_ERROR_GENERIC, "the dirty rate is already being measured.");
    }
    dr->info = (DirtyRateInfo){
        .status = DIRTY_RATE_MEASURING,
        .mode = req->mode,
        .start_time_s = g_get_real_time() / G_USEC_PER_SEC,
        .calc_time_ms = req->calc_time_ms,
        .sample_pages = !sample ? 0 : req->has_sample_pages ? (uint64_t)req->sample_pages
                                                            : DIRTY_RATE_DEFAULT_SAMPLES,
    };
    dr->running = true;
    ended = g_steal_pointer(&dr->thread);
    pthread_mutex_unlock(&dr->lock);
    if (ended) {
        g_thread_join(ended); /* it has said all it had to: returns at once */
    }
    ended = g_thread_new("mig/dirty-rate", measure_thread, dr);
    pthread_mutex_lock(&dr->lock);
    dr->thread = ended;
    pthread_mutex_unlock(&dr->lock);
    return true;
}

void gw_dirty_rate_query(MigrationState *ms, DirtyRateInfo *info)
{
    LOCK_GUARD(&ms->dirty_rate->lock);

    *info = ms->dirty_rate->info;
}

bool gw_dirty_survey_get(MigrationState *ms, DirtySurvey *out)
{
    LOCK_GUARD(&ms->dirty_rate->lock);

    *out = ms->dirty_rate->survey;
    return ms->dirty_rate->has_survey;
}

void gw_dirty_rate_wait(MigrationState *ms)
{
    DirtyRate *dr = ms->dirty_rate;
    LOCK_GUARD(&dr->lock);

    while (dr->running) {
        pthread_cond_wait(&dr->cond, &dr->lock);
    }
}

DirtyRate *dirty_rate_new(MigrationState *ms)
{
    DirtyRate *dr = g_new0(DirtyRate, 1);

    dr->ms = ms;
    pthread_mutex_init(&dr->lock, NULL);
    cond_init_monotonic(&dr->cond);
    return dr;
}

void dirty_rate_stop(DirtyRate *dr)
{
    GThread *thread;

    pthread_mutex_lock(&dr->lock);
    dr->quit = true;
    thread = g_steal_pointer(&dr->thread);
    pthread_cond_broadcast(&dr->cond);
    pthread_mutex_unlock(&dr->lock);
    if (thread) {
        g_thread_join(thread);
    }
}

void dirty_rate_free(DirtyRate *dr)
{
    if (dr) {
        dirty_rate_stop(dr);
        pthread_cond_destroy(&dr->cond);
        pthread_mutex_destroy(&dr->lock);
        g_free(dr);
    }
}
