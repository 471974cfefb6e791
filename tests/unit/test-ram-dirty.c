/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that writes while it is sent, over a dirty log made of software, in two steps or in one:
 * the log traps only the first write after a page was protected, as KVM's does. Whatever the
 * timing, and whether background syncs come in between or not, after the last pass the target's
 * memory is the source's.
 */
#include <pthread.h>

#include "channel-mem.h"
#include "dirty-bitmap.h"
#include "free-page.h"
#include "lock.h"
#include "migration/free-page.h"
#include "ram-fixture.h"

#define PAGES 9000

/*
 * Per page: `protected_` says that a write is trapped; a trapped write sets `log` and takes the
 * protection away. The guest marks before it stores the data, as hardware does.
 */
typedef struct Guest {
    RAMBlock *block;
    uint8_t *protected_;  /* atomic, one byte per page */
    uint64_t *log;        /* atomic, kept until clear */
    uint64_t *reported;   /* by sync and not cleared since; lock */
    pthread_mutex_t lock; /* a trap and a clear of the same page do not overlap */
    bool quit;            /* atomic */
    bool one_step;
    uint64_t traps;       /* atomic */
    bool late_writes;     /* the guest writes to reported pages right before each protect */
    uint64_t late_value;
    uint32_t seed;
    uint8_t *undefined;   /* per page, atomic: the guest calls it free; NULL: none */
} Guest;

/* A vCPU's store races with whoever sends the page, on purpose: nothing for the thread
 * sanitizer. */
__attribute__((noinline, no_sanitize("thread")))
static void guest_store(uint64_t *p, uint64_t value)
{
    *(volatile uint64_t *)p = value;
}

static void guest_write(Guest *g, uint64_t page, uint64_t value)
{
    uint64_t *p = (uint64_t *)ram_block_page(g->block, page);

    pthread_mutex_lock(&g->lock);
    if (g->protected_[page]) {
        bits_atomic_set_range(g->log, page, 1);
        g->protected_[page] = 0;
        STAT_ADD(g->traps, 1);
    }
    if (g->undefined) {
        __atomic_store_n(&g->undefined[page], 0, __ATOMIC_RELAXED);
    }
    guest_store(&p[value % (PAGE / 8)], value); /* under the lock: it belongs to the trap */
    pthread_mutex_unlock(&g->lock);
}

static gpointer guest_thread(gpointer opaque)
{
    Guest *g = opaque;
    g_autoptr(GRand) rand = g_rand_new_with_seed(g->seed);

    while (!__atomic_load_n(&g->quit, __ATOMIC_ACQUIRE)) {
        const uint64_t page = (uint64_t)g_rand_int_range(rand, 0, PAGES);

        /* Zeros too, so that pages change between the two kinds of record. */
        guest_write(g, page, g_rand_int_range(rand, 0, 3) ? g_rand_int(rand) : 0);
        /* Slow: a page that is written again soon would hide that a write was lost. */
        g_usleep(20);
    }
    return NULL;
}

static bool log_start(void *opaque, GError **errp)
{
    Guest *g = opaque;

    pthread_mutex_lock(&g->lock);
    if (g->one_step) {
        memset(g->protected_, 1, PAGES);
    } else {
        bits_atomic_set_range(g->log, 0, PAGES); /* all written, none protected */
        bits_set_range(g->reported, 0, PAGES);
    }
    pthread_mutex_unlock(&g->lock);
    return true;
}

static void log_stop(void *opaque)
{
}

static bool log_sync(void *opaque, RAMBlock *b, uint64_t first, uint64_t npages, uint64_t *bitmap,
                     GError **errp)
{
    Guest *g = opaque;

    pthread_mutex_lock(&g->lock);
    for (uint64_t i = 0; i < bits_words(npages); i++) {
        const uint64_t at = first / 64 + i;

        if (!g->one_step) {
            g->reported[at] |= __atomic_load_n(&g->log[at], __ATOMIC_ACQUIRE);
            bitmap[i] |= g->reported[at];
            continue;
        }
        const uint64_t bits = bits_atomic_take(g->log, at, UINT64_MAX);

        bitmap[i] |= bits;
        for (unsigned k = 0; k < 64 && at * 64 + k < PAGES; k++) {
            g->protected_[at * 64 + k] |= (bits >> k) & 1;
        }
    }
    pthread_mutex_unlock(&g->lock);
    return true;
}

static bool log_clear(void *opaque, RAMBlock *b, uint64_t first, uint64_t npages, GError **errp)
{
    Guest *g = opaque;

    for (uint64_t p = first; p < first + npages; p++) {
        LOCK_GUARD(&g->lock);

        /* A page that was written after the sync stays in the log. */
        if (!bits_test(g->reported, p)) {
            continue;
        }
        bits_clear_range(g->reported, p, 1);
        if (g->late_writes && p % 3 == 0) {
            guest_store((uint64_t *)ram_block_page(b, p), ++g->late_value);
        }
        bits_atomic_take(g->log, p / 64, UINT64_C(1) << p % 64);
        g->protected_[p] = 1;
    }
    return true;
}

typedef struct Target {
    MigrationState *ms;
    GwChannel *ch;
} Target;

static gpointer target_thread(gpointer opaque)
{
    Target *t = opaque;
    g_autoptr(StreamReader) r = stream_reader_new(t->ch);
    GError *err = NULL;
    uint8_t more;

    for (;;) {
        g_assert_true(stream_get_u8(r, &more, &err));
        if (!more) {
            return NULL;
        }
        if (!ram_load_state(t->ms, r, 4, &err)) {
            g_error("%s", err->message);
        }
    }
}

typedef struct Run {
    Guest g;
    MigrationState *src;
    Target t;
    RAMBlock *copy;
    GThread *target;
    GwChannel *ch;
    StreamWriter *w;
} Run;

static void run_start(Run *r, bool one_step)
{
    *r = (Run){.src = fixture_new(), .t = {.ms = fixture_new()}};
    r->g.one_step = one_step;
    r->copy = fixture_block(r->t.ms, "ram", PAGES, 0);
    r->g.block = fixture_block(r->src, "ram", PAGES, 0);
    r->g.protected_ = g_malloc0(PAGES);
    r->g.log = bits_new(PAGES);
    r->g.reported = bits_new(PAGES);
    pthread_mutex_init(&r->g.lock, NULL);
    r->src->has_dirty_log = true;
    r->src->dirty_log = (MigrationDirtyLogOps){.size = sizeof(r->src->dirty_log), .name = "toy",
                                               .start = log_start, .stop = log_stop,
                                               .sync = log_sync,
                                               .clear = one_step ? NULL : log_clear};
    r->src->dirty_log_opaque = &r->g;
    g_assert_true(gw_channel_mem_pair(1 << 20, &r->ch, &r->t.ch));
    r->w = stream_writer_new(r->ch);
    g_assert_true(ram_load_setup(r->t.ms, NULL));
    r->target = g_thread_new("target", target_thread, &r->t);
}

static bool run_part(Run *r)
{
    bool done;

    stream_put_u8(r->w, 1);
    g_assert_true(ram_save_iterate(r->src, r->w, 1 << 20, &done, NULL));
    g_assert_true(stream_flush(r->w, NULL));
    return done;
}

static void run_finish(Run *r)
{
    stream_put_u8(r->w, 1);
    g_assert_true(ram_save_complete(r->src, r->w, NULL));
    stream_put_u8(r->w, 0);
    g_assert_true(stream_flush(r->w, NULL));
    g_thread_join(r->target);
    g_assert_cmpuint(ram_bytes_remaining(r->src), ==, 0);
    for (uint64_t p = 0; p < PAGES; p++) {
        const bool matters = !r->g.undefined || !r->g.undefined[p];

        if (matters && memcmp(ram_block_page(r->g.block, p), ram_block_page(r->copy, p), PAGE)) {
            g_error("page %" G_GUINT64_FORMAT " differs", p);
        }
    }
    stream_writer_free(r->w);
    gw_channel_unref(r->ch);
    gw_channel_unref(r->t.ch);
    g_free(r->g.log);
    g_free(r->g.reported);
    g_free(r->g.protected_);
    g_free(r->g.undefined);
    pthread_mutex_destroy(&r->g.lock);
    fixture_free(r->src);
    fixture_free(r->t.ms);
}

typedef struct Watcher {
    MigrationState *ms;
    bool quit;           /* atomic */
    uint32_t seed;
    uint64_t new_pages, skipped;
    uint64_t found;      /* atomic: new_pages, for others */
} Watcher;

/* Looks at one piece after another, in no order. */
static gpointer watcher_thread(gpointer opaque)
{
    Watcher *w = opaque;
    RAMBlock *b = ram_block_at(w->ms, 0);
    g_autoptr(GRand) rand = g_rand_new_with_seed(w->seed);
    g_autofree uint64_t *scratch = bits_new(PAGES);

    while (!__atomic_load_n(&w->quit, __ATOMIC_ACQUIRE)) {
        const uint64_t first = (uint64_t)g_rand_int_range(rand, 0, PAGES / 64) * 64;

        pthread_mutex_lock(&w->ms->ram_save->sync_lock);
        g_assert_true(dirty_bitmap_harvest(b, first, MIN(1024, PAGES - first), scratch,
                                           &w->new_pages, &w->skipped, NULL));
        pthread_mutex_unlock(&w->ms->ram_save->sync_lock);
        STAT_SET(w->found, w->new_pages);
        g_usleep(100);
    }
    return NULL;
}

static GThread *watcher_start(Watcher *w, MigrationState *ms, uint32_t seed)
{
    *w = (Watcher){.ms = ms, .seed = seed};
    return g_thread_new("watcher", watcher_thread, w);
}

static void watcher_stop(Watcher *w, GThread *thread)
{
    __atomic_store_n(&w->quit, true, __ATOMIC_RELEASE);
    g_thread_join(thread);
}

typedef struct Kind {
    bool one_step, background;
} Kind;

static void test_passes(gconstpointer opaque)
{
    const Kind *kind = opaque;
    GThread *watcher = NULL;
    Watcher watch;
    const uint32_t seed = g_test_rand_int_range(1, G_MAXINT32);
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    GThread *guest;
    uint64_t left;
    Run r;

    g_test_message("seed %u", seed);
    run_start(&r, kind->one_step);
    r.src->options.caps[MIGRATION_CAP_BACKGROUND_SYNC] = kind->background;
    r.g.seed = seed;
    for (uint64_t p = 0; p < PAGES; p += 2) {
        fixture_fill(r.g.block, p, rand);
    }
    guest = g_thread_new("guest", guest_thread, &r.g);
    stream_put_u8(r.w, 1);
    g_assert_true(ram_save_setup(r.src, r.w, NULL));
    if (kind->background) {
        watcher = watcher_start(&watch, r.src, seed + 1);
    }
    /* More passes where the other threads had no turn in the first ones. */
    for (unsigned pass = 0;
         pass < 8 || !STAT_GET(r.g.traps) || (watcher && !STAT_GET(watch.found)); pass++) {
        /* Passes that end and passes that a sync cuts short. */
        while (!run_part(&r) && g_rand_int_range(rand, 0, 20)) {
        }
        /* Room for some writes in each pass, however fast it was. */
        const gint64 until = g_get_monotonic_time() + 10000;
        const uint64_t traps = STAT_GET(r.g.traps);

        while (STAT_GET(r.g.traps) < traps + 100 && g_get_monotonic_time() < until) {
            g_thread_yield();
        }
        g_assert_true(ram_save_pending(r.src, true, &left, NULL));
    }
    __atomic_store_n(&r.g.quit, true, __ATOMIC_RELEASE);
    g_thread_join(guest);
    if (watcher) {
        watcher_stop(&watch, watcher);
    }
    run_finish(&r);
}

/* The last moment in which a write escapes the log is when its page gets protected: whatever was
 * found out about the page before that moment is void. */
static void test_write_before_protect(void)
{
    uint64_t left;
    Run r;

    run_start(&r, false);
    r.g.late_writes = true;
    stream_put_u8(r.w, 1);
    g_assert_true(ram_save_setup(r.src, r.w, NULL));
    while (!run_part(&r)) {
    }
    for (uint64_t p = 0; p < PAGES; p += 5) {
        guest_write(&r.g, p, 0);
    }
    g_assert_true(ram_save_pending(r.src, true, &left, NULL));
    g_assert_cmpuint(left, >=, PAGES / 5 * PAGE);
    while (!run_part(&r)) {
    }
    run_finish(&r);
}

#define IS_FREE(p) ((p) % 7 == 3)

typedef struct Hints {
    Run *run;
    uint64_t bytes;
    bool quit;    /* atomic */
} Hints;

/* Goes on when hints are not taken any more: a guest does not know when that is. */
static gpointer hint_thread(gpointer opaque)
{
    Hints *h = opaque;

    while (!__atomic_load_n(&h->quit, __ATOMIC_ACQUIRE)) {
        for (uint64_t p = 0; p < PAGES; p++) {
            if (IS_FREE(p)) {
                h->bytes += gw_free_page_hint(h->run->src, h->run->g.block, p * PAGE, PAGE);
            }
        }
        g_usleep(100);
    }
    return NULL;
}

static void on_window(void *opaque)
{
    ++*(unsigned *)opaque;
}

/* The guest calls a seventh of its pages free, and writes into all of them as it likes: what it has
 * written since it was asked arrives, whenever the hint was taken. */
static void test_free_page_hints(gconstpointer one_step)
{
    static const MigrationFreePageOps ops = {
        .size = sizeof(ops), .open = on_window, .close = on_window,
    };
    g_autoptr(GRand) rand = g_rand_new_with_seed(g_test_rand_int_range(1, G_MAXINT32));
    unsigned calls = 0;
    GThread *guest, *hinter;
    uint64_t left, free_pages = 0;
    Hints hints = {0};
    Run r;

    run_start(&r, GPOINTER_TO_INT(one_step));
    hints.run = &r;
    r.g.seed = g_rand_int(rand);
    r.g.undefined = g_malloc0(PAGES);
    for (uint64_t p = 0; p < PAGES; p++) {
        fixture_fill(r.g.block, p, rand);
        r.g.undefined[p] = IS_FREE(p);
        free_pages += IS_FREE(p);
    }
    g_assert_true(gw_free_page_register(r.src, &ops, &calls, NULL));
    stream_put_u8(r.w, 1);
    g_assert_true(ram_save_setup(r.src, r.w, NULL));
    g_assert_cmpuint(gw_free_page_hint(r.src, r.g.block, 3 * PAGE, PAGE), ==, 0); /* not yet */
    g_assert_true(free_page_open(r.src, NULL));
    /* Half of a page is none; what lies behind the end is nothing. */
    g_assert_cmpuint(gw_free_page_hint(r.src, r.g.block, 3 * PAGE + 1, PAGE), ==, 0);
    g_assert_cmpuint(gw_free_page_hint(r.src, r.g.block, PAGES * PAGE, PAGE), ==, 0);
    g_assert_cmpuint(gw_free_page_hint(r.src, r.g.block, 3 * PAGE, PAGE), ==, PAGE);
    guest = g_thread_new("guest", guest_thread, &r.g);
    hinter = g_thread_new("hints", hint_thread, &hints);
    for (unsigned pass = 0; pass < 8 || STAT_GET(r.g.traps) < 100; pass++) {
        while (!run_part(&r)) {
        }
        g_assert_true(ram_save_pending(r.src, true, &left, NULL));
        g_assert_cmpuint(calls, ==, 2); /* closed for good */
    }
    __atomic_store_n(&hints.quit, true, __ATOMIC_RELEASE);
    g_thread_join(hinter);
    __atomic_store_n(&r.g.quit, true, __ATOMIC_RELEASE);
    g_thread_join(guest);
    g_assert_cmpuint(STAT_GET(r.src->free_page.counters.skipped_bytes), ==, hints.bytes + PAGE);
    g_assert_cmpuint(hints.bytes, <, free_pages * PAGE); /* each counts once */
    gw_free_page_unregister(r.src, &calls);
    run_finish(&r);
}

/* What was never sent and is not dirty would be waited for. */
static void test_no_hints_with_postcopy(void)
{
    static const MigrationFreePageOps ops = {
        .size = sizeof(ops), .open = on_window, .close = on_window,
    };
    unsigned calls = 0;
    Run r;

    run_start(&r, true);
    r.src->options.caps[MIGRATION_CAP_POSTCOPY_RAM] = true;
    g_assert_true(gw_free_page_register(r.src, &ops, &calls, NULL));
    g_assert_false(gw_free_page_register(r.src, &ops, &r, NULL)); /* one is enough */
    stream_put_u8(r.w, 1);
    g_assert_true(ram_save_setup(r.src, r.w, NULL));
    g_assert_true(free_page_open(r.src, NULL));
    g_assert_cmpuint(calls, ==, 0);
    g_assert_cmpuint(gw_free_page_hint(r.src, r.g.block, 0, PAGE), ==, 0);
    while (!run_part(&r)) {
    }
    run_finish(&r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/ram-dirty/two-step", &(Kind){false, false}, test_passes);
    g_test_add_data_func("/ram-dirty/two-step/background", &(Kind){false, true}, test_passes);
    g_test_add_data_func("/ram-dirty/one-step", &(Kind){true, false}, test_passes);
    g_test_add_data_func("/ram-dirty/one-step/background", &(Kind){true, true}, test_passes);
    g_test_add_func("/ram-dirty/write-before-protect", test_write_before_protect);
    g_test_add_data_func("/ram-dirty/free-page-hints/two-step", GINT_TO_POINTER(0),
                         test_free_page_hints);
    g_test_add_data_func("/ram-dirty/free-page-hints/one-step", GINT_TO_POINTER(1),
                         test_free_page_hints);
    g_test_add_func("/ram-dirty/free-page-hints/postcopy", test_no_hints_with_postcopy);
    return g_test_run();
}
