/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two threads look for zero pages from both ends of memory: every page is skipped or sent, none is
 * lost, whichever thread gets how far; each chunk of the log is protected once; and whenever the
 * sweep is stopped, the dirty bitmap is complete.
 */
#include "dirty-bitmap.h"
#include "ram-fixture.h"
#include "zero-sweep.h"

#define CHUNKS 12
#define PAGES (CHUNKS * DIRTY_CHUNK_PAGES - 100)

typedef struct Source {
    MigrationState *ms;
    RAMBlock *big, *small;
    StreamWriter *w;
    unsigned cleared[CHUNKS + 1]; /* atomic: how often each chunk was protected */
    bool refuse;                  /* atomic: the log cannot be protected */
    bool slow, in, out;           /* atomic: protecting takes its time; it began; it ended */
    uint64_t data;                /* pages that are not zero */
} Source;

static bool log_start(void *opaque, GError **errp)
{
    return true;
}

static void log_stop(void *opaque)
{
}

static bool log_clear(void *opaque, RAMBlock *b, uint64_t first, uint64_t npages, GError **errp)
{
    Source *s = opaque;

    if (STAT_GET(s->slow)) {
        STAT_SET(s->in, true);
        g_usleep(20000);
        STAT_SET(s->out, true);
    }
    STAT_ADD(s->cleared[b == s->small ? CHUNKS : first / DIRTY_CHUNK_PAGES], 1);
    if (STAT_GET(s->refuse)) {
        g_set_error_literal(errp, GW_ERROR, GW_ERROR_GENERIC, "no log");
        return false;
    }
    return true;
}

static bool log_sync(void *opaque, RAMBlock *b, uint64_t first, uint64_t npages, uint64_t *bitmap,
                     GError **errp)
{
    return true;
}

static void put(Source *s, RAMBlock *b, uint64_t page)
{
    s->data += zero_page_portable(ram_block_page(b, page));
    ram_block_page(b, page)[page % PAGE] = 1;
}

static Source *source_new(guint32 seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    Source *s = g_new0(Source, 1);

    s->ms = fixture_new();
    s->ms->has_dirty_log = true;
    s->ms->dirty_log = (MigrationDirtyLogOps){
        .size = sizeof(MigrationDirtyLogOps), .name = "test", .start = log_start,
        .stop = log_stop, .clear = log_clear, .sync = log_sync,
    };
    s->ms->dirty_log_opaque = s;
    s->big = fixture_block(s->ms, "big", PAGES, 0);
    s->small = fixture_block(s->ms, "small", 70, 0);
    madvise(s->big->info.host, s->big->info.used_length, MADV_NOHUGEPAGE);
    for (unsigned i = 0; i < 500; i++) {
        put(s, s->big, (uint64_t)g_rand_int_range(rand, 0, PAGES));
    }
    *(volatile uint8_t *)ram_block_page(s->big, 9) += 0; /* touched */
    put(s, s->big, 0);
    put(s, s->big, PAGES - 1);
    put(s, s->small, 69);
    s->w = stream_writer_new(NULL);
    g_assert_true(ram_save_setup(s->ms, s->w, NULL));
    s->ms->ram_save->skip_zero = true;
    return s;
}

static void source_free(Source *s)
{
    stream_writer_free(s->w);
    fixture_free(s->ms);
    g_free(s);
}

static uint64_t dirty_pages(const Source *s)
{
    return bits_count(s->big->dirty, 0, PAGES) + bits_count(s->small->dirty, 0, 70);
}

static void load_and_compare(Source *s)
{
    MigrationState *dst = fixture_new();
    RAMBlock *big = fixture_block(dst, "big", PAGES, 0);
    RAMBlock *small = fixture_block(dst, "small", 70, 0);
    g_autoptr(GByteArray) wire = stream_writer_steal(s->w);
    g_autoptr(StreamReader) r = stream_reader_new_mem(wire->data, wire->len, "wire");
    GError *err = NULL;

    g_assert_true(ram_load_setup(dst, NULL));
    while (stream_consumed(r) < wire->len) {
        ram_load_state(dst, r, 4, &err);
        g_assert_no_error(err);
    }
    g_assert_cmpmem(s->big->info.host, PAGES * PAGE, big->info.host, PAGES * PAGE);
    g_assert_cmpmem(s->small->info.host, 70 * PAGE, small->info.host, 70 * PAGE);
    fixture_free(dst);
}

/* `delay_us`: the sender waits first, so that the two meet elsewhere. */
static void test_all_pages(gconstpointer delay_us)
{
    Source *s = source_new(GPOINTER_TO_UINT(delay_us) + 1);
    uint64_t left = 1;
    bool done;

    zero_sweep_start(s->ms->ram_save);
    g_usleep(GPOINTER_TO_UINT(delay_us));
    while (left) {
        g_assert_true(ram_save_iterate(s->ms, s->w, 64 << 10, &done, NULL));
        if (done) {
            zero_sweep_stop(s->ms->ram_save);
            left = dirty_pages(s);
        }
    }
    g_assert_cmpuint(s->ms->stats.normal_pages, ==, s->data);
    g_assert_cmpuint(s->ms->stats.skipped_pages, ==, PAGES + 70 - s->data);
    g_assert_cmpuint(s->ms->stats.zero_pages, ==, 0);
    for (unsigned i = 0; i <= CHUNKS; i++) {
        g_assert_cmpuint(s->cleared[i], ==, 1);
    }
    load_and_compare(s);
    source_free(s);
}

/* The sender does nothing: the sweep goes down to its chunk, or is stopped before. */
static void test_stop(void)
{
    for (unsigned delay_us = 0; delay_us < 3000; delay_us += 300) {
        Source *s = source_new(delay_us);
        RamSave *rs = s->ms->ram_save;

        zero_sweep_start(rs);
        g_usleep(delay_us);
        zero_sweep_stop(rs);
        g_assert_cmpuint(dirty_pages(s) + s->ms->stats.skipped_pages, ==, PAGES + 70);
        g_assert_cmpuint(ram_bytes_remaining(s->ms), ==, dirty_pages(s) * PAGE);
        g_assert_cmpuint(bits_count(s->big->dirty, 0, DIRTY_CHUNK_PAGES), ==, DIRTY_CHUNK_PAGES);
        for (uint64_t page = 0; page < PAGES; page++) {
            g_assert_true(bits_test(s->big->dirty, page) ||
                          zero_page_portable(ram_block_page(s->big, page)));
        }
        source_free(s);
    }
}

/* What the sweep could not protect is the sender's again. */
static void test_refused(void)
{
    Source *s = source_new(1);

    STAT_SET(s->refuse, true);
    zero_sweep_start(s->ms->ram_save);
    g_usleep(1000);
    zero_sweep_stop(s->ms->ram_save);
    g_assert_cmpuint(dirty_pages(s), ==, PAGES + 70);
    g_assert_cmpuint(s->ms->stats.skipped_pages, ==, 0);
    g_assert_cmpuint(bits_count(s->big->unprotected, 0, CHUNKS), ==, CHUNKS);
    source_free(s);
}

/* The sender may not pass a chunk whose log is still being protected: it would read pages of which
 * the log does not tell yet. */
static void test_one_in_a_chunk(void)
{
    Source *s = source_new(1);
    RamSave *rs = s->ms->ram_save;

    STAT_SET(s->slow, true);
    zero_sweep_start(rs);
    while (!STAT_GET(s->in)) {
        g_usleep(100);
    }
    zero_sweep_enter(rs, s->small, 0); /* where the sweep begins */
    g_assert_true(STAT_GET(s->out));
    zero_sweep_stop(rs);
    source_free(s);
}

/* Whoever decides about the switchover must see all dirty pages. */
static void test_sync_ends_it(gconstpointer last)
{
    Source *s = source_new(1);
    uint64_t bytes;

    zero_sweep_start(s->ms->ram_save);
    if (last) {
        g_assert_true(ram_save_complete(s->ms, s->w, NULL));
    } else {
        g_assert_true(ram_save_pending(s->ms, true, &bytes, NULL));
        g_assert_cmpuint(bytes, ==, dirty_pages(s) * PAGE);
    }
    g_assert_null(s->ms->ram_save->sweep);
    source_free(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/zero-sweep/all", GUINT_TO_POINTER(0), test_all_pages);
    g_test_add_data_func("/zero-sweep/all-later", GUINT_TO_POINTER(200), test_all_pages);
    g_test_add_data_func("/zero-sweep/all-late", GUINT_TO_POINTER(5000), test_all_pages);
    g_test_add_func("/zero-sweep/stop", test_stop);
    g_test_add_func("/zero-sweep/refused", test_refused);
    g_test_add_func("/zero-sweep/one-in-a-chunk", test_one_in_a_chunk);
    g_test_add_data_func("/zero-sweep/sync", NULL, test_sync_ends_it);
    g_test_add_data_func("/zero-sweep/last-sync", "y", test_sync_ends_it);
    return g_test_run();
}
