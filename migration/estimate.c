/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each way to migrate would take, and which one to take. Pure; any thread. The passes of a
 * precopy are in estimate-pass.c, the curve in estimate-curve.c; docs: estimate.
 */
#include "migration/estimate.h"

#include <string.h>

#include "estimate-curve.h"
#include "estimate-pass.h"

#define GUEST_TIME_WEIGHT 4.0  /* seconds of migration that a second lost by the guest is worth */
#define POSTCOPY_WEIGHT   1.25 /* it cannot go back if the network fails */

const char *gw_estimate_method_name(EstimateMethod m)
{
    static const char *const names[ESTIMATE_METHOD__COUNT] = {
        [ESTIMATE_PRECOPY] = "precopy",
        [ESTIMATE_AUTO_CONVERGE] = "auto-converge",
        [ESTIMATE_BACKGROUND_SYNC] = "background-sync",
        [ESTIMATE_POSTCOPY] = "postcopy",
    };

    return m < ESTIMATE_METHOD__COUNT ? names[m] : "none";
}

void gw_estimate_defaults(EstimateInput *in)
{
    *in = (EstimateInput){
        .downtime_limit_s = 0.3,
        .setup_s = 0.01,
        .switch_s = 0.015,
        .zero_page_s = 0.15e-6,
        .write_fault_s = 0.5e-6,
        .page_fault_s = 200e-6,
        .vcpus = 1,
        .throttle_initial = 20,
        .throttle_increment = 10,
        .throttle_max = 99,
        .throttle_trigger = 50,
        .sync_interval_s = 5,
        .sync_threshold = 95,
        .sync_finish = 5,
    };
}

/* How fast the guest would have to be sent, in the words of all monitors. */
static void say_why_not(const PassSim *s, EstimateResult *out)
{
    const EstimateInput *in = s->in;
    const double left = s->pending * (double)GW_TARGET_PAGE_SIZE, per_s = in->bandwidth;
    const bool large = left >= 0x1p33;
    const double unit = large ? 0x1p30 : 0x1p20;
    const char *name = large ? "GiB" : "MiB";

    g_snprintf(out->reason, sizeof(out->reason),
               "each pass leaves %.1f %s dirty%s, and %.0f ms at %.1f %s/s are enough for %.1f %s",
               left / unit, name, s->throttle ? " at the highest throttle" : "",
               in->downtime_limit_s * 1e3, per_s / unit, name,
               per_s * in->downtime_limit_s / unit, name);
}

static void take(const PassSim *s, double time_s, double stolen_s, double downtime_s, double bytes,
                 EstimateResult *out)
{
    out->converges = true;
    out->downtime_s = downtime_s;
    out->total_s = time_s + downtime_s;
    out->bytes = bytes;
    out->slowdown = time_s > 0 ? CLAMP(stolen_s / time_s, 0, 1) : 0;
    out->passes = s->passes;
    out->throttle = s->throttle_seen;
}

/* Until the end of a precopy that is behind its first pass. */
static void run_precopy(PassSim *s, EstimateResult *out)
{
    const EstimateInput *in = s->in;

    if (!pass_sim_run(s)) {
        say_why_not(s, out);
        out->passes = s->passes;
        out->throttle = s->throttle_seen;
        return;
    }
    const double last = pass_sim_send_s(in, s->pending);

    take(s, s->time_s, s->stolen_s, in->switch_s + in->survey.curve.sync_s + last,
         s->bytes + last * in->bandwidth, out);
}

/*
 * Switched to at the end of the first pass: what is dirty then follows the guest. It meets a page
 * that is not there as often as it would have dirtied one meanwhile, half of them in the mean,
 * since the background stream brings the others before it gets to them.
 */
static void run_postcopy(PassSim *s, EstimateResult *out)
{
    const EstimateInput *in = s->in;
    const double rest = pass_sim_send_s(in, s->pending);
    const double faults = MIN(s->pending, curve_pages(&in->survey, rest)) / 2 / in->vcpus;

    take(s, s->time_s + rest, s->stolen_s + MIN(faults * in->page_fault_s, rest), in->switch_s,
         s->bytes + rest * in->bandwidth, out);
    out->throttle = 0;
}

void gw_estimate(const EstimateInput *in, EstimateMethod method, EstimateResult *out)
{
    PassSim s;

    memset(out, 0, sizeof(*out));
    pass_sim_init(&s, in, method);
    pass_sim_first(&s);
    s.time_s += in->setup_s;
    if (method == ESTIMATE_POSTCOPY) {
        run_postcopy(&s, out);
    } else {
        run_precopy(&s, out);
    }
}

void gw_estimate_rest(const EstimateInput *in, const EstimateProgress *p, EstimateMethod method,
                      EstimateResult *out)
{
    PassSim s;

    memset(out, 0, sizeof(*out));
    pass_sim_init(&s, in, method);
    pass_sim_rest(&s, p);
    run_precopy(&s, out);
}

double gw_estimate_working_set(const EstimateInput *in)
{
    return curve_limit(&in->survey);
}

static double cost(EstimateMethod m, const EstimateResult *r)
{
    const double time = r->total_s * (m == ESTIMATE_POSTCOPY ? POSTCOPY_WEIGHT : 1);

    return time + GUEST_TIME_WEIGHT * (r->slowdown * r->total_s + r->downtime_s);
}

EstimateMethod gw_estimate_recommend(const EstimateResult results[ESTIMATE_METHOD__COUNT],
                                     char *why, size_t size)
{
    EstimateMethod best = ESTIMATE_METHOD__COUNT;

    for (EstimateMethod m = 0; m < ESTIMATE_METHOD__COUNT; m++) {
        if (results[m].converges &&
            (best == ESTIMATE_METHOD__COUNT || cost(m, &results[m]) < cost(best, &results[best]))) {
            best = m;
        }
    }
    if (best == ESTIMATE_METHOD__COUNT) {
        g_snprintf(why, size, "no method converges: %s",
                   results[ESTIMATE_PRECOPY].reason);
    } else if (best == ESTIMATE_PRECOPY) {
        g_snprintf(why, size, "it converges by itself, in %.1f s", results[best].total_s);
    } else if (!results[ESTIMATE_PRECOPY].converges) {
        g_snprintf(why, size, "precopy alone does not converge: %s; %s takes %.1f s",
                   results[ESTIMATE_PRECOPY].reason, gw_estimate_method_name(best),
                   results[best].total_s);
    } else {
        g_snprintf(why, size, "precopy alone takes %.1f s, %s %.1f s",
                   results[ESTIMATE_PRECOPY].total_s, gw_estimate_method_name(best),
                   results[best].total_s);
    }
    return best;
}
