/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HMP: migrate_estimate, and what `info migrate` and `migrate` say of a migration's end. Same words
 * as QMP's. Main loop's thread.
 */
#include "hmp-run.h"

#include "machine.h"
#include "migration/estimate.h"

#define MIB (UINT64_C(1) << 20)
#define CALC_TIME_MS 1000

char *hmp_outlook_text(const MigrationInfo *info)
{
    if (info->has_will_converge && !info->will_converge) {
        return g_strdup(", will not converge");
    }
    return info->has_expected_end
               ? g_strdup_printf(", ends in %.1f s", (double)info->expected_end / 1e3)
               : g_strdup("");
}

void hmp_put_outlook(HmpCall *call, const MigrationInfo *info)
{
    if (info->has_expected_end) {
        hmp_printf(call, "Expected end (ms): \tin %" G_GUINT64_FORMAT ", total=%" G_GUINT64_FORMAT
                   "\n", info->expected_end, info->expected_total_time);
    }
    if (info->has_will_converge) {
        hmp_printf(call, "Will converge: \t\t%s\n", info->will_converge ? "yes" : "no");
    }
    if (info->will_converge_reason[0]) {
        hmp_printf(call, "  %s\n", info->will_converge_reason);
    }
}

static void put_result(HmpCall *call, EstimateMethod m, const EstimateResult *r)
{
    hmp_printf(call, "  %-16s", gw_estimate_method_name(m));
    if (!r->converges) {
        hmp_printf(call, "does not converge: %s\n", r->reason);
        return;
    }
    g_autofree char *sent = hmp_size_text((uint64_t)r->bytes);

    hmp_printf(call, "total %.0f ms, downtime %.0f ms, %s, %u passes, guest slowed down by %.1f %%",
               r->total_s * 1e3, r->downtime_s * 1e3, sent, r->passes, r->slowdown * 100);
    if (r->throttle) {
        hmp_printf(call, ", throttle up to %u %%", r->throttle);
    }
    hmp_printf(call, "\n");
}

static void put_estimate(HmpCall *call, const EstimateInput *in, EstimateBandwidth source)
{
    const DirtyCurve *c = &in->survey.curve;
    EstimateResult results[ESTIMATE_METHOD__COUNT];
    g_autofree char *ram = hmp_size_text(in->survey.ram_pages * GW_TARGET_PAGE_SIZE);
    g_autofree char *set =
        hmp_size_text((uint64_t)(gw_estimate_working_set(in) * GW_TARGET_PAGE_SIZE));
    g_autofree char *rate = hmp_size_text((uint64_t)in->bandwidth);
    EstimateMethod best;
    char why[512];

    hmp_printf(call, "Memory: \t\t%s, %.0f %% zero, working set %s\n", ram,
               in->survey.zero_share * 100, set);
    hmp_printf(call, "Bandwidth: \t\t%s/s (%s), downtime limit %.0f ms\n", rate,
               gw_estimate_bandwidth_name(source), in->downtime_limit_s * 1e3);
    hmp_printf(call, "Dirty curve: \t\t");
    for (unsigned i = 0; i < c->n; i++) {
        g_autofree char *bytes = hmp_size_text((uint64_t)(c->pages[i] * GW_TARGET_PAGE_SIZE));

        hmp_printf(call, "%s%.0f ms: %s", i ? ", " : "", c->t_s[i] * 1e3, bytes);
    }
    hmp_printf(call, "\nMethods:\n");
    for (EstimateMethod m = 0; m < ESTIMATE_METHOD__COUNT; m++) {
        gw_estimate(in, m, &results[m]);
        put_result(call, m, &results[m]);
    }
    best = gw_estimate_recommend(results, why, sizeof(why));
    hmp_printf(call, "Recommended: \t\t%s: %s\n", gw_estimate_method_name(best), why);
}

void hmp_migrate_estimate(HmpCall *call)
{
    MigrationState *ms = call->machine->migration;
    g_autoptr(GError) err = NULL;
    EstimateBandwidth source;
    EstimateInput in;
    bool ready;

    if (call->numbers[1] > UINT64_MAX / MIB) {
        hmp_printf(call, "Error: bandwidth in MiB/s is too large\n");
        return;
    }
    if (!gw_estimate_survey(ms, call->flags[0], CALC_TIME_MS, &ready, &err)) {
        hmp_error(call, err);
        return;
    }
    if (!ready) {
        hmp_printf(call, "Measuring the guest's dirty curve, for %d ms\n"
                   "[Please use 'migrate_estimate' again then]\n", CALC_TIME_MS);
        return;
    }
    if (!gw_estimate_input(ms, call->numbers[1] * MIB, &in, &source, &err)) {
        hmp_error(call, err);
        return;
    }
    put_estimate(call, &in, source);
}
