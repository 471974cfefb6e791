/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model of migrate-estimate (include/migration/estimate.h) for guests and links that are not at
 * hand: terabytes of memory, 100 Gb/s. One guest is described on the command line; --sweep prints a
 * table over sizes and links. A program of one thread.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migration/estimate.h"

#define GIB ((double)(1 << 30))
#define SYNC_S_PER_GIB 0.04e-3 /* a look at the dirty log */

static struct {
    double ram_gib, link_gbit, dirty_mib, set_percent, zero_percent, scale;
    int limit_ms, interval_ms, vcpus;
    gboolean in_turn, early, first_pass, sweep;
    char *curve;
} opt = {
    .ram_gib = 64, .link_gbit = 10, .dirty_mib = 400, .set_percent = 30, .scale = 1,
    .limit_ms = 300, .interval_ms = 5000, .vcpus = 16,
};

static const GOptionEntry entries[] = {
    {"ram", 'm', 0, G_OPTION_ARG_DOUBLE, &opt.ram_gib, "Memory (64)", "GIB"},
    {"link", 'l', 0, G_OPTION_ARG_DOUBLE, &opt.link_gbit, "Bandwidth (10)", "GBIT"},
    {"dirty", 'd', 0, G_OPTION_ARG_DOUBLE, &opt.dirty_mib, "What the guest writes (400)", "MIB/S"},
    {"set", 'w', 0, G_OPTION_ARG_DOUBLE, &opt.set_percent, "Its working set (30)", "PERCENT"},
    {"zero", 'z', 0, G_OPTION_ARG_DOUBLE, &opt.zero_percent, "Zero pages (0)", "PERCENT"},
    {"in-turn", 0, 0, G_OPTION_ARG_NONE, &opt.in_turn, "It writes page after page, not at random",
     NULL},
    {"curve", 'c', 0, G_OPTION_ARG_STRING, &opt.curve,
     "Its dirty curve as measured, instead of -d, -w: milliseconds and MiB", "MS:MIB,..."},
    {"scale", 's', 0, G_OPTION_ARG_DOUBLE, &opt.scale, "So many times that curve (1)", "N"},
    {"vcpus", 'p', 0, G_OPTION_ARG_INT, &opt.vcpus, "That write (16)", "N"},
    {"downtime-limit", 't', 0, G_OPTION_ARG_INT, &opt.limit_ms, "Milliseconds (300)", "MS"},
    {"interval", 'i', 0, G_OPTION_ARG_INT, &opt.interval_ms,
     "background-sync-interval (5000)", "MS"},
    {"first-pass", 0, 0, G_OPTION_ARG_NONE, &opt.first_pass, "background-sync-first-pass", NULL},
    {"early", 0, 0, G_OPTION_ARG_NONE, &opt.early,
     "The log protects pages at the sync, not when they are sent", NULL},
    {"sweep", 0, 0, G_OPTION_ARG_NONE, &opt.sweep, "64 GiB to 12 TiB at 10 to 100 Gb/s", NULL},
    {NULL},
};

/* Looks that double, up to two minutes: what a patient measurement would have seen. */
static void make_curve(DirtySurvey *s)
{
    const double rate = opt.dirty_mib * 0x1p20 / GW_TARGET_PAGE_SIZE;
    const double set = MAX((double)s->ram_pages * opt.set_percent / 100, 1);
    DirtyCurve *c = &s->curve;

    for (double t = 120 / 0x1p10; t <= 120; t *= 2) {
        c->t_s[c->n] = t;
        c->pages[c->n++] = opt.in_turn ? MIN(rate * t, set) : set * (1 - exp(-rate * t / set));
    }
}

static bool parse_curve(DirtySurvey *s)
{
    g_auto(GStrv) points = g_strsplit(opt.curve, ",", -1);
    DirtyCurve *c = &s->curve;

    for (unsigned i = 0; points[i]; i++) {
        double ms, mib;

        if (i == DIRTY_CURVE_MAX || sscanf(points[i], "%lf:%lf", &ms, &mib) != 2 || ms <= 0 ||
            mib < 0 || (i && ms / 1e3 <= c->t_s[i - 1])) {
            fprintf(stderr, "simulate: --curve: '%s': expected up to %d ascending points such as "
                    "500:12.5\n", points[i], DIRTY_CURVE_MAX);
            return false;
        }
        c->t_s[i] = ms / 1e3;
        c->pages[i] = mib * 0x1p20 / GW_TARGET_PAGE_SIZE * opt.scale;
        c->n++;
    }
    return true;
}

static bool make_input(double ram_gib, double link_gbit, EstimateInput *in)
{
    gw_estimate_defaults(in);
    in->bandwidth = link_gbit * 1e9 / 8;
    in->downtime_limit_s = opt.limit_ms / 1e3;
    in->sync_interval_s = opt.interval_ms / 1e3;
    in->sync_first_pass = opt.first_pass;
    in->vcpus = (unsigned)opt.vcpus;
    in->survey = (DirtySurvey){
        .ram_pages = (uint64_t)(ram_gib * GIB / GW_TARGET_PAGE_SIZE),
        .zero_share = opt.zero_percent / 100,
        .late_protect = !opt.early,
    };
    in->survey.curve.sync_s = ram_gib * SYNC_S_PER_GIB;
    if (opt.curve) {
        return parse_curve(&in->survey);
    }
    make_curve(&in->survey);
    return true;
}

static void print_result(EstimateMethod m, const EstimateResult *r)
{
    printf("%-16s", gw_estimate_method_name(m));
    if (r->converges) {
        printf("%10.1f s %8.0f ms %10.1f GiB %6.1f %% %5u %% %5u\n", r->total_s,
               r->downtime_s * 1e3, r->bytes / GIB, r->slowdown * 100, r->throttle, r->passes);
    } else {
        printf("  does not converge: %s\n", r->reason);
    }
}

static bool one_guest(void)
{
    EstimateResult results[ESTIMATE_METHOD__COUNT];
    EstimateMethod best;
    EstimateInput in;
    char why[512];

    if (!make_input(opt.ram_gib, opt.link_gbit, &in)) {
        return false;
    }
    printf("method               total    downtime      on the wire   slower   thr. passes\n");
    for (EstimateMethod m = 0; m < ESTIMATE_METHOD__COUNT; m++) {
        gw_estimate(&in, m, &results[m]);
        print_result(m, &results[m]);
    }
    best = gw_estimate_recommend(results, why, sizeof(why));
    printf("recommended: %s: %s\n", gw_estimate_method_name(best), why);
    return true;
}

static void print_times(const EstimateInput *in)
{
    for (EstimateMethod m = 0; m < ESTIMATE_METHOD__COUNT; m++) {
        EstimateResult r;

        gw_estimate(in, m, &r);
        if (r.converges) {
            printf(" %9.1f s %2.0f %%", r.total_s, r.slowdown * 100);
        } else {
            printf("            never");
        }
    }
    printf("\n");
}

/* Total time and the guest's slow-down for each method. */
static bool sweep(void)
{
    static const double sizes[] = {64, 512, 2048, 12288}, links[] = {10, 25, 100};

    printf("  memory      link          precopy    auto-converge  background-sync         "
           "postcopy\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        for (unsigned k = 0; k < G_N_ELEMENTS(links); k++) {
            EstimateInput in;

            if (!make_input(sizes[i], links[k], &in)) {
                return false;
            }
            printf("%5.0f GiB %4.0f Gb/s", sizes[i], links[k]);
            print_times(&in);
        }
    }
    return true;
}

static bool options_are_sane(void)
{
    if (opt.ram_gib <= 0 || opt.link_gbit <= 0 || opt.dirty_mib < 0 || opt.scale <= 0 ||
        opt.set_percent < 0 || opt.set_percent > 100 || opt.zero_percent < 0 ||
        opt.zero_percent > 100 || opt.limit_ms < 0 || opt.interval_ms < 0 ||
        opt.vcpus < 1) {
        fprintf(stderr, "simulate: a size, rate, time or percentage is out of range\n");
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new("- what a migration would take");
    g_autoptr(GError) err = NULL;
    bool ok;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &err)) {
        fprintf(stderr, "simulate: %s\n", err->message);
        return EXIT_FAILURE;
    }
    if (!options_are_sane()) {
        return EXIT_FAILURE;
    }
    ok = opt.sweep ? sweep() : one_guest();
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
