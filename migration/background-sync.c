/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The watcher of background-sync, a thread of its own from the first page to the switchover. It
 * sleeps on Outgoing.cond until the pass has lasted background-sync-interval, harvests the dirty
 * log piece by piece, and lets auto-converge judge what was found. A cancel, the end of the
 * migration and the throttle's maximum end it; between two pieces it looks whether it is wanted.
 *
 * Each piece is harvested under RamSave.sync_lock, which keeps the sync at the end of a pass out
 * for as long as one piece takes. Neither the machine lock nor MigrationState.lock is held
 * meanwhile.
 */
#include "background-sync.h"

#include <inttypes.h>

#include "bits.h"
#include "dirty-bitmap.h"
#include "free-page.h"
#include "outgoing.h"
#include "ram-save.h"
#include "trace.h"

/* Pages of a piece: about a millisecond's work for a log that looks page by page. */
#define PIECE_PAGES UINT64_C(16384)
/* A log that copies its whole bitmap at each look is not asked more often than this per block. */
#define MAX_PIECES 64

struct BackgroundSync {
    MigrationState *ms;
    GThread *thread;
    bool stop;            /* atomic */
    int64_t last_ns;      /* of the last look, or of the last time that none was due */
    uint64_t *scratch;    /* for one piece */
};

/* What one look found. */
typedef struct Look {
    uint64_t pass;        /* it belongs to this one */
    uint64_t new_pages, skipped;
    bool cut;             /* stopped, or the pass has ended meanwhile */
} Look;

static bool is_over(const BackgroundSync *bs)
{
    return __atomic_load_n(&bs->stop, __ATOMIC_ACQUIRE) || outgoing_cancel_requested(bs->ms);
}

static uint64_t piece_pages(const RAMBlock *b)
{
    const uint64_t n = ram_block_pages(b);

    /* A two-step log only copies a bitmap, quickly, and all of it. */
    if (b->unprotected) {
        return n;
    }
    return MAX(PIECE_PAGES, n / MAX_PIECES / BITS_PER_WORD * BITS_PER_WORD);
}

/* Harvests one piece; false with *errp. */
static bool look_at_piece(BackgroundSync *bs, RAMBlock *b, uint64_t at, uint64_t n, Look *look,
                          GError **errp)
{
    RamSave *rs = bs->ms->ram_save;

    LOCK_GUARD(&rs->sync_lock);
    free_page_close(bs->ms);
    look->cut = is_over(bs) || STAT_GET(bs->ms->stats.dirty_sync_count) != look->pass;
    return look->cut || dirty_bitmap_harvest(b, at, n, bs->scratch, &look->new_pages,
                                             &look->skipped, errp);
}

static bool look_at_all(BackgroundSync *bs, Look *look, GError **errp)
{
    MigrationState *ms = bs->ms;

    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        RAMBlock *b = ram_block_at(ms, i);
        const uint64_t end = ram_block_pages(b), step = piece_pages(b);

        for (uint64_t at = 0; at < end && !look->cut; at += step) {
            if (!look_at_piece(bs, b, at, MIN(step, end - at), look, errp)) {
                return false;
            }
        }
    }
    return true;
}

/* Lets the throttle act; true if it changed. A look that was cut is left to the pass's own sync. */
static bool judge(BackgroundSync *bs, const Look *look)
{
    MigrationState *ms = bs->ms;
    bool changed;

    LOCK_GUARD(&ms->ram_save->sync_lock);
    ram_count_dirty(ms, look->new_pages);
    changed = !look->cut && cpu_throttle_synced_in_pass(ms, look->new_pages);
    if (look->cut) {
        cpu_throttle_found(ms, look->new_pages);
    }
    return changed;
}

/* False: the log failed, and will again at the end of the pass, where it fails the migration. */
static bool sync_now(BackgroundSync *bs)
{
    MigrationState *ms = bs->ms;
    BackgroundCounters *c = &ms->background_counters;
    const int64_t begin = ms_now_ns(ms);
    Look look = {.pass = STAT_GET(ms->stats.dirty_sync_count)};
    g_autoptr(GError) err = NULL;

    if (!look_at_all(bs, &look, &err)) {
        trace_event(migration_error, "background sync: %s", err->message);
        return false;
    }
    if (judge(bs, &look)) {
        STAT_ADD(c->throttle_changes, 1);
    }
    bs->last_ns = ms_now_ns(ms);
    STAT_ADD(c->ns, (uint64_t)(bs->last_ns - begin));
    STAT_ADD(c->skipped_pages, look.skipped);
    STAT_ADD(c->syncs, 1); /* last: whoever sees that a look was made sees what it found */
    trace_event(migration_background_sync,
                "pass %" PRIu64 ": %" PRIu64 " pages to send again, %" PRIu64
                " still unsent, %" PRId64 " us, throttle %u %%%s",
                look.pass, look.new_pages, look.skipped, (bs->last_ns - begin) / 1000,
                cpu_throttle_percent(ms), look.cut ? ", cut short" : "");
    return true;
}

static bool pass_counts(MigrationState *ms)
{
    return STAT_GET(ms->stats.dirty_sync_count) > 1 ||
           gw_param_get(ms, MIGRATION_PARAM_BACKGROUND_SYNC_FIRST_PASS);
}

/* Sleeps until a look is due; false: there will be none any more. */
static bool wait_until_due(BackgroundSync *bs)
{
    MigrationState *ms = bs->ms;

    LOCK_GUARD(&ms->lock);
    while (!is_over(bs) && !cpu_throttle_is_at_max(ms)) {
        const int64_t interval =
            (int64_t)gw_param_get(ms, MIGRATION_PARAM_BACKGROUND_SYNC_INTERVAL) * 1000000;
        const int64_t pass_start = STAT_GET(ms->ram_save->pass_start_ns);
        const int64_t now = ms_now_ns(ms);

        if (now >= MAX(bs->last_ns, pass_start) + interval) {
            bs->last_ns = now;
            if (pass_counts(ms)) {
                return true;
            }
        }
        outgoing_wait(ms, MAX(bs->last_ns, pass_start) + interval);
    }
    return false;
}

static gpointer watcher(gpointer opaque)
{
    BackgroundSync *bs = opaque;
    const BackgroundCounters *c = &bs->ms->background_counters;

    trace_event(migration_background_sync_watcher_start, "every %" PRIu64 " ms",
                gw_param_get(bs->ms, MIGRATION_PARAM_BACKGROUND_SYNC_INTERVAL));
    while (wait_until_due(bs) && sync_now(bs)) {
    }
    trace_event(migration_background_sync_watcher_end, "%" PRIu64 " syncs, throttle %u %%",
                STAT_GET(c->syncs), cpu_throttle_percent(bs->ms));
    return NULL;
}

BackgroundSync *background_sync_start(MigrationState *ms)
{
    BackgroundSync *bs;
    uint64_t largest = 0;

    if (!gw_capability_get(ms, MIGRATION_CAP_BACKGROUND_SYNC) || !ms->has_dirty_log) {
        return NULL;
    }
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        largest = MAX(largest, piece_pages(ram_block_at(ms, i)));
    }
    bs = g_new0(BackgroundSync, 1);
    bs->ms = ms;
    bs->last_ns = ms_now_ns(ms);
    bs->scratch = bits_new(largest);
    bs->thread = g_thread_new("mig/src/sync", watcher, bs);
    return bs;
}

void background_sync_stop(BackgroundSync *bs)
{
    if (!bs) {
        return;
    }
    __atomic_store_n(&bs->stop, true, __ATOMIC_RELEASE);
    pthread_mutex_lock(&bs->ms->lock); /* it is in its wait, or will see `stop` before */
    pthread_cond_broadcast(&bs->ms->out.cond);
    pthread_mutex_unlock(&bs->ms->lock);
    g_thread_join(bs->thread);
    g_free(bs->scratch);
    g_free(bs);
}
