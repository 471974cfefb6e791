/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The watcher of background-sync on a driven clock: it looks when a pass lasts, lets the throttle
 * act, and ends when it is told to, when the migration is cancelled and when nothing is left to do.
 */
#include "background-sync.h"
#include "bits.h"
#include "dirty-bitmap.h"
#include "outgoing.h"
#include "ram-save.h"
#include "throttle-fixture.h"

#define PAGES 4096

/* What the dirty log reports at each look; the first `written` pages. */
typedef struct Watched {
    Bench *b;
    RAMBlock *block;
    uint8_t *ram;
    uint64_t written;  /* atomic */
    unsigned looks;    /* atomic */
    BackgroundSync *watcher;
} Watched;

static bool log_start(void *o, GError **errp)
{
    return true;
}

static void log_stop(void *o)
{
}

static bool log_sync(void *o, RAMBlock *block, uint64_t first, uint64_t npages, uint64_t *bitmap,
                     GError **errp)
{
    Watched *w = o;
    const uint64_t n = __atomic_load_n(&w->written, __ATOMIC_ACQUIRE);

    if (first < n) {
        bits_set_range(bitmap, 0, MIN(npages, n - first));
    }
    __atomic_add_fetch(&w->looks, 1, __ATOMIC_ACQ_REL);
    return true;
}

static void set_written(Watched *w, uint64_t pages)
{
    __atomic_store_n(&w->written, pages, __ATOMIC_RELEASE);
}

/* Time stands still until the test moves it. */
static int64_t driven_now(void *o)
{
    return __atomic_load_n(&((Watched *)o)->b->now, __ATOMIC_ACQUIRE);
}

static bool driven_wait(void *o, pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ns)
{
    if (driven_now(o) >= deadline_ns) {
        return false;
    }
    pthread_cond_wait(cond, mutex);
    return true;
}

static void advance(Watched *w, int64_t ns)
{
    MigrationState *ms = w->b->ms;

    pthread_mutex_lock(&ms->lock);
    __atomic_add_fetch(&w->b->now, ns, __ATOMIC_ACQ_REL);
    pthread_cond_broadcast(&ms->out.cond);
    pthread_mutex_unlock(&ms->lock);
}

static uint64_t syncs(Watched *w)
{
    return STAT_GET(w->b->ms->background_counters.syncs);
}

/* What the host was told last. */
static unsigned told(Watched *w)
{
    return STAT_GET(w->b->percent);
}

static void wait_syncs(Watched *w, uint64_t n)
{
    while (syncs(w) < n) {
        g_usleep(100);
    }
    g_assert_cmpuint(syncs(w), ==, n);
}

static Watched *start(bool first_pass)
{
    static GwChannel *null_channel[2];
    Watched *w = g_new0(Watched, 1);
    RAMBlockInfo info = {.idstr = "ram", .used_length = PAGES * GW_TARGET_PAGE_SIZE,
                         .max_length = PAGES * GW_TARGET_PAGE_SIZE,
                         .page_size = GW_TARGET_PAGE_SIZE, .fd = -1};
    MigrationState *ms;
    StreamWriter *writer;

    w->b = bench_new();
    ms = w->b->ms;
    ms->clock = (MigrationClockOps){sizeof(ms->clock), driven_now, driven_wait};
    ms->clock_opaque = w;
    ms->has_dirty_log = true;
    ms->dirty_log = (MigrationDirtyLogOps){.size = sizeof(ms->dirty_log), .name = "toy",
                                           .start = log_start, .stop = log_stop, .sync = log_sync};
    ms->dirty_log_opaque = w;
    w->ram = g_malloc0((PAGES + 1) * GW_TARGET_PAGE_SIZE);
    info.host = w->ram + (-(uintptr_t)w->ram & (GW_TARGET_PAGE_SIZE - 1));
    w->block = gw_ram_block_add(ms, &info, NULL);
    bench_cap(w->b, MIGRATION_CAP_AUTO_CONVERGE, true);
    bench_cap(w->b, MIGRATION_CAP_BACKGROUND_SYNC, true);
    bench_param(w->b, MIGRATION_PARAM_BACKGROUND_SYNC_FIRST_PASS, first_pass);
    g_assert_true(gw_channel_mem_pair(1 << 16, &null_channel[0], &null_channel[1]));
    writer = stream_writer_new(null_channel[0]);
    g_assert_true(ram_save_setup(ms, writer, NULL));
    stream_writer_free(writer);
    gw_channel_unref(null_channel[0]);
    gw_channel_unref(null_channel[1]);
    cpu_throttle_start(ms);
    w->watcher = background_sync_start(ms);
    return w;
}

static void finish(Watched *w)
{
    background_sync_stop(w->watcher);
    ram_save_cleanup(w->b->ms);
    gw_ram_block_remove(w->b->ms, w->block);
    bench_free(w->b);
    g_free(w->ram);
    g_free(w);
}

/* All that is dirty goes out: what the log reports from now on has to be sent again. */
static void send_all(Watched *w)
{
    g_autofree uint64_t *taken = bits_new(PAGES);

    dirty_bitmap_take(w->block, 0, PAGES, taken);
}

static void next_pass(Watched *w)
{
    uint64_t left;

    g_assert_true(ram_save_pending(w->b->ms, true, &left, NULL));
}

static void test_when(void)
{
    Watched *w = start(false);

    advance(w, 100 * SECOND); /* the first pass is left out */
    next_pass(w);
    advance(w, 4 * SECOND);
    advance(w, SECOND / 2);
    g_assert_cmpuint(syncs(w), ==, 0);
    advance(w, SECOND / 2);
    wait_syncs(w, 1);
    advance(w, 5 * SECOND);
    wait_syncs(w, 2);
    advance(w, 4 * SECOND);
    next_pass(w); /* a short pass has no look */
    advance(w, 4 * SECOND);
    next_pass(w);
    advance(w, 4 * SECOND);
    g_assert_cmpuint(syncs(w), ==, 2);
    bench_param(w->b, MIGRATION_PARAM_BACKGROUND_SYNC_INTERVAL, 50);
    wait_syncs(w, 3); /* the change is seen at once */
    finish(w);
}

static void test_first_pass(void)
{
    Watched *w = start(true);

    advance(w, 5 * SECOND);
    wait_syncs(w, 1);
    finish(w);
}

/* The throttle acts in the middle of a pass, which goes on with what it had. */
static void test_throttle_in_mid_pass(void)
{
    Watched *w = start(false);
    const BackgroundCounters *c = &w->b->ms->background_counters;

    next_pass(w);
    send_all(w);
    cpu_throttle_start(w->b->ms);
    STAT_ADD(w->b->ms->stats.transferred, 1000 * GW_TARGET_PAGE_SIZE);
    set_written(w, 900); /* the rest shrinks: patience */
    advance(w, 5 * SECOND);
    wait_syncs(w, 1);
    g_assert_cmpuint(told(w), ==, 0);
    STAT_ADD(w->b->ms->stats.transferred, 1000 * GW_TARGET_PAGE_SIZE);
    set_written(w, 900 + 1100); /* 500 would do: 100 % of running time become 45 */
    advance(w, 5 * SECOND);
    wait_syncs(w, 2);
    g_assert_cmpuint(told(w), ==, 55);
    g_assert_cmpuint(dirty_bitmap_count(w->block), ==, 0);
    STAT_ADD(w->b->ms->stats.transferred, 1000 * GW_TARGET_PAGE_SIZE);
    set_written(w, 2000 + 1000); /* twice what would do: half of the running time */
    advance(w, 5 * SECOND);
    wait_syncs(w, 3);
    g_assert_cmpuint(told(w), ==, 78);
    g_assert_cmpuint(STAT_GET(c->throttle_changes), ==, 2);
    next_pass(w);
    g_assert_cmpuint(dirty_bitmap_count(w->block), ==, 3000);
    finish(w);
}

/* Written before it was sent: once is enough. */
static void test_redundant_pages(void)
{
    Watched *w = start(true);

    set_written(w, 500);
    advance(w, 5 * SECOND);
    wait_syncs(w, 1);
    g_assert_cmpuint(STAT_GET(w->b->ms->background_counters.skipped_pages), ==, 500);
    g_assert_cmpuint(told(w), ==, 0);
    send_all(w);
    set_written(w, 0);
    next_pass(w);
    g_assert_cmpuint(dirty_bitmap_count(w->block), ==, 0);
    finish(w);
}

static void wait_ended(Watched *w, gint64 since)
{
    background_sync_stop(w->watcher); /* joins; nobody moves the clock */
    w->watcher = NULL;
    g_test_message("ended after %" G_GINT64_FORMAT " us", g_get_monotonic_time() - since);
}

/* After twenty seconds the rest is a second's work, background-sync-finish percent of them: that is
 * the end, but only for a guest that keeps up. */
static void test_finish(void)
{
    Watched *w = start(false);
    MigrationState *ms = w->b->ms;

    ms->out.bandwidth = 100 * MB;
    ms->out.threshold_bytes = 30 * MB;
    ms->out.start_ns = driven_now(w);
    advance(w, 20 * SECOND);
    cpu_throttle_finish(ms, 110 * MB, 120 * MB); /* more than a twentieth */
    cpu_throttle_finish(ms, 90 * MB, 125 * MB);  /* the next pass shortens it anyway */
    cpu_throttle_finish(ms, 20 * MB, 25 * MB);   /* small enough to switch over */
    g_assert_cmpuint(told(w), ==, 0);
    bench_param(w->b, MIGRATION_PARAM_CPU_THROTTLE_TAILSLOW, true);
    cpu_throttle_finish(ms, 90 * MB, 115 * MB);
    g_assert_cmpuint(told(w), ==, 0);
    bench_param(w->b, MIGRATION_PARAM_CPU_THROTTLE_TAILSLOW, false);
    bench_param(w->b, MIGRATION_PARAM_BACKGROUND_SYNC_FINISH, 4);
    cpu_throttle_finish(ms, 90 * MB, 115 * MB);
    g_assert_cmpuint(told(w), ==, 0);
    bench_param(w->b, MIGRATION_PARAM_BACKGROUND_SYNC_FINISH, 5);
    cpu_throttle_finish(ms, 90 * MB, 115 * MB);
    g_assert_cmpuint(told(w), ==, 99);
    finish(w);
}

static void test_ends_at_max(void)
{
    Watched *w = start(true);

    bench_param(w->b, MIGRATION_PARAM_MAX_CPU_THROTTLE, 20);
    send_all(w);
    set_written(w, PAGES);
    advance(w, 5 * SECOND);
    wait_syncs(w, 1);
    g_assert_cmpuint(told(w), ==, 20);
    for (int i = 0; i < 10; i++) {
        advance(w, 5 * SECOND);
    }
    wait_ended(w, g_get_monotonic_time());
    g_assert_cmpuint(syncs(w), ==, 1);
    finish(w);
}

static void test_ends_on_cancel(void)
{
    Watched *w = start(true);
    MigrationState *ms = w->b->ms;

    pthread_mutex_lock(&ms->lock);
    __atomic_store_n(&ms->out.cancel_requested, true, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&ms->out.cond);
    pthread_mutex_unlock(&ms->lock);
    advance(w, 50 * SECOND);
    wait_ended(w, g_get_monotonic_time());
    g_assert_cmpuint(syncs(w), ==, 0);
    finish(w);
}

static void test_needs_something_to_drive(void)
{
    const MigrationCapabilityChange c = {MIGRATION_CAP_BACKGROUND_SYNC, true};
    Bench *b = bench_new();
    GError *err = NULL;

    g_assert_false(gw_capabilities_set(b->ms, &c, 1, &err));
    g_assert_nonnull(strstr(err->message, "'background-sync' requires capability 'auto-converge'"));
    g_clear_error(&err);
    g_assert_null(background_sync_start(b->ms));
    bench_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/background-sync/when", test_when);
    g_test_add_func("/background-sync/first-pass", test_first_pass);
    g_test_add_func("/background-sync/throttle-in-mid-pass", test_throttle_in_mid_pass);
    g_test_add_func("/background-sync/redundant-pages", test_redundant_pages);
    g_test_add_func("/background-sync/finish", test_finish);
    g_test_add_func("/background-sync/ends-at-max", test_ends_at_max);
    g_test_add_func("/background-sync/ends-on-cancel", test_ends_on_cancel);
    g_test_add_func("/background-sync/needs-something-to-drive", test_needs_something_to_drive);
    return g_test_run();
}
