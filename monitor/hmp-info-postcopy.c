/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HMP `info migrate`, the part about postcopy: what the guest felt (destination, with -a also as a
 * picture) and how urgent pages were sent (source). Main loop's thread. Spec: qmp 5.6.
 */
#include "hmp-run.h"

#include <string.h>

#include "machine.h"

#define BAR_CELLS 40

#define U64 "%" G_GUINT64_FORMAT

char *hmp_time_text(uint64_t ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    double v = (double)ns;
    unsigned i = 0;

    while (v >= 999.5 && i + 1 < G_N_ELEMENTS(units)) {
        v /= 1000;
        i++;
    }
    return v >= 999.5 ? g_strdup_printf("%.0f %s", v, units[i])
                      : g_strdup_printf("%.3g %s", v, units[i]);
}

void hmp_put_preempt(HmpCall *call, const MigrationPreemptInfo *p)
{
    hmp_printf(call, "  Urgent Pages: \tpreempt=" U64 "\n", p->urgent_pages);
    if (p->hints_offered) {
        hmp_printf(call, "    Hints: \t\toffered=" U64 ", consumed=" U64 ", hit=" U64
                   ", dropped=" U64 "\n", p->hints_offered, p->hints_consumed, p->hints_hit,
                   p->hints_dropped);
    }
    if (p->prefetch_offered) {
        hmp_printf(call, "    Prefetch: \t\toffered=" U64 ", sent=" U64 ", hit=" U64
                   ", useless=" U64 ", ahead=" U64 "\n", p->prefetch_offered,
                   p->prefetch_sent, p->prefetch_hit, p->prefetch_useless, p->prefetch_ahead);
    }
}

void hmp_put_latency(HmpCall *call, const MigrationLatency *l)
{
    g_autofree char *mean = hmp_time_text(l->mean_ns), *p50 = hmp_time_text(l->p50_ns);
    g_autofree char *p99 = hmp_time_text(l->p99_ns), *max = hmp_time_text(l->max_ns);
    g_autofree char *request = hmp_time_text(l->request_ns);
    g_autofree char *transfer = hmp_time_text(l->transfer_ns);
    g_autofree char *place = hmp_time_text(l->place_ns);

    hmp_printf(call, "Page faults: \t\tcount=" U64, l->faults);
    if (l->faults) {
        hmp_printf(call, ", mean=%s, p50<=%s, p99<=%s, max=%s\n", mean, p50, p99, max);
        hmp_printf(call, "  Time went to: \trequest=%s, transfer=%s, place=%s", request, transfer,
                   place);
    }
    hmp_printf(call, "\n");
}

void hmp_put_blocktime(HmpCall *call, const MigrationLatency *l)
{
    hmp_printf(call, "postcopy blocktime: " U64 " ms\n", l->blocktime_ms);
    hmp_printf(call, "postcopy vcpu blocktime: ");
    for (unsigned i = 0; i < l->nr_vcpus; i++) {
        hmp_printf(call, "%s" U64, i ? ", " : "", l->vcpu_blocktime_ms[i]);
    }
    hmp_printf(call, " ms\n");
}

static void put_means(HmpCall *call, const MigrationLatency *l)
{
    g_autofree char *other = hmp_time_text(l->non_vcpu_mean_ns);

    hmp_printf(call, "postcopy vcpu latency: ");
    for (unsigned i = 0; i < l->nr_vcpus; i++) {
        g_autofree char *one = hmp_time_text(l->vcpu_mean_ns[i]);

        hmp_printf(call, "%s%s", i ? ", " : "", one);
    }
    hmp_printf(call, "\npostcopy non-vcpu latency: %s\n", other);
}

/* The unit of a bucket's edge 2^k us, so that edges are short: 512 us, 1 ms, ... */
static char *edge_text(unsigned k)
{
    static const char *const units[] = {"us", "ms", "s"};

    return g_strdup_printf("%u %s", 1u << k % 10, units[MIN(k / 10, 2)]);
}

static void put_bucket(HmpCall *call, const MigrationLatency *l, unsigned k, uint64_t most)
{
    g_autofree char *low = k ? edge_text(k) : g_strdup("0"), *high = edge_text(k + 1);
    /* At least one mark for what is there at all. */
    const unsigned cells = (unsigned)((double)l->dist[k] * BAR_CELLS / (double)most + 0.999);
    char bar[BAR_CELLS + 1];

    memset(bar, '#', MIN(cells, BAR_CELLS));
    bar[MIN(cells, BAR_CELLS)] = '\0';
    hmp_printf(call, "  %6s .. %-6s %8" G_GUINT64_FORMAT "%s%s\n", low,
               k + 1 < MIGRATION_LATENCY_BUCKETS ? high : "", l->dist[k], cells ? " " : "", bar);
}

/* From the first bucket that is not empty to the last. */
static void put_histogram(HmpCall *call, const MigrationLatency *l)
{
    unsigned first = MIGRATION_LATENCY_BUCKETS, last = 0;
    uint64_t most = 0;

    for (unsigned k = 0; k < MIGRATION_LATENCY_BUCKETS; k++) {
        if (l->dist[k]) {
            first = MIN(first, k);
            last = k;
            most = MAX(most, l->dist[k]);
        }
    }
    if (most == 0) {
        return;
    }
    hmp_printf(call, "postcopy latency distribution:\n");
    for (unsigned k = first; k <= last; k++) {
        put_bucket(call, l, k, most);
    }
}

void hmp_put_latency_all(HmpCall *call, const MigrationLatency *l)
{
    put_means(call, l);
    put_histogram(call, l);
}
