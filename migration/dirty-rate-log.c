/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Measures by the dirty log: modes dirty-bitmap and dirty-ring. The log is shared with a migration
 * that may run or start meanwhile (dirty-share.h).
 *
 * dirty-bitmap looks several times while it measures and never protects a page again in between:
 * the number of pages that were found so far at time t is the dirty curve at t. Beside a migration
 * it looks once, at the end, since each look would make the migration send pages twice.
 * Measuring thread; the machine lock only to start and stop the log.
 */
#include "dirty-rate.h"

#include "bits.h"
#include "dirty-bitmap.h"
#include "dirty-share.h"
#include "error.h"
#include "outgoing.h"
#include "ram-block.h"

/* Logs without clear() look at the memory's page tables: in pieces, so that a migration that needs
 * the log meanwhile waits for one piece (256 MiB) only. */
#define PIECE_PAGES (UINT64_C(1) << 16)

/* When to look, in parts of the whole time: dense at first, even at the end (curve's tail). */
static const double looks[] = {1. / 64, 1. / 32, 1. / 16, 1. / 8, 1. / 4, 3. / 8, 1. / 2,
                               5. / 8, 3. / 4, 7. / 8, 1};

G_STATIC_ASSERT(G_N_ELEMENTS(looks) <= DIRTY_CURVE_MAX);

typedef struct Look {
    DirtyRate *dr;
    MigrationDirtyLogOps log;
    void *opaque;
    GPtrArray *blocks; /* as they were at the start */
    uint64_t **found;  /* a bitmap for each */
} Look;

static RAMBlock *look_block(const Look *l, unsigned i)
{
    return g_ptr_array_index(l->blocks, i);
}

static bool look_start(Look *l, DirtyRate *dr, GError **errp)
{
    MigrationState *ms = dr->ms;
    bool ok;

    l->dr = dr;
    l->blocks = g_ptr_array_new();
    l->opaque = dirty_share_ops(ms->dirty_share, DIRTY_USER_MEASURE, &l->log);
    ms->host.lock(ms->host_opaque);
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        g_ptr_array_add(l->blocks, ram_block_at(ms, i));
    }
    l->found = g_new0(uint64_t *, l->blocks->len);
    for (unsigned i = 0; i < l->blocks->len; i++) {
        l->found[i] = bits_new(ram_block_max_pages(look_block(l, i)));
    }
    ok = l->log.start(l->opaque, errp);
    ms->host.unlock(ms->host_opaque);
    return ok;
}

static void look_stop(Look *l)
{
    MigrationState *ms = l->dr->ms;

    ms->host.lock(ms->host_opaque);
    l->log.stop(l->opaque);
    ms->host.unlock(ms->host_opaque);
    for (unsigned i = 0; i < l->blocks->len; i++) {
        g_free(l->found[i]);
    }
    g_free(l->found);
    g_ptr_array_unref(l->blocks);
}

/* Adds what was written to `found`; *pages is how many there are by now. */
static bool look(Look *l, uint64_t *pages, GError **errp)
{
    *pages = 0;
    for (unsigned i = 0; i < l->blocks->len; i++) {
        RAMBlock *b = look_block(l, i);
        const uint64_t n = ram_block_pages(b), piece = l->log.clear ? n : PIECE_PAGES;

        for (uint64_t at = 0; at < n; at += piece) {
            if (!l->log.sync(l->opaque, b, at, MIN(piece, n - at),
                             l->found[i] + at / BITS_PER_WORD, errp)) {
                return false;
            }
        }
        *pages += bits_count(l->found[i], 0, n);
    }
    return true;
}

/* Everything that was written so far is history; from here on it counts. */
static bool look_reset(Look *l, GError **errp)
{
    uint64_t pages;

    if (!look(l, &pages, errp)) {
        return false;
    }
    for (unsigned i = 0; i < l->blocks->len; i++) {
        RAMBlock *b = look_block(l, i);
        const uint64_t n = ram_block_pages(b);

        bits_clear_range(l->found[i], 0, n);
        for (uint64_t at = 0; l->log.clear && at < n; at += DIRTY_CHUNK_PAGES) {
            if (!l->log.clear(l->opaque, b, at, MIN(DIRTY_CHUNK_PAGES, n - at), errp)) {
                return false;
            }
        }
    }
    return true;
}

/* Where the pages lie that were found. */
static void places_of_found(const Look *l, DirtySurvey *s)
{
    const double sum = MAX(s->curve.pages[s->curve.n - 1], 1);

    for (unsigned i = 0; i < l->blocks->len; i++) {
        const RAMBlock *b = look_block(l, i);
        const uint64_t n = ram_block_pages(b);

        /* By words: a place is larger than 64 pages, or there is nothing to tell apart. */
        for (uint64_t at = 0; at < n; at += BITS_PER_WORD) {
            const uint64_t found = bits_count(l->found[i], at, MIN(BITS_PER_WORD, n - at));

            if (found) {
                s->dirty_at[dirty_rate_place(l->dr->ms, b, at)] += (double)found / sum;
            }
        }
    }
}

static bool wait_for_look(Look *l, int64_t until_ns, GError **errp)
{
    return dirty_rate_wait(l->dr, until_ns) ||
           gw_fail(errp, GW_ERROR_CANCELLED, "the measurement was ended");
}

/* How long each vCPU has had work so far; 0: not known. */
static void look_at_vcpus(MigrationState *ms, uint64_t busy[MIGRATION_LATENCY_MAX_VCPUS])
{
    for (unsigned i = 0; i < MIN(ms->nr_vcpus, MIGRATION_LATENCY_MAX_VCPUS); i++) {
        busy[i] = ms->host.vcpu_busy_ns ? ms->host.vcpu_busy_ns(ms->host_opaque, i) : 0;
    }
}

/* The busiest one's: it may be the one that writes. */
static double busy_share(MigrationState *ms, const uint64_t *before, int64_t ns)
{
    uint64_t now[MIGRATION_LATENCY_MAX_VCPUS], most = 0;

    look_at_vcpus(ms, now);
    for (unsigned i = 0; i < MIN(ms->nr_vcpus, MIGRATION_LATENCY_MAX_VCPUS); i++) {
        most = MAX(most, now[i] - MIN(before[i], now[i]));
    }
    return MIN(1, (double)most / (double)MAX(ns, 1));
}

static bool measure_curve(Look *l, int64_t calc_ns, bool once, DirtyRateResult *out, GError **errp)
{
    MigrationState *ms = l->dr->ms;
    DirtyCurve *c = &out->survey.curve;
    uint64_t pages = 0, busy[MIGRATION_LATENCY_MAX_VCPUS];

    look_at_vcpus(ms, busy);
    const int64_t start = ms_now_ns(ms);

    for (unsigned i = once ? G_N_ELEMENTS(looks) - 1 : 0; i < G_N_ELEMENTS(looks); i++) {
        if (!wait_for_look(l, start + (int64_t)((double)calc_ns * looks[i]), errp)) {
            return false;
        }
        const int64_t before = ms_now_ns(ms);

        if (!look(l, &pages, errp)) {
            return false;
        }
        const int64_t after = ms_now_ns(ms);

        c->t_s[c->n] = (double)((before - start) + (after - before) / 2) / 1e9;
        c->pages[c->n++] = (double)pages;
        c->sync_s = (double)(after - before) / 1e9;
    }
    out->rate = dirty_rate_mib((double)pages, (int64_t)(c->t_s[c->n - 1] * 1e9));
    out->survey.busy_share = busy_share(ms, busy, ms_now_ns(ms) - start);
    return true;
}

bool dirty_rate_by_log(DirtyRate *dr, int64_t calc_ns, DirtyRateResult *out, GError **errp)
{
    MigrationState *ms = dr->ms;
    const bool once = outgoing_is_running(ms);
    Look l = {0};
    const bool ok = look_start(&l, dr, errp) && look_reset(&l, errp) &&
                    measure_curve(&l, calc_ns, once, out, errp);

    if (ok && !once) {
        out->has_survey = true;
        places_of_found(&l, &out->survey);
    }
    look_stop(&l);
    if (out->has_survey) {
        out->survey.ram_pages = ram_bytes_total(ms) >> GW_TARGET_PAGE_BITS;
        dirty_rate_zeros(ms, &out->survey);
        out->survey.late_protect = l.log.clear != NULL;
        out->survey.taken_ns = ms_now_ns(ms);
    }
    return ok;
}

bool dirty_rate_by_vcpu(DirtyRate *dr, int64_t calc_ns, DirtyRateResult *out, GError **errp)
{
    MigrationState *ms = dr->ms;
    uint64_t pages[MIGRATION_LATENCY_MAX_VCPUS] = {0}, found, sum = 0;
    Look l = {0};
    int64_t start = 0;
    bool ok = look_start(&l, dr, errp) && look_reset(&l, errp);

    if (ok) {
        l.log.vcpu_dirty_pages(l.opaque, pages, G_N_ELEMENTS(pages));
        start = ms_now_ns(ms);
        ok = wait_for_look(&l, start + calc_ns, errp) && look(&l, &found, errp);
    }
    if (ok) {
        const int64_t ns = ms_now_ns(ms) - start;

        out->nr_vcpus = l.log.vcpu_dirty_pages(l.opaque, pages, G_N_ELEMENTS(pages));
        for (unsigned i = 0; i < out->nr_vcpus; i++) {
            out->vcpu_rate[i] = dirty_rate_mib((double)pages[i], ns);
            sum += pages[i];
        }
        out->rate = dirty_rate_mib((double)sum, ns);
    }
    look_stop(&l);
    return ok;
}
