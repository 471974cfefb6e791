/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See outlook.h. What a pass of t seconds left dirty is a point of the dirty curve; the last survey
 * of calc-dirty-rate, if there is one, fills in what is shorter than every pass so far. From there
 * gw_estimate_rest() goes on. ms->lock guards ms->outlook; notes come from the migration thread.
 */
#include "outlook.h"

#include <math.h>
#include <string.h>

#include "cpu-throttle.h"
#include "estimate-curve.h"
#include "estimate-input.h"
#include "outgoing.h"

#define SMOOTH     0.25               /* weight of the newest window in bytes_per_s */
#define SURE_WINDOWS 5                /* half a second */
#define SURE_PASSES  24               /* more of them still to come: too close to call */
#define SAME_LENGTH  1.2              /* of two passes: they tell one point of the curve */
#define SURVEY_AGE (600 * INT64_C(1000000000)) /* an older survey is of another guest */

/* The survey that is still of this guest; false: there is none. */
static bool get_survey(MigrationState *ms, DirtySurvey *s)
{
    return gw_dirty_survey_get(ms, s) && ms_now_ns(ms) - s->taken_ns < SURVEY_AGE;
}

/* How much of its work the guest does at present. */
static double work_now(const Outlook *o)
{
    const DirtySurvey s = {.busy_share = o->busy_share};

    return curve_work(&s, o->throttle);
}

void outlook_begin(MigrationState *ms)
{
    DirtySurvey survey;
    const bool known = get_survey(ms, &survey);
    LOCK_GUARD(&ms->lock);

    ms->outlook = (Outlook){.pass_start_ns = ms_now_ns(ms), .seen_ns = ms_now_ns(ms)};
    if (known) {
        ms->outlook.busy_share = survey.busy_share;
    }
}

/* Counts how long the guest ran; what the throttle is now holds from now on. */
static void count_time(MigrationState *ms, Outlook *o, int64_t now)
{
    o->ran_s += (double)(now - o->seen_ns) / 1e9 * work_now(o);
    o->seen_ns = now;
    o->throttle = cpu_throttle_percent(ms);
}

void outlook_sent(MigrationState *ms, uint64_t bytes, uint64_t pages, int64_t ns)
{
    const double now = (double)bytes * 1e9 / (double)MAX(ns, 1);
    Outlook *o = &ms->outlook;
    LOCK_GUARD(&ms->lock);

    count_time(ms, o, ms_now_ns(ms));
    if (bytes < pages * GW_TARGET_PAGE_SIZE / 4 * 3) {
        return; /* mostly zero pages: that says nothing of the link */
    }
    o->windows++;

    o->bytes_per_s = o->bytes_per_s > 0 ? o->bytes_per_s + SMOOTH * (now - o->bytes_per_s) : now;
    ms->out.link_bytes_per_s = MAX(ms->out.link_bytes_per_s, o->bytes_per_s);
}

void outlook_pass_ended(MigrationState *ms, uint64_t pending)
{
    Outlook *o = &ms->outlook;
    const int64_t now = ms_now_ns(ms);
    LOCK_GUARD(&ms->lock);

    count_time(ms, o, now);
    o->t_s[o->passes % OUTLOOK_PASSES] = o->ran_s;
    o->pages[o->passes % OUTLOOK_PASSES] = (double)(pending >> GW_TARGET_PAGE_BITS);
    o->passes++;
    o->pass_start_ns = now;
    o->ran_s = 0;
}

/* Puts a point where its time belongs, unless the curve is full. */
static void curve_insert(DirtyCurve *c, double t_s, double pages)
{
    unsigned i = c->n;

    if (c->n == DIRTY_CURVE_MAX || t_s <= 0) {
        return;
    }
    for (; i > 0 && c->t_s[i - 1] > t_s; i--) {
        c->t_s[i] = c->t_s[i - 1];
        c->pages[i] = c->pages[i - 1];
    }
    c->t_s[i] = t_s;
    c->pages[i] = pages;
    c->n++;
}

/*
 * Nothing is known of times below the shortest pass: the curve goes on downwards with the power of
 * t by which it grew between the shortest and the longest of these passes. 1: the guest writes
 * always new pages; 0: always the same, and no shorter pass leaves less.
 */
static void extend_down(DirtyCurve *c)
{
    const unsigned last = c->n - 1;
    const double t = c->t_s[0], pages = c->pages[0], times = c->t_s[last] / t;
    const double power = times < SAME_LENGTH || pages <= 0
                             ? 0
                             : CLAMP(log(c->pages[last] / pages) / log(times), 0, 1);

    for (unsigned i = 1; i <= 5; i++) {
        curve_insert(c, ldexp(t, -(int)i), pages * pow(2, -power * i));
    }
}

/* The curve of this migration's passes; true if a survey fills in what is shorter. */
static bool make_curve(MigrationState *ms, const Outlook *o, DirtySurvey *s)
{
    /* The first pass is of another kind than the others: it goes as soon as there are others. */
    const uint64_t n = o->passes > 1 ? MIN(o->passes - 1, OUTLOOK_PASSES) : o->passes;
    DirtySurvey old;
    const bool known = get_survey(ms, &old);
    double shortest = INFINITY;

    *s = (DirtySurvey){.late_protect = known && old.late_protect && n == 0,
                       .busy_share = o->busy_share};
    s->curve.sync_s = known ? old.curve.sync_s : 0;
    memcpy(s->zero_at, old.zero_at, known ? sizeof(s->zero_at) : 0);
    memcpy(s->dirty_at, old.dirty_at, known ? sizeof(s->dirty_at) : 0);
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t at = (o->passes - 1 - i) % OUTLOOK_PASSES;

        curve_insert(&s->curve, o->t_s[at], o->pages[at]);
        shortest = MIN(shortest, o->t_s[at]);
    }
    /* The longest ones first: they are nearest to the passes. */
    for (unsigned i = known ? old.curve.n : 0; i > 0; i--) {
        if (old.curve.t_s[i - 1] < shortest) {
            curve_insert(&s->curve, old.curve.t_s[i - 1], old.curve.pages[i - 1]);
        }
    }
    if (!known && s->curve.n > 1) {
        extend_down(&s->curve);
    }
    for (unsigned i = 1; i < s->curve.n; i++) {
        s->curve.pages[i] = MAX(s->curve.pages[i], s->curve.pages[i - 1]);
    }
    return known;
}

static EstimateMethod method_of(MigrationState *ms)
{
    const bool sync = gw_capability_get(ms, MIGRATION_CAP_BACKGROUND_SYNC);

    return !gw_capability_get(ms, MIGRATION_CAP_AUTO_CONVERGE) ? ESTIMATE_PRECOPY
           : sync                                              ? ESTIMATE_BACKGROUND_SYNC
                                                               : ESTIMATE_AUTO_CONVERGE;
}

/* A word on convergence before the first pass has ended wants a bandwidth that is sure. */
static bool is_known(const Outlook *o, bool surveyed, const EstimateResult *r)
{
    if (r->converges && r->passes > SURE_PASSES) {
        return false; /* so slowly that any error of the curve tips it over */
    }
    if (o->passes == 0) {
        return surveyed && o->windows >= SURE_WINDOWS;
    }
    /* What one or two passes left says enough if it is too much: of shorter ones more than their
     * part of it is dirty. */
    return surveyed || o->passes > 2 || !r->converges;
}

/* Pages with data that the first pass has still before it, when `done` of `all` pages are behind
 * it, by the survey of zero pages. */
static double data_ahead(const DirtySurvey *s, double done, double all)
{
    const double at = done / MAX(all, 1) * DIRTY_PLACES;
    double sum = 0;

    for (unsigned i = 0; i < DIRTY_PLACES; i++) {
        sum += CLAMP(i + 1 - at, 0, 1) * (1 - s->zero_at[i]);
    }
    return sum * all / DIRTY_PLACES;
}

/* Where the pass is. In the first one zero pages go faster than the bandwidth says: there the
 * survey counts, or else the speed so far. */
static EstimateProgress progress_of(MigrationState *ms, const MigrationInfo *info,
                                    const DirtySurvey *survey, double bandwidth)
{
    const Outlook *o = &ms->outlook;
    const double page = (double)GW_TARGET_PAGE_SIZE;
    const int64_t now = ms_now_ns(ms);
    EstimateProgress p = {
        .first_pass = o->passes == 0,
        .begun_s = (double)info->total_time / 1e3,
        .pass_s = (double)(now - o->pass_start_ns) / 1e9,
        .ran_s = o->ran_s + (double)(now - o->seen_ns) / 1e9 * work_now(o),
        .remaining_pages = (double)info->remaining / page,
        .throttle = info->cpu_throttle_percentage,
    };
    const double done = (double)(info->ram.total - MIN(info->remaining, info->ram.total)) / page;

    if (p.first_pass && survey) {
        p.remaining_pages = data_ahead(survey, done, (double)info->ram.total / page);
    } else if (p.first_pass && done > 0) {
        p.remaining_pages *= MIN(1, p.pass_s * bandwidth / page / done);
    }
    return p;
}

static void set_end(MigrationInfo *info, double rest_s)
{
    info->has_expected_end = true;
    info->expected_end = (uint64_t)(rest_s * 1e3 + 0.5);
    info->expected_total_time = info->total_time + info->expected_end;
}

static void set_reason(MigrationState *ms, MigrationInfo *info, const char *reason,
                       EstimateMethod method)
{
    const char *mend = gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_RAM)
                           ? "migrate-start-postcopy ends it"
                       : method == ESTIMATE_PRECOPY
                           ? "a higher downtime-limit or bandwidth, auto-converge or postcopy-ram "
                             "would end it"
                           : "a higher downtime-limit or bandwidth or postcopy-ram would end it";

    g_snprintf(info->will_converge_reason, sizeof(info->will_converge_reason), "%s; %s", reason,
               mend);
}

static void fill_precopy(MigrationState *ms, MigrationInfo *info)
{
    const Outlook *o = &ms->outlook;
    const EstimateMethod method = method_of(ms);
    EstimateInput in;
    EstimateProgress p;
    EstimateResult r;
    bool surveyed;

    gw_estimate_defaults(&in);
    surveyed = make_curve(ms, o, &in.survey);
    in.survey.ram_pages = info->ram.total >> GW_TARGET_PAGE_BITS;
    in.bandwidth = o->bytes_per_s;
    estimate_options(ms, &in);
    p = progress_of(ms, info, surveyed ? &in.survey : NULL, in.bandwidth);
    gw_estimate_rest(&in, &p, method, &r);
    info->has_will_converge = is_known(o, surveyed, &r);
    info->will_converge = info->has_will_converge && r.converges;
    if (r.converges && r.passes <= SURE_PASSES) {
        set_end(info, r.total_s);
    } else if (info->has_will_converge) {
        set_reason(ms, info, r.reason, method);
    }
}

void outlook_fill(MigrationState *ms, MigrationInfo *info)
{
    const Outlook *o = &ms->outlook;

    if (o->pass_start_ns == 0 || o->bytes_per_s <= 0) {
        return;
    }
    if (info->status == MIGRATION_STATUS_ACTIVE) {
        fill_precopy(ms, info);
    } else if (info->status == MIGRATION_STATUS_POSTCOPY_ACTIVE) {
        set_end(info, (double)info->remaining / o->bytes_per_s);
    }
}
