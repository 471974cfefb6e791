/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The dirty bitmap: take, set and count; sync; the order of take, protect and read with two-step
 * logs; several threads on one map. */
#include "dirty-bitmap.h"
#include "ram-fixture.h"

#define PAGES 10000

/* A log that reports what the test put into it, and writes down which ranges were protected. */
typedef struct Log {
    uint64_t *written;
    GString *cleared;
    bool fail;
} Log;

static bool log_sync(void *opaque, RAMBlock *b, uint64_t first, uint64_t npages, uint64_t *bitmap,
                     GError **errp)
{
    Log *log = opaque;

    if (log->fail) {
        g_set_error_literal(errp, GW_ERROR, GW_ERROR_GENERIC, "log: broken");
        return false;
    }
    for (uint64_t i = 0; i < bits_words(npages); i++) {
        bitmap[i] |= log->written[first / 64 + i];
        log->written[first / 64 + i] = 0;
    }
    return true;
}

static bool log_clear(void *opaque, RAMBlock *b, uint64_t first, uint64_t npages, GError **errp)
{
    Log *log = opaque;

    g_string_append_printf(log->cleared, "%" G_GUINT64_FORMAT "+%" G_GUINT64_FORMAT " ", first,
                           npages);
    return true;
}

static MigrationState *with_log(Log *log, bool two_step, RAMBlock **b)
{
    MigrationState *ms = fixture_new();

    log->written = bits_new(PAGES);
    log->cleared = g_string_new("");
    ms->has_dirty_log = true;
    ms->dirty_log.sync = log_sync;
    ms->dirty_log.clear = two_step ? log_clear : NULL;
    ms->dirty_log_opaque = log;
    *b = fixture_block(ms, "ram", PAGES, 0);
    dirty_bitmap_init(*b);
    return ms;
}

static void log_free(Log *log)
{
    g_free(log->written);
    g_string_free(log->cleared, TRUE);
}

static void test_take(void)
{
    MigrationState *ms = fixture_new();
    RAMBlock *b = fixture_block(ms, "ram", PAGES, 0);
    uint64_t taken[4] = {0};

    dirty_bitmap_init(b);
    g_assert_cmpuint(dirty_bitmap_count(b), ==, PAGES);
    g_assert_cmpuint(bits_count(b->dirty, 0, bits_words(PAGES) * 64), ==, PAGES);
    g_assert_cmpuint(dirty_bitmap_take(b, 70, 100, taken), ==, 100);
    g_assert_cmphex(taken[0], ==, bits_mask(6, 64));
    g_assert_cmphex(taken[1], ==, bits_mask(0, 42));
    g_assert_cmpuint(dirty_bitmap_take(b, 64, 128, taken), ==, 28);
    g_assert_cmpuint(dirty_bitmap_count(b), ==, PAGES - 128);
    dirty_bitmap_set(b, 60, 10);
    g_assert_cmpuint(dirty_bitmap_count(b), ==, PAGES - 128 + 6);
    g_assert_cmpuint(bits_count(b->dirty, 0, PAGES), ==, PAGES - 128 + 6);
    fixture_free(ms);
}

static void take_all(RAMBlock *b)
{
    g_autofree uint64_t *taken = bits_new(PAGES);

    dirty_bitmap_take(b, 0, PAGES, taken);
    g_assert_cmpuint(dirty_bitmap_count(b), ==, 0);
}

static void test_sync(void)
{
    Log log = {0};
    RAMBlock *b;
    MigrationState *ms = with_log(&log, false, &b);
    g_autofree uint64_t *scratch = bits_new(PAGES);
    uint64_t fresh = 0;
    GError *err = NULL;

    take_all(b);
    dirty_bitmap_set(b, 5, 1);
    bits_set_range(log.written, 0, 10);
    bits_set_range(log.written, PAGES - 1, 1);
    g_assert_true(dirty_bitmap_sync(b, scratch, &fresh, &err));
    g_assert_cmpuint(fresh, ==, 10); /* page 5 was dirty already */
    g_assert_cmpuint(dirty_bitmap_count(b), ==, 11);
    g_assert_true(dirty_bitmap_sync(b, scratch, &fresh, &err));
    g_assert_cmpuint(fresh, ==, 10);
    log.fail = true;
    g_assert_false(dirty_bitmap_sync(b, scratch, &fresh, &err));
    assert_error(err, "log: broken");
    log_free(&log);
    fixture_free(ms);
}

/* Chunks are protected once, when first needed, and again only after the log reported them. */
static void test_two_step(void)
{
    Log log = {0};
    RAMBlock *b;
    MigrationState *ms = with_log(&log, true, &b);
    g_autofree uint64_t *scratch = bits_new(PAGES);
    uint64_t fresh = 0;

    g_assert_true(dirty_bitmap_protect(b, 0, 512, NULL));
    g_assert_true(dirty_bitmap_protect(b, 512, 512, NULL));
    g_assert_cmpstr(log.cleared->str, ==, "0+4096 ");
    g_assert_true(dirty_bitmap_protect(b, 4090, 512, NULL));
    g_assert_cmpstr(log.cleared->str, ==, "0+4096 4096+4096 ");
    g_assert_true(dirty_bitmap_protect(b, PAGES - 1, 1, NULL));
    g_assert_cmpstr(log.cleared->str, ==, "0+4096 4096+4096 8192+1808 ");
    g_string_truncate(log.cleared, 0);
    take_all(b);
    bits_set(log.written, 4096 + 77);
    g_assert_true(dirty_bitmap_sync(b, scratch, &fresh, NULL));
    g_assert_true(dirty_bitmap_protect(b, 0, PAGES, NULL));
    g_assert_cmpstr(log.cleared->str, ==, "4096+4096 ");
    log_free(&log);
    fixture_free(ms);
}

/* A harvest leaves the pass alone: what is unsent in it is dropped, the rest waits for the next. */
static void test_harvest(void)
{
    Log log = {0};
    RAMBlock *b;
    MigrationState *ms = with_log(&log, false, &b);
    g_autofree uint64_t *scratch = bits_new(PAGES);
    g_autofree uint64_t *taken = bits_new(PAGES);
    uint64_t fresh = 0, skipped = 0;

    ms->options.caps[MIGRATION_CAP_BACKGROUND_SYNC] = true;
    dirty_bitmap_init(b);
    dirty_bitmap_take(b, 0, 640, taken);
    bits_set_range(log.written, 600, 100); /* 40 sent already, 60 not */
    g_assert_true(dirty_bitmap_harvest(b, 576, 640, scratch, &fresh, &skipped, NULL));
    g_assert_cmpuint(fresh, ==, 40);
    g_assert_cmpuint(skipped, ==, 60);
    g_assert_cmpuint(dirty_bitmap_count(b), ==, PAGES - 640);
    take_all(b);
    bits_set_range(log.written, 630, 20); /* 10 of them wait already */
    fresh = 0;
    g_assert_true(dirty_bitmap_sync(b, scratch, &fresh, NULL));
    g_assert_cmpuint(fresh, ==, 10);
    g_assert_cmpuint(dirty_bitmap_count(b), ==, 50);
    g_assert_cmpuint(bits_count(b->dirty, 600, 50), ==, 50);
    fresh = 0;
    g_assert_true(dirty_bitmap_sync(b, scratch, &fresh, NULL));
    g_assert_cmpuint(fresh, ==, 0);
    log_free(&log);
    fixture_free(ms);
}

/* A two-step log repeats itself until a chunk is protected: unsent pages count once, and only where
 * it was protected before. */
static void test_harvest_two_step(void)
{
    Log log = {0};
    RAMBlock *b;
    MigrationState *ms = with_log(&log, true, &b);
    g_autofree uint64_t *scratch = bits_new(PAGES);
    g_autofree uint64_t *taken = bits_new(PAGES);
    uint64_t fresh = 0, skipped = 0;

    ms->options.caps[MIGRATION_CAP_BACKGROUND_SYNC] = true;
    dirty_bitmap_init(b);
    dirty_bitmap_take(b, 0, 640, taken);
    g_assert_true(dirty_bitmap_protect(b, 0, 640, NULL));
    for (unsigned round = 0; round < 2; round++) {
        bits_set_range(log.written, 600, 100);  /* 40 sent already, 60 not */
        bits_set_range(log.written, 5000, 100); /* never protected: of old */
        g_assert_true(dirty_bitmap_harvest(b, 0, PAGES, scratch, &fresh, &skipped, NULL));
        g_assert_cmpuint(fresh, ==, 40);
        g_assert_cmpuint(skipped, ==, 60);
    }
    dirty_bitmap_take(b, 640, 10, taken);
    g_assert_true(dirty_bitmap_protect(b, 640, 10, NULL));
    bits_set_range(log.written, 700, 7);
    g_assert_true(dirty_bitmap_harvest(b, 0, PAGES, scratch, &fresh, &skipped, NULL));
    g_assert_cmpuint(fresh, ==, 40);
    g_assert_cmpuint(skipped, ==, 67);
    log_free(&log);
    fixture_free(ms);
}

static gpointer setter(gpointer opaque)
{
    for (unsigned i = 0; i < 20000; i++) {
        dirty_bitmap_set(opaque, i * 7919u % PAGES, 1);
    }
    return NULL;
}

/* No bit is lost or counted twice between a thread that takes and one that sets. */
static void test_threads(void)
{
    MigrationState *ms = fixture_new();
    RAMBlock *b = fixture_block(ms, "ram", PAGES, 0);
    g_autofree uint64_t *taken = bits_new(PAGES);
    GThread *t;

    dirty_bitmap_init(b);
    t = g_thread_new("setter", setter, b);
    for (unsigned i = 0; i < 200; i++) {
        dirty_bitmap_take(b, 0, PAGES, taken);
    }
    g_thread_join(t);
    g_assert_cmpuint(dirty_bitmap_count(b), ==, bits_count(b->dirty, 0, PAGES));
    fixture_free(ms);
}

static void test_bits_against_plain(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)g_test_rand_int());

    for (unsigned round = 0; round < 2000; round++) {
        uint64_t map[5] = {0};
        bool plain[320] = {0};

        for (unsigned i = 0; i < 6; i++) {
            const uint64_t first = (uint64_t)g_rand_int_range(rand, 0, 320);
            const uint64_t n = (uint64_t)g_rand_int_range(rand, 0, (gint32)(321 - first));
            const bool set = g_rand_boolean(rand);

            (set ? bits_set_range : bits_clear_range)(map, first, n);
            for (uint64_t k = first; k < first + n; k++) {
                plain[k] = set;
            }
        }
        const uint64_t from = (uint64_t)g_rand_int_range(rand, 0, 321);
        uint64_t s = from, c = from, count = 0;

        for (; s < 320 && !plain[s]; s++) {
        }
        for (; c < 320 && plain[c]; c++) {
        }
        for (uint64_t k = from; k < 320; k++) {
            g_assert_cmpint(bits_test(map, k), ==, plain[k]);
            count += plain[k];
        }
        g_assert_cmpuint(bits_find_set(map, from, 320), ==, s);
        g_assert_cmpuint(bits_find_clear(map, from, 320), ==, c);
        g_assert_cmpuint(bits_count(map, from, 320 - from), ==, count);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-bitmap/bits", test_bits_against_plain);
    g_test_add_func("/dirty-bitmap/take", test_take);
    g_test_add_func("/dirty-bitmap/sync", test_sync);
    g_test_add_func("/dirty-bitmap/two-step", test_two_step);
    g_test_add_func("/dirty-bitmap/harvest", test_harvest);
    g_test_add_func("/dirty-bitmap/harvest-two-step", test_harvest_two_step);
    g_test_add_func("/dirty-bitmap/threads", test_threads);
    return g_test_run();
}
