/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The search: rank of the sources, the linear walk over blocks and windows, its passes. */
#include "dirty-bitmap.h"
#include "ram-fixture.h"

static MigrationState *two_blocks(RAMBlock **big, RAMBlock **small)
{
    MigrationState *ms = fixture_new();

    *small = fixture_block(ms, "small", 70, 0);
    *big = fixture_block(ms, "big", 1300, 0);
    dirty_bitmap_init(*small);
    dirty_bitmap_init(*big);
    return ms;
}

static void take(const PageRange *r)
{
    uint64_t taken[PAGE_SEARCH_WINDOW / BITS_PER_WORD + 1];

    g_assert_cmpuint(dirty_bitmap_take(r->block, r->first, r->npages, taken), >, 0);
}

static void expect(PageSearch *ps, uint64_t max, const RAMBlock *b, uint64_t first, uint64_t n)
{
    PageRange r;

    g_assert_true(page_search_next(ps, max, &r));
    g_assert_true(r.block == b);
    g_assert_cmpuint(r.first, ==, first);
    g_assert_cmpuint(r.npages, ==, n);
    g_assert_cmpint(r.source, ==, PAGE_SOURCE_LINEAR);
    take(&r);
}

/* Largest block first, in windows that do not straddle. */
static void test_linear(void)
{
    RAMBlock *big, *small;
    MigrationState *ms = two_blocks(&big, &small);
    PageSearch ps;
    PageRange r;

    page_search_init(&ps, ms);
    expect(&ps, 512, big, 0, 512);
    expect(&ps, 100, big, 512, 100);
    expect(&ps, 512, big, 612, 412);
    expect(&ps, 512, big, 1024, 276);
    g_assert_cmpuint(ps.passes, ==, 0);
    expect(&ps, 512, small, 0, 70);
    g_assert_cmpuint(ps.passes, ==, 0);
    g_assert_false(page_search_next(&ps, 512, &r));
    fixture_free(ms);
}

/* Clean pages are stepped over; what lies before the cursor comes in the next pass. */
static void test_sparse(void)
{
    RAMBlock *big, *small;
    MigrationState *ms = two_blocks(&big, &small);
    PageSearch ps;
    PageRange r;
    const uint64_t pages[] = {3, 700, 701, 1299};

    page_search_init(&ps, ms);
    while (page_search_next(&ps, 512, &r)) {
        take(&r);
    }
    const uint64_t passes = ps.passes;

    for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
        dirty_bitmap_set(big, pages[i], 1);
    }
    dirty_bitmap_set(small, 69, 1);
    page_search_seek(&ps, big, 690);
    expect(&ps, 512, big, 700, 1024 - 700);
    expect(&ps, 512, big, 1299, 1);
    expect(&ps, 512, small, 69, 1);
    g_assert_cmpuint(ps.passes, ==, passes);
    expect(&ps, 512, big, 3, 509);
    g_assert_cmpuint(ps.passes, ==, passes + 1);
    g_assert_false(page_search_next(&ps, 512, &r));
    fixture_free(ms);
}

/* For 32 MiB behind the page that was asked for the walk counts as following it. */
static void test_follow(void)
{
    MigrationState *ms = fixture_new();
    RAMBlock *b = fixture_block(ms, "ram", 20000, 0);
    uint64_t pages = 0;
    PageSearch ps;
    PageRange r;

    dirty_bitmap_init(b);
    page_search_init(&ps, ms);
    g_assert_false(page_search_follows(&ps));
    page_search_follow(&ps, b, 5000);
    for (; page_search_follows(&ps); pages += r.npages) {
        g_assert_true(page_search_next(&ps, 64, &r));
        g_assert_cmpuint(r.first, ==, 5000 + pages);
        take(&r);
    }
    g_assert_cmpuint(pages, >=, 8192);
    g_assert_cmpuint(pages, <, 8192 + 64);
    page_search_follow(&ps, b, 100);
    g_assert_true(page_search_follows(&ps));
    page_search_seek(&ps, b, 0);
    g_assert_false(page_search_follows(&ps));
    fixture_free(ms);
}

typedef struct Queue {
    RAMBlock *block;
    uint64_t pages[4];
    unsigned n;
} Queue;

static bool queue_next(void *opaque, PageRange *range)
{
    Queue *q = opaque;

    if (q->n == 0) {
        return false;
    }
    *range = (PageRange){.block = q->block, .first = q->pages[--q->n], .npages = 1};
    return true;
}

static void test_rank(void)
{
    RAMBlock *big, *small;
    MigrationState *ms = two_blocks(&big, &small);
    Queue urgent = {.block = small, .pages = {5, 6}, .n = 2};
    Queue hint = {.block = big, .pages = {9}, .n = 1};
    static const PageSourceId want[] = {PAGE_SOURCE_URGENT, PAGE_SOURCE_URGENT, PAGE_SOURCE_HINT,
                                        PAGE_SOURCE_LINEAR};
    PageSearch ps;
    PageRange r;

    page_search_init(&ps, ms);
    page_search_set_source(&ps, PAGE_SOURCE_URGENT, queue_next, &urgent);
    page_search_set_source(&ps, PAGE_SOURCE_HINT, queue_next, &hint);
    for (unsigned i = 0; i < G_N_ELEMENTS(want); i++) {
        g_assert_true(page_search_next(&ps, 512, &r));
        g_assert_cmpint(r.source, ==, want[i]);
    }
    /* The others did not move the linear walk. */
    g_assert_cmpuint(r.first, ==, 0);
    page_search_set_source(&ps, PAGE_SOURCE_URGENT, NULL, NULL);
    urgent.n = 1;
    g_assert_true(page_search_next(&ps, 512, &r));
    g_assert_cmpint(r.source, ==, PAGE_SOURCE_LINEAR);
    fixture_free(ms);
}

static void test_no_blocks(void)
{
    MigrationState *ms = fixture_new();
    PageSearch ps;
    PageRange r;

    page_search_init(&ps, ms);
    g_assert_false(page_search_next(&ps, 512, &r));
    fixture_free(ms);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/page-search/linear", test_linear);
    g_test_add_func("/page-search/sparse", test_sparse);
    g_test_add_func("/page-search/follow", test_follow);
    g_test_add_func("/page-search/rank", test_rank);
    g_test_add_func("/page-search/no-blocks", test_no_blocks);
    return g_test_run();
}
