/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model's precopy. A pass sends its pages at the bandwidth; meanwhile the guest writes as many
 * different pages as the dirty curve says for the time that it ran. Throttled by p percent it ran
 * for (100 - p) percent of the pass, or did all of its work if it had so much time to spare. The
 * next pass sends what it wrote. Pure; any thread.
 *
 * When a pass is the last one is decided as in migration-thread.c, when the throttle goes up as in
 * cpu-throttle.c: at the second look that finds more than the trigger's share of what was sent, or
 * with background-sync at the first.
 */
#include "estimate-pass.h"

#include "estimate-curve.h"

#define RECORD_BYTES   (8.0 + (double)GW_TARGET_PAGE_SIZE) /* a page on the wire */
#define ZERO_BYTES     9.0
#define MAX_POLISH     8
#define MAX_PASSES     1000
#define STUCK_PASSES   3    /* passes in a row that leave no less than the one before */
#define NO_LESS        0.99
#define THROTTLE_PERIOD_S 1 /* the throttle is thought of no more often */

void pass_sim_init(PassSim *s, const EstimateInput *in, EstimateMethod method)
{
    *s = (PassSim){.in = in, .method = method};
}

double pass_sim_send_s(const EstimateInput *in, double pages)
{
    return pages * RECORD_BYTES / in->bandwidth;
}

static bool throttles(const PassSim *s)
{
    return s->method == ESTIMATE_AUTO_CONVERGE || s->method == ESTIMATE_BACKGROUND_SYNC;
}

/* By how much the throttle goes up: with background-sync at least by what the rates call for. */
static unsigned step_of(const PassSim *s, double allowed)
{
    const EstimateInput *in = s->in;
    const unsigned fixed = s->throttle ? in->throttle_increment : in->throttle_initial;
    const double runs = 100 - s->throttle, needed = runs - runs * allowed / s->period_dirty;

    return s->method == ESTIMATE_BACKGROUND_SYNC ? MAX(fixed, (unsigned)(needed + 0.5)) : fixed;
}

/* A look at the log: in t seconds so many bytes were sent and so many pages dirtied. */
static void maybe_throttle(PassSim *s, double t, double sent, double pages, bool in_pass)
{
    const EstimateInput *in = s->in;
    const bool decides = s->method == ESTIMATE_BACKGROUND_SYNC;
    double allowed, busy;

    s->period_s += t;
    s->period_sent += sent;
    s->period_dirty += pages * (double)GW_TARGET_PAGE_SIZE;
    if (!throttles(s) || (!in_pass && s->period_s < THROTTLE_PERIOD_S)) {
        return;
    }
    allowed = s->period_sent * in->throttle_trigger / 100;
    busy = decides ? s->period_sent * in->sync_threshold / 100 : allowed;
    if (s->period_dirty > busy && (++s->busy_periods >= 2 || decides)) {
        s->busy_periods = 0;
        s->throttle = MIN(s->throttle + step_of(s, allowed), in->throttle_max);
        s->throttle_seen = MAX(s->throttle_seen, s->throttle);
    }
    s->period_s = s->period_sent = s->period_dirty = 0;
}

/* A pass that the guest runs beside: how long both last, how much of that has not been looked at
 * yet by background-sync, and how many pages its looks have found. */
typedef struct PassTime {
    double wall_s, ran_s, new_wall_s, found;
} PassTime;

/* Of the pages that wait for their turn in this pass, a look counts those only that were sent
 * already and written after that: half of the written ones by the end, less before. */
static double found_in_pass(const PassSim *s, const PassTime *p)
{
    const DirtySurvey *v = &s->in->survey;
    const double waiting = MIN(1, s->pass_pages / MAX(curve_limit(v), 1));
    const double sent = 1 - p->new_wall_s / p->wall_s;

    return curve_pages(v, p->ran_s) * (1 - waiting + waiting * sent / 2);
}

static PassTime run_guest(PassSim *s, double t, bool first)
{
    const EstimateInput *in = s->in;
    const double every = in->sync_interval_s;
    const bool looks = s->method == ESTIMATE_BACKGROUND_SYNC && every > 0 &&
                       (!first || in->sync_first_pass);
    PassTime p = {.wall_s = t, .new_wall_s = t};

    while (looks && p.new_wall_s > every && s->throttle < in->throttle_max) {
        p.ran_s += every * curve_work(&in->survey, s->throttle);
        p.new_wall_s -= every;

        const double found = found_in_pass(s, &p);

        maybe_throttle(s, every, every * in->bandwidth, MAX(found - p.found, 0), true);
        p.found = MAX(found, p.found);
    }
    p.ran_s += p.new_wall_s * curve_work(&in->survey, s->throttle);
    return p;
}

/*
 * What the guest leaves dirty of a pass in which it ran for t. With a log that protects pages when
 * they are sent, a page that waits for its turn may be written again at no cost; other pages are
 * protected all the time.
 */
static double left_dirty(const PassSim *s, double t, bool first)
{
    const DirtySurvey *v = &s->in->survey;
    const double all = curve_pages(v, t);

    if (!v->late_protect) {
        return all;
    }
    if (first) {
        return curve_first_pass(v, t);
    }
    const double waiting = MIN(1, s->pass_pages / MAX(curve_limit(v), 1));

    return all * (1 - waiting) + curve_mean(v, t) * waiting;
}

/* As cpu_throttle_finish(): the rest of a guest that keeps up is small enough to end it now. */
static void maybe_finish(PassSim *s)
{
    const EstimateInput *in = s->in;
    const double rest_s = pass_sim_send_s(in, s->pending);

    if (s->method == ESTIMATE_BACKGROUND_SYNC && rest_s > in->downtime_limit_s &&
        s->last_pending > 0 && s->pending > s->last_pending * 3 / 4 &&
        rest_s <= (s->begun_s + s->time_s) * in->sync_finish / 100) {
        s->throttle = s->throttle_seen = in->throttle_max;
    }
}

static void end_pass(PassSim *s, const PassTime *p, bool first)
{
    const EstimateInput *in = s->in;

    /* The guest writes while the log is looked at as well. */
    const double ran = p->ran_s + in->survey.curve.sync_s * curve_work(&in->survey, s->throttle);

    s->last_pending = s->pending;
    s->pending = left_dirty(s, ran, first);
    s->stolen_s += p->wall_s - p->ran_s;
    s->stolen_s += MIN(s->pending * in->write_fault_s / in->vcpus, p->ran_s);
    s->time_s += p->wall_s + in->survey.curve.sync_s;
    s->passes++;
    maybe_throttle(s, p->new_wall_s, p->new_wall_s * in->bandwidth, MAX(s->pending - p->found, 0),
                   false);
    maybe_finish(s);
}

void pass_sim_first(PassSim *s)
{
    const EstimateInput *in = s->in;
    const double zeros = (double)in->survey.ram_pages * in->survey.zero_share;
    const double sent = ((double)in->survey.ram_pages - zeros) * RECORD_BYTES + zeros * ZERO_BYTES;
    PassTime t;

    s->pass_pages = (double)in->survey.ram_pages;
    s->bytes = sent;
    t = run_guest(s, sent / in->bandwidth + zeros * in->zero_page_s, true);
    end_pass(s, &t, true);
}

void pass_sim_rest(PassSim *s, const EstimateProgress *p)
{
    PassTime t;

    s->throttle = s->throttle_seen = p->throttle;
    s->begun_s = p->begun_s;
    s->pass_pages = p->remaining_pages + p->pass_s * s->in->bandwidth / RECORD_BYTES;
    s->bytes = p->remaining_pages * RECORD_BYTES;
    t = run_guest(s, pass_sim_send_s(s->in, p->remaining_pages), p->first_pass);
    t.ran_s += p->ran_s;
    end_pass(s, &t, p->first_pass);
}

static void next_pass(PassSim *s)
{
    const double pages = s->pending;
    PassTime t;

    s->pass_pages = pages;
    s->bytes += pages * RECORD_BYTES;
    t = run_guest(s, pass_sim_send_s(s->in, pages), false);
    end_pass(s, &t, false);
}

/* The rest fits, and another pass does not shorten the pause any more. */
static bool is_last(PassSim *s, double threshold)
{
    const double left = s->pending * (double)GW_TARGET_PAGE_SIZE;
    const bool shrank = s->last_pending == 0 || s->pending < s->last_pending * 3 / 4;

    return left <= threshold &&
           !(left > threshold / 256 && shrank && s->polish++ < MAX_POLISH);
}

/* Whether the throttle may still go up: then a pass that gained nothing is no reason to give up. */
static bool may_throttle_more(const PassSim *s)
{
    return throttles(s) && s->throttle < s->in->throttle_max &&
           s->pending > s->pass_pages * s->in->throttle_trigger / 100;
}

bool pass_sim_run(PassSim *s)
{
    const double threshold = s->in->bandwidth * s->in->downtime_limit_s;

    while (!is_last(s, threshold)) {
        if (s->stuck >= STUCK_PASSES || s->passes >= MAX_PASSES) {
            return false;
        }
        next_pass(s);
        if (s->pending < s->last_pending * NO_LESS || may_throttle_more(s)) {
            s->stuck = 0;
        } else {
            s->stuck++;
        }
    }
    return true;
}
