/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XBZRLE from one RAM section to another: the target's memory is the source's after each pass,
 * whatever the cache had room for; its records are those of the protocol pages; the counters tell
 * what was done. And the cache by itself.
 */
#include "dirty-bitmap.h"
#include "page-cache.h"
#include "ram-fixture.h"
#include "ram-xbzrle.h"

#define PAGES 256

typedef struct Ends {
    MigrationState *src, *dst;
    RAMBlock *from, *to;
    StreamWriter *w;
} Ends;

static Ends ends_new(uint64_t cache_pages)
{
    Ends e = {.src = fixture_new(), .dst = fixture_new(), .w = stream_writer_new(NULL)};

    e.src->options.caps[MIGRATION_CAP_XBZRLE] = true;
    e.src->options.params[MIGRATION_PARAM_XBZRLE_CACHE_SIZE].num = cache_pages * PAGE;
    e.from = fixture_block(e.src, "ram", PAGES, 0);
    e.to = fixture_block(e.dst, "ram", PAGES, 0);
    g_assert_true(ram_load_setup(e.dst, NULL));
    g_assert_true(ram_save_setup(e.src, e.w, NULL));
    return e;
}

static void ends_free(Ends *e)
{
    stream_writer_free(e->w);
    fixture_free(e->src);
    fixture_free(e->dst);
}

/* What the last PART put, loaded at the target. Returns its bytes. */
static size_t deliver(Ends *e)
{
    g_autoptr(GByteArray) wire = stream_writer_steal(e->w);
    g_autoptr(StreamReader) r = stream_reader_new_mem(wire->data, wire->len, "wire");
    GError *err = NULL;

    while (stream_consumed(r) < wire->len) {
        ram_load_state(e->dst, r, 4, &err);
        g_assert_no_error(err);
    }
    return wire->len;
}

static size_t pass(Ends *e)
{
    size_t bytes;
    bool done;

    g_assert_true(ram_save_iterate(e->src, e->w, UINT64_MAX, &done, NULL));
    g_assert_true(done);
    bytes = deliver(e);
    STAT_ADD(e->src->stats.dirty_sync_count, 1);
    ram_xbzrle_measure(e->src->ram_save);
    g_assert_cmpmem(e->from->info.host, PAGES * PAGE, e->to->info.host, PAGES * PAGE);
    return bytes;
}

/* One byte of the page, or all of them. */
static void dirty(Ends *e, uint64_t page, GRand *all)
{
    if (all) {
        fixture_fill(e->from, page, all);
    } else {
        ram_block_page(e->from, page)[page % PAGE]++;
    }
    dirty_bitmap_set(e->from, page, 1);
}

static void test_records(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    Ends e = ends_new(PAGES);
    const XbzrleStats *st = &e.src->stats.xbzrle;
    g_autoptr(GByteArray) wire = NULL;
    bool done;

    for (uint64_t i = 0; i < PAGES; i++) {
        fixture_fill(e.from, i, rand);
    }
    pass(&e);
    g_assert_cmpuint(st->lookups, ==, 0); /* nothing was sent before */
    dirty(&e, 5, NULL);
    g_assert_cmpuint(pass(&e), >, PAGE); /* now its version is known */
    g_assert_cmpuint(st->misses, ==, 1);
    g_assert_cmpfloat(e.src->out.xbzrle_miss_rate, ==, 1);

    ram_block_page(e.from, 5)[0] ^= 0xff;
    dirty_bitmap_set(e.from, 5, 1);
    g_assert_true(ram_save_iterate(e.src, e.w, UINT64_MAX, &done, NULL));
    wire = stream_writer_steal(e.w);
    const uint8_t want[] = {0, 0, 0, 0, 0, 0, 0x50, 0x60, 1, 0, 3, 0, 1,
                            ram_block_page(e.from, 5)[0], 0, 0, 0, 0, 0, 0, 0, 0x10};
    g_assert_cmpmem(wire->data, wire->len, want, sizeof(want));
    stream_put_bytes(e.w, wire->data, wire->len);
    deliver(&e);
    g_assert_cmpuint(st->pages, ==, 1);
    g_assert_cmpuint(st->bytes, ==, 14);

    dirty_bitmap_set(e.from, 5, 1); /* written, but with what was there */
    g_assert_cmpuint(pass(&e), ==, 8);
    dirty(&e, 5, rand);
    g_assert_cmpuint(pass(&e), ==, 8 + PAGE + 8);
    g_assert_cmpuint(st->overflows, ==, 1);
    dirty(&e, 5, NULL); /* the whole page was kept, too */
    g_assert_cmpuint(pass(&e), <, 40);
    g_assert_cmpfloat(e.src->out.xbzrle_encoding_rate, >, 100);
    g_assert_cmpfloat(e.src->out.xbzrle_miss_rate, ==, 0);
    ends_free(&e);
}

static void test_zero_is_kept(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    Ends e = ends_new(PAGES);

    fixture_fill(e.from, 3, rand);
    pass(&e);
    dirty(&e, 3, NULL);
    pass(&e);
    memset(ram_block_page(e.from, 3), 0, PAGE);
    dirty_bitmap_set(e.from, 3, 1);
    g_assert_cmpuint(pass(&e), ==, 9 + 8);
    dirty(&e, 3, NULL); /* against zeros */
    g_assert_cmpuint(pass(&e), <, 40);
    ends_free(&e);
}

/* The guest stopped: who is in the cache is still sent as changes, nobody comes in. */
static void test_last_stage(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    Ends e = ends_new(PAGES);

    fixture_fill(e.from, 1, rand);
    fixture_fill(e.from, 2, rand);
    pass(&e);
    dirty(&e, 1, NULL);
    pass(&e);
    dirty(&e, 1, NULL);
    dirty(&e, 2, NULL);
    g_assert_true(ram_save_complete(e.src, e.w, NULL));
    deliver(&e);
    g_assert_cmpmem(e.from->info.host, PAGES * PAGE, e.to->info.host, PAGES * PAGE);
    g_assert_cmpuint(e.src->stats.xbzrle.pages, ==, 1);
    dirty(&e, 2, NULL);
    g_assert_true(ram_save_complete(e.src, e.w, NULL));
    deliver(&e);
    g_assert_cmpuint(e.src->stats.xbzrle.pages, ==, 1);
    ends_free(&e);
}

/* Pages that share a place, and a cache that changes its size on the way. */
static void test_random_writes(void)
{
    static const uint64_t sizes[] = {16, 64, 8, 1, 512, 32};
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    Ends e = ends_new(16);

    for (uint64_t i = 0; i < PAGES; i += 2) {
        fixture_fill(e.from, i, rand);
    }
    pass(&e);
    for (unsigned round = 0; round < 120; round++) {
        for (unsigned k = 0; k < 40; k++) {
            dirty(&e, (uint64_t)g_rand_int_range(rand, 0, round % 3 ? 20 : PAGES),
                  k % 9 ? NULL : rand);
        }
        e.src->options.params[MIGRATION_PARAM_XBZRLE_CACHE_SIZE].num =
            sizes[round / 10 % G_N_ELEMENTS(sizes)] * PAGE;
        pass(&e);
    }
    g_assert_cmpuint(e.src->stats.xbzrle.pages, >, 500);
    g_assert_cmpuint(e.src->stats.xbzrle.misses, >, 500);
    /* A size that cannot be had leaves the old cache at work. */
    e.src->options.params[MIGRATION_PARAM_XBZRLE_CACHE_SIZE].num = UINT64_C(1) << 60;
    dirty(&e, 3, NULL);
    pass(&e);
    ends_free(&e);
}

static void test_cache(void)
{
    g_autoptr(PageCache) c = page_cache_new(8 * PAGE, NULL), small = page_cache_new(PAGE, NULL);
    GError *err = NULL;

    g_assert_cmpuint(page_cache_size(c), ==, 8 * PAGE);
    g_assert_null(page_cache_get(c, 3, 1));
    memset(page_cache_claim(c, 3, 1), 0x33, PAGE);
    g_assert_null(page_cache_claim(c, 11, 2)); /* the same place: too early */
    g_assert_cmphex(page_cache_get(c, 3, 2)[9], ==, 0x33);
    g_assert_null(page_cache_claim(c, 11, 3)); /* used in 2 */
    memset(page_cache_claim(c, 11, 4), 0x11, PAGE);
    g_assert_null(page_cache_get(c, 3, 4));
    memset(page_cache_claim(c, 4, 5), 0x44, PAGE);
    page_cache_copy(small, c);
    g_assert_null(page_cache_get(small, 11, 5));
    g_assert_cmphex(page_cache_get(small, 4, 5)[0], ==, 0x44); /* used last */
    g_assert_null(page_cache_new(UINT64_C(1) << 61, &err));
    assert_error(err, "xbzrle-cache-size");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xbzrle-save/records", test_records);
    g_test_add_func("/xbzrle-save/zero", test_zero_is_kept);
    g_test_add_func("/xbzrle-save/last-stage", test_last_stage);
    g_test_add_func("/xbzrle-save/random", test_random_writes);
    g_test_add_func("/xbzrle-save/cache", test_cache);
    return g_test_run();
}
