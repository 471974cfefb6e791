/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The prediction against a small world: a guest that walks, a link that sends one page after the
 * other, and a source that answers requests. Time is a number; nothing sleeps. What is counted is
 * what the guest would feel: faults, as a share of the pages it touches (each of them a fault
 * without prediction).
 */
#include "prefetch.h"

#include <string.h>

#include <glib.h>

#define GIB_PAGES UINT64_C(262144)
#define ROUND_TRIP_NS 60000
#define LINK_NS       3000 /* per page: 11 Gbit/s */
#define WAKE_NS       20000
#define SLOW_NS       20000 /* per page touched: 200 MB/s */
#define FAST_NS       300

typedef struct World {
    Prefetch *p;
    uint64_t npages;
    int64_t *arrival;  /* per page; 0: not sent */
    bool *predicted;   /* sent ahead, and not touched since */
    unsigned limit;    /* pages predicted per request, at most */
    int64_t now, link_free;
    int64_t think_ns;  /* of the guest, per page */
    uint64_t touched, faults, in_flight;
    GRand *rand;
} World;

static void world_init(World *w, uint64_t npages, int64_t think_ns)
{
    memset(w, 0, sizeof(*w));
    w->p = prefetch_new();
    w->npages = npages;
    w->arrival = g_new0(int64_t, npages);
    w->predicted = g_new0(bool, npages);
    w->limit = PREFETCH_WINDOW_MAX;
    w->now = 1;
    w->think_ns = think_ns;
    w->rand = g_rand_new_with_seed(4711);
}

static void world_clear(World *w)
{
    prefetch_free(w->p);
    g_free(w->arrival);
    g_free(w->predicted);
    g_rand_free(w->rand);
}

static bool send_page(World *w, uint64_t page, int64_t at)
{
    if (w->arrival[page]) {
        return false;
    }
    w->link_free = MAX(w->link_free, at) + LINK_NS;
    w->arrival[page] = w->link_free + ROUND_TRIP_NS / 2;
    return true;
}

static void request(World *w, uint64_t page)
{
    const int64_t at = w->now + ROUND_TRIP_NS / 2;
    uint64_t out[PREFETCH_WINDOW_MAX];
    unsigned n, sent = 0;

    send_page(w, page, at);
    n = prefetch_request(w->p, 0, page, w->npages, out, w->limit);
    for (unsigned i = 0; i < n; i++) {
        if (send_page(w, out[i], at)) {
            w->predicted[out[i]] = true;
            sent++;
        }
    }
    prefetch_sent(w->p, sent);
}

static void touch(World *w, uint64_t page)
{
    w->touched++;
    w->predicted[page] = false;
    w->now += w->think_ns;
    if (w->arrival[page] == 0 || w->arrival[page] > w->now) {
        w->faults++;
        w->in_flight += w->arrival[page] != 0;
        request(w, page);
        w->now = MAX(w->now, w->arrival[page]) + WAKE_NS;
    }
}

static PrefetchStats stats(const World *w)
{
    PrefetchStats s;

    prefetch_stats(w->p, &s);
    return s;
}

static void check_faults(const World *w, const char *what, double share)
{
    const PrefetchStats s = stats(w);

    g_test_message("%s: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " touched pages faulted "
                   "(%.2f %%), %" G_GUINT64_FORMAT " of them in flight; offered %" G_GUINT64_FORMAT
                   " sent %" G_GUINT64_FORMAT " hit %" G_GUINT64_FORMAT " useless %"
                   G_GUINT64_FORMAT " window %u", what, w->faults, w->touched,
                   100.0 * (double)w->faults / (double)w->touched, w->in_flight, s.offered, s.sent,
                   s.hit, s.useless, s.window);
    g_assert_cmpuint(s.sent, <=, s.offered);
    g_assert_cmpuint(s.useless, <=, s.sent);
    g_assert_cmpfloat((double)w->faults, <=, share * (double)w->touched);
}

typedef struct Walk {
    const char *name;
    uint64_t first;
    int64_t step_bytes;
    unsigned count;
    double share, fast_share; /* of faults, at most */
} Walk;

static const Walk walks[] = {
    {"sequential", 1000, 4096, 4000, 0.01, 0.05},
    {"reverse", 9000, -4096, 4000, 0.01, 0.05},
    {"stride-2", 10, 2 * 4096, 4000, 0.01, 0.05},
    {"stride-16", 5, 16 * 4096, 4000, 0.01, 0.05},
    {"stride-16-reverse", 80000, -16 * 4096, 4000, 0.01, 0.05},
    {"stride-60", 5, 60 * 4096, 4000, 0.01, 0.05},
    {"stride-1000", 7, 1000 * 4096, 260, 0.05, 0.08}, /* the block ends: the start weighs more */
    {"stride-10240-bytes", 100, 10240, 4000, 0.02, 0.10},
    {"stride-10000-bytes", 100, 10000, 4000, 0.02, 0.10},
    {"stride-5000-bytes", 100, 5000, 4000, 0.02, 0.10},
    {"stride-8300-bytes", 100, 8300, 4000, 0.02, 0.10},
    {"stride-67000-bytes", 100, 67000, 4000, 0.02, 0.10},
    {"stride-67000-bytes-reverse", 90000, -67000, 4000, 0.02, 0.10},
};

static void walk(World *w, const Walk *walk)
{
    for (unsigned i = 0; i < walk->count; i++) {
        touch(w, (uint64_t)((int64_t)walk->first * 4096 + i * walk->step_bytes) / 4096);
    }
}

static void test_walk(gconstpointer data)
{
    World w;

    world_init(&w, GIB_PAGES, SLOW_NS);
    walk(&w, data);
    check_faults(&w, "slow", ((const Walk *)data)->share);
    world_clear(&w);
    world_init(&w, GIB_PAGES, FAST_NS);
    walk(&w, data);
    check_faults(&w, "fast", ((const Walk *)data)->fast_share);
    world_clear(&w);
}

static uint64_t untouched(const World *w)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < w->npages; i++) {
        n += w->predicted[i];
    }
    return n;
}

/* Four vCPUs, each in a region of its own and at a pace of its own. */
static void test_interleaved(void)
{
    static const int64_t step[4] = {1, -1, 16, 1};
    int64_t at[4] = {1000, 100000, 130000, 220000};
    World w;

    world_init(&w, GIB_PAGES, SLOW_NS / 4);
    for (unsigned i = 0; i < 4 * 3000; i++) {
        const unsigned cpu = (unsigned)g_rand_int_range(w.rand, 0, 4);

        touch(&w, (uint64_t)at[cpu]);
        at[cpu] += step[cpu];
    }
    check_faults(&w, "four vCPUs", 0.02);
    g_assert_cmpuint(untouched(&w), <=, 4 * PREFETCH_WINDOW_MAX);
    world_clear(&w);
}

/* A copy between two buffers that lie close together: requests alternate. */
static void test_copy(void)
{
    World w;

    world_init(&w, GIB_PAGES, SLOW_NS);
    for (uint64_t i = 0; i < 2000; i++) {
        touch(&w, 5000 + i);
        touch(&w, 7000 + i + 7);
    }
    check_faults(&w, "copy", 0.03);
    world_clear(&w);
}

/* Objects of two pages, every 16 pages; of three, every 1000: a walk for each of their pages. */
static void test_objects(void)
{
    World w;

    world_init(&w, GIB_PAGES, SLOW_NS);
    for (uint64_t i = 0; i < 4000; i++) {
        touch(&w, 77 + i / 2 * 16 + i % 2);
    }
    check_faults(&w, "two pages", 0.02);
    world_clear(&w);
    world_init(&w, GIB_PAGES, SLOW_NS);
    for (uint64_t i = 0; i < 3 * 260; i++) {
        touch(&w, 77 + i / 3 * 1000 + i % 3);
    }
    check_faults(&w, "three pages", 0.06);
    world_clear(&w);
}

/* Two vCPUs with strides of 16 MiB, by turns. */
static void test_far_strides(void)
{
    World w;

    world_init(&w, 4 * GIB_PAGES, SLOW_NS);
    for (uint64_t i = 0; i < 250; i++) {
        touch(&w, 3 + i * 4096);
        touch(&w, 4 * GIB_PAGES - 1 - i * 4001);
    }
    check_faults(&w, "far strides", 0.05);
    world_clear(&w);
}

/* An earlier pass has sent two pages out of three: the rest has a direction, and no stride. */
static void test_left_over(void)
{
    World w;
    uint64_t missing = 0;

    world_init(&w, GIB_PAGES, SLOW_NS);
    for (uint64_t i = 0; i < 20000; i++) {
        if (g_rand_int_range(w.rand, 0, 3)) {
            w.arrival[i] = 1;
        } else {
            missing++;
        }
    }
    for (uint64_t i = 0; i < 20000; i++) {
        touch(&w, i);
    }
    g_test_message("%" G_GUINT64_FORMAT " faults for %" G_GUINT64_FORMAT " missing pages", w.faults,
                   missing);
    g_assert_cmpuint(w.faults * 20, <=, missing);
    world_clear(&w);
}

static void touch_random(World *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        touch(w, (uint64_t)g_rand_int_range(w->rand, 0, (gint32)w->npages));
    }
}

static void test_random(gconstpointer npages)
{
    World w;

    world_init(&w, GPOINTER_TO_SIZE(npages), FAST_NS);
    touch_random(&w, 40000);
    check_faults(&w, "random", 1.0);
    g_assert_cmpuint(untouched(&w) * 100, <=, w.faults);
    world_clear(&w);
}

/* One vCPU walks, three touch pages at random: the walk is not lost among them. */
static void test_walk_in_noise(void)
{
    World w;
    uint64_t walk_faults = 0;

    world_init(&w, GIB_PAGES, SLOW_NS);
    for (uint64_t i = 0; i < 5000; i++) {
        const uint64_t before = w.faults;

        touch(&w, 50000 + i);
        walk_faults += w.faults - before;
        if (i % 3 == 0) {
            touch_random(&w, 1);
        }
    }
    g_test_message("%" G_GUINT64_FORMAT " faults of the walk", walk_faults);
    g_assert_cmpuint(walk_faults, <=, 5000 / 50);
    g_assert_cmpuint(untouched(&w), <=, 2 * PREFETCH_WINDOW_MAX);
    world_clear(&w);
}

/* Runs too short to be worth it: given up soon, and no more than a little lost. */
static void test_short_runs(gconstpointer length)
{
    World w;

    world_init(&w, GIB_PAGES, FAST_NS);
    for (unsigned run = 0; run < 4000; run++) {
        const uint64_t first = (uint64_t)g_rand_int_range(w.rand, 0, GIB_PAGES - 64);

        for (uint64_t i = 0; i < GPOINTER_TO_SIZE(length); i++) {
            touch(&w, first + i);
        }
    }
    check_faults(&w, "short runs", 1.0);
    g_test_message("%" G_GUINT64_FORMAT " sent and never touched", untouched(&w));
    g_assert_cmpuint(untouched(&w) * 50, <=, w.touched);
    world_clear(&w);
}

/* Random in between does not keep the next walk from being recognised. */
static void test_phases(void)
{
    World w;
    uint64_t before;

    world_init(&w, GIB_PAGES, SLOW_NS);
    for (unsigned phase = 0; phase < 4; phase++) {
        const uint64_t first = 10000 + phase * 60000;

        before = w.faults;
        for (uint64_t i = 0; i < 3000; i++) {
            touch(&w, first + (phase % 2 ? 3000 - i : i));
        }
        g_assert_cmpuint(w.faults - before, <=, 3000 / 50);
        touch_random(&w, 3000);
    }
    check_faults(&w, "phases", 0.52);
    g_assert_cmpuint(untouched(&w), <=, 4 * PREFETCH_WINDOW_MAX + 100);
    world_clear(&w);
}

/* What turns out wrong is counted, and followed by more caution: then by confidence again. */
static void test_useless(void)
{
    World w;
    uint64_t before;

    world_init(&w, GIB_PAGES, FAST_NS);
    for (uint64_t run = 0; run < 200; run++) {
        for (uint64_t i = 0; i < 4; i++) {
            touch(&w, 1000 + run * (1000 + run) + i);
        }
    }
    touch_random(&w, 1000);
    check_faults(&w, "wrong", 1.0);
    g_assert_cmpuint(stats(&w).useless, >, 0);
    g_assert_cmpuint(stats(&w).useless, <=, 200);
    before = w.faults;
    for (uint64_t i = 0; i < 4000; i++) {
        touch(&w, 240000 + i);
    }
    g_assert_cmpuint(w.faults - before, <=, 4000 / 20);
    g_assert_cmpuint(stats(&w).window, ==, PREFETCH_WINDOW_MAX);
    world_clear(&w);
}

/* Huge host pages: the caller's limit bounds how far ahead is sent. */
static void test_limit(void)
{
    World w;

    world_init(&w, 512, SLOW_NS);
    w.limit = 2;
    for (uint64_t i = 0; i < 400; i++) {
        touch(&w, i);
        for (uint64_t k = i + 3; k < 512; k++) {
            g_assert_cmpint(w.arrival[k], ==, 0);
        }
    }
    g_assert_cmpuint(w.faults, <=, 200);
    g_assert_cmpuint(w.faults, >=, 400 / 3);
    world_clear(&w);
}

static bool contains(const uint64_t *pages, unsigned n, uint64_t page)
{
    for (unsigned i = 0; i < n; i++) {
        if (pages[i] == page) {
            return true;
        }
    }
    return false;
}

/* What was cut off is predicted again; what was not, is not. */
static void test_cut(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    Prefetch *p = prefetch_new();
    uint64_t out[PREFETCH_WINDOW_MAX], page = 0;
    unsigned n, hits = 0;

    while (hits < 8) {
        n = prefetch_request(p, 0, page, GIB_PAGES, out, G_N_ELEMENTS(out));
        for (unsigned i = 0; i < n; i++) {
            g_assert_true(g_hash_table_add(seen, GSIZE_TO_POINTER(out[i])));
        }
        hits += n > 0;
        page += n + 1;
    }
    n = prefetch_request(p, 0, page, GIB_PAGES, out, G_N_ELEMENTS(out));
    g_assert_cmpuint(n, ==, PREFETCH_WINDOW_MAX);
    prefetch_sent(p, 70);
    prefetch_cut(p, 70);
    page += 2 * PREFETCH_GROUP + 1; /* the last group was begun only: it comes again, whole */
    n = prefetch_request(p, 0, page, GIB_PAGES, out, G_N_ELEMENTS(out));
    g_assert_cmpuint(n, ==, PREFETCH_WINDOW_MAX);
    g_assert_true(contains(out, n, page + 1));
    g_assert_true(contains(out, n, page + 70));
    prefetch_free(p);
}

/* Whatever is asked for: pages of the block, not the request, none twice, no more than asked. */
static void test_garbage(void)
{
    static const uint64_t sizes[] = {1, 2, 9, 300, GIB_PAGES, UINT64_C(1) << 52, UINT64_MAX};
    GRand *rand = g_rand_new_with_seed(20);
    Prefetch *p = prefetch_new();
    uint64_t out[PREFETCH_WINDOW_MAX], page = 0;
    PrefetchStats s;

    for (unsigned i = 0; i < 200000; i++) {
        const uint64_t npages = sizes[g_rand_int_range(rand, 0, G_N_ELEMENTS(sizes))];
        const unsigned max = (unsigned)g_rand_int_range(rand, 0, PREFETCH_WINDOW_MAX + 1);
        const uint64_t wild = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
        const int shift = g_rand_int_range(rand, 0, 64);
        unsigned n;

        page = g_rand_int_range(rand, 0, 8) ? page + (wild >> shift) * (i / 50 % 2 ? 1 : -1)
                                            : wild >> shift;
        if (g_rand_int_range(rand, 0, 4)) {
            page = page % npages;
        }
        if (i / 100 % 3 == 0) { /* walks, so that there is something to predict */
            page = (uint64_t)(i % 100) * (1 + (UINT64_C(1) << i / 100 % 50)) % npages;
        }
        n = prefetch_request(p, (unsigned)g_rand_int_range(rand, 0, 3), page, npages, out, max);
        g_assert_cmpuint(n, <=, max);
        for (unsigned k = 0; k < n; k++) {
            g_assert_cmpuint(out[k], <, npages);
            g_assert_cmpuint(out[k], !=, page);
            g_assert_false(contains(out, k, out[k]));
        }
        if (g_rand_boolean(rand)) {
            prefetch_cut(p, (unsigned)g_rand_int_range(rand, 0, 300));
        }
        prefetch_sent(p, (unsigned)g_rand_int_range(rand, 0, 300));
    }
    prefetch_stats(p, &s);
    g_assert_cmpuint(s.offered, >, 1000);
    g_assert_cmpuint(s.sent, <=, s.offered);
    g_assert_cmpuint(s.useless, <=, s.sent);
    prefetch_free(p);
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(walks); i++) {
        g_autofree char *path = g_strdup_printf("/prefetch/walk/%s", walks[i].name);

        g_test_add_data_func(path, &walks[i], test_walk);
    }
    g_test_add_func("/prefetch/interleaved", test_interleaved);
    g_test_add_func("/prefetch/copy", test_copy);
    g_test_add_func("/prefetch/objects", test_objects);
    g_test_add_func("/prefetch/far-strides", test_far_strides);
    g_test_add_func("/prefetch/left-over", test_left_over);
    g_test_add_data_func("/prefetch/random/1-gib", GSIZE_TO_POINTER(GIB_PAGES), test_random);
    g_test_add_data_func("/prefetch/random/64-mib", GSIZE_TO_POINTER(16384), test_random);
    g_test_add_func("/prefetch/walk-in-noise", test_walk_in_noise);
    g_test_add_data_func("/prefetch/short-runs/2", GSIZE_TO_POINTER(2), test_short_runs);
    g_test_add_data_func("/prefetch/short-runs/4", GSIZE_TO_POINTER(4), test_short_runs);
    g_test_add_data_func("/prefetch/short-runs/7", GSIZE_TO_POINTER(7), test_short_runs);
    g_test_add_func("/prefetch/phases", test_phases);
    g_test_add_func("/prefetch/useless", test_useless);
    g_test_add_func("/prefetch/limit", test_limit);
    g_test_add_func("/prefetch/cut", test_cut);
    g_test_add_func("/prefetch/garbage", test_garbage);
    return g_test_run();
}
