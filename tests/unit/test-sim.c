/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The workload of -accel sim without a machine around it: each pattern visits every page once per
 * pass, each kind of wrong page is found, a kick ends it, the rate holds, bad properties are
 * refused.
 */
#include <string.h>

#include "migration/error.h"
#include "sim.h"

#define PAGES 300 /* neither a power of two nor a multiple of a stride */

static SimCpu *cpu_new(SimPattern pattern)
{
    SimCpu *c = g_new0(SimCpu, 1);
    pthread_condattr_t attr;

    c->cpu = g_new0(VCPU, 1);
    c->cpu->accel = c;
    c->host = g_malloc0(PAGES * SIM_PAGE_BYTES);
    c->block_pages = PAGES;
    c->s = (SimState){ .pattern = pattern, .stride = 16, .seed = 7, .pages = PAGES };
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &attr);
    pthread_condattr_destroy(&attr);
    return c;
}

static void cpu_free(SimCpu *c)
{
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    g_free(c->host);
    g_free(c->cpu);
    g_free(c);
}

static void run_visits(SimCpu *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_assert_true(sim_visit(c));
    }
}

static void test_permutations(void)
{
    static const uint64_t sizes[] = { 1, 2, 3, 16, 17, PAGES, 4096, 5000 };
    static const uint64_t strides[] = { 1, 2, 16, 4999, UINT32_MAX };

    for (int p = SIM_SEQ; p < SIM_PATTERN__COUNT; p++) {
        for (size_t i = 0; i < G_N_ELEMENTS(sizes) * G_N_ELEMENTS(strides); i++) {
            const SimState s = { .pattern = p, .seed = i, .pass = i,
                                 .pages = sizes[i / G_N_ELEMENTS(strides)],
                                 .stride = strides[i % G_N_ELEMENTS(strides)] };
            g_autofree bool *seen = g_new0(bool, s.pages);

            for (uint64_t pos = 0; pos < s.pages; pos++) {
                const uint64_t page = sim_pattern_page(&s, pos);

                g_assert_cmpuint(page, <, s.pages);
                g_assert_false(seen[page]);
                seen[page] = true;
            }
        }
    }
}

static void test_orders(void)
{
    SimState s = { .pages = 5, .stride = 2 };
    static const uint64_t strided[] = { 0, 2, 4, 1, 3 };

    for (uint64_t i = 0; i < 5; i++) {
        s.pattern = SIM_SEQ;
        g_assert_cmpuint(sim_pattern_page(&s, i), ==, i);
        s.pattern = SIM_REVERSE;
        g_assert_cmpuint(sim_pattern_page(&s, i), ==, 4 - i);
        s.pattern = SIM_STRIDE;
        g_assert_cmpuint(sim_pattern_page(&s, i), ==, strided[i]);
    }
}

static void test_no_wrong(gconstpointer opaque)
{
    SimCpu *c = cpu_new(GPOINTER_TO_INT(opaque));

    c->s.whole = c->s.pattern == SIM_STREAM;
    run_visits(c, 4 * PAGES + 17);
    g_assert_cmpuint(c->s.pass, ==, 4);
    g_assert_cmpuint(c->s.pos, ==, 17);
    g_assert_cmpuint(c->s.ops, ==, 4 * PAGES + 17);
    g_assert_cmpuint(c->s.verified, ==, 3 * PAGES + 17);
    g_assert_cmpuint(c->s.wrong, ==, 0);
    cpu_free(c);
}

static uint64_t *page_at(SimCpu *c, unsigned i)
{
    return (uint64_t *)(c->host + i * SIM_PAGE_BYTES);
}

/* Each of the ways in which a migration may spoil a page. */
static void spoil(SimCpu *c, unsigned page, SimWrong kind, uint8_t (*old)[SIM_PAGE_BYTES])
{
    switch (kind) {
    case SIM_WRONG_ZERO:
        memset(page_at(c, page), 0, SIM_PAGE_BYTES);
        break;
    case SIM_WRONG_STALE:
        memcpy(page_at(c, page), old[page], SIM_PAGE_BYTES);
        break;
    case SIM_WRONG_NEWER:
        sim_page_write(page_at(c, page), &c->s, page, c->s.pass + 5);
        break;
    case SIM_WRONG_PLACE:
        memcpy(page_at(c, page), page_at(c, page + 1), SIM_PAGE_BYTES);
        break;
    case SIM_WRONG_TORN: /* its second half was not sent again */
        memcpy(page_at(c, page) + SIM_PAGE_WORDS / 2, old[page] + SIM_PAGE_BYTES / 2,
               SIM_PAGE_BYTES / 2);
        break;
    default:
        page_at(c, page)[1] ^= 1ULL << 40;
        break;
    }
}

static void test_wrong(void)
{
    for (SimWrong kind = SIM_WRONG_ZERO; kind <= SIM_WRONG_OTHER; kind++) {
        SimCpu *c = cpu_new(SIM_RANDOM);
        uint8_t(*old)[SIM_PAGE_BYTES] = g_malloc(PAGES * SIM_PAGE_BYTES);

        run_visits(c, PAGES);
        memcpy(old, c->host, PAGES * SIM_PAGE_BYTES);
        run_visits(c, PAGES);
        spoil(c, 123, kind, old);
        run_visits(c, PAGES);
        g_assert_cmpuint(c->s.wrong, ==, 1);
        g_assert_cmpuint(c->s.first_wrong, ==, 123 * SIM_PAGE_BYTES);
        g_assert_cmpstr(sim_wrong_name(c->s.first_kind), ==, sim_wrong_name(kind));
        run_visits(c, PAGES); /* it was written anew: counted once */
        g_assert_cmpuint(c->s.wrong, ==, 1);
        g_free(old);
        cpu_free(c);
    }
}

static void test_whole(void)
{
    SimCpu *c = cpu_new(SIM_SEQ);

    run_visits(c, PAGES);
    page_at(c, 5)[100] ^= 1;
    run_visits(c, PAGES);
    g_assert_cmpuint(c->s.wrong, ==, 0); /* the middle is nobody's */
    c->s.whole = true;
    run_visits(c, PAGES);
    c->s.wrong = 0;
    page_at(c, 5)[100] ^= 1;
    run_visits(c, PAGES);
    g_assert_cmpuint(c->s.wrong, ==, 1);
    cpu_free(c);
}

static void *run_thread(void *opaque)
{
    SimCpu *c = opaque;

    return sim_vcpu_run(c->cpu, NULL) ? NULL : GINT_TO_POINTER(1);
}

/* Returns once the thread has made a visit; one that idles may still be about to begin. */
static pthread_t run_in_thread(SimCpu *c)
{
    pthread_t thread;

    g_assert_cmpint(pthread_create(&thread, NULL, run_thread, c), ==, 0);
    while (c->s.pattern != SIM_IDLE && SIM_LOOK(c->s.ops) == 0) {
        g_usleep(100);
    }
    return thread;
}

/* Running, sleeping for the rate and idling all end by a kick; one that came first counts. */
static void test_kick(void)
{
    static const SimPattern patterns[] = { SIM_RANDOM, SIM_DIRTY, SIM_IDLE };

    for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
        SimCpu *c = cpu_new(patterns[i]);
        pthread_t thread;
        uint64_t ops;

        c->s.rate = patterns[i] == SIM_DIRTY ? 1 : 0; /* one page in 4096 s */
        thread = run_in_thread(c);
        g_usleep(3000); /* let it go to sleep; not needed for the result */
        sim_vcpu_kick(c->cpu);
        pthread_join(thread, NULL);
        ops = c->s.ops;
        g_assert_true(patterns[i] == SIM_IDLE ? ops == 0 : ops > 0);
        sim_vcpu_kick(c->cpu);
        g_assert_true(sim_vcpu_run(c->cpu, NULL));
        g_assert_cmpuint(c->s.ops, ==, ops);
        g_assert_cmpuint(c->s.wrong, ==, 0);
        cpu_free(c);
    }
}

static void test_rate(void)
{
    SimCpu *c = cpu_new(SIM_DIRTY);
    pthread_t thread;
    gint64 start, took;

    c->s.rate = 40960000; /* 10000 pages/s */
    start = g_get_monotonic_time();
    thread = run_in_thread(c);
    g_usleep(50000);
    sim_vcpu_kick(c->cpu);
    pthread_join(thread, NULL);
    took = g_get_monotonic_time() - start;
    g_assert_cmpuint(c->s.ops, >, 0);
    g_assert_cmpuint(c->s.ops, <=, (guint64)took / 100 + 20); /* a burst of 1 ms is allowed */
    cpu_free(c);
}

static void test_stalls(void)
{
    SimCpu *c = cpu_new(SIM_SEQ);
    g_autofree char *line = NULL;

    sim_stall(&c->s, 999);
    sim_stall(&c->s, 1000);
    sim_stall(&c->s, 3000000);
    sim_stall(&c->s, -5);
    g_assert_cmpuint(c->s.histogram[0], ==, 2);
    g_assert_cmpuint(c->s.histogram[1], ==, 1);
    g_assert_cmpuint(c->s.histogram[12], ==, 1);
    g_assert_cmpuint(c->s.worst_ever_us, ==, 3000);
    line = sim_report_line(c);
    g_assert_cmpstr(line, ==,
                    "gw report cpu=0 seq=0 ops=0 writes=0 verified=0 wrong=0 first=0x0 kind=none "
                    "stall_us=3000 max_us=3000 pass=0 hist=2,1,0,0,0,0,0,0,0,0,0,0,1");
    cpu_free(c);
}

static bool parse(SimConfig *conf, const char *words, GError **errp)
{
    g_autoptr(GHashTable) props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const AccelConfig accel = { .name = (char *)"sim", .props = props };
    g_auto(GStrv) list = g_strsplit(words, ",", -1);

    for (char **w = list; *w; w++) {
        g_auto(GStrv) pair = g_strsplit(*w, "=", 2);

        if (pair[0]) {
            g_hash_table_replace(props, g_strdup(pair[0]), g_strdup(pair[1]));
        }
    }
    return sim_config_parse(conf, &accel, errp);
}

static void test_config(void)
{
    static const char *const bad[] = { "pattern=zigzag", "rate=fast", "rate=-1", "stride=0",
                                       "working-set=1",  "whole=maybe", "seed=", "rate=1M",
                                       "working-set=99999999999G" };
    SimConfig c;

    g_assert_true(parse(&c, "", NULL));
    g_assert_cmpint(c.pattern, ==, SIM_SEQ);
    g_assert_cmpuint(c.rate, ==, 0);
    g_assert_true(parse(&c, "pattern=stream", NULL));
    g_assert_cmpuint(c.rate, ==, 100);
    g_assert_true(c.whole);
    g_assert_true(parse(&c, "pattern=strided,stride=3,rate=5,base=1M,working-set=0x2000,seed=9",
                        NULL));
    g_assert_cmpint(c.pattern, ==, SIM_STRIDE);
    g_assert_cmpuint(c.stride, ==, 3);
    g_assert_cmpuint(c.rate, ==, 5);
    g_assert_cmpuint(c.base, ==, 1 << 20);
    g_assert_cmpuint(c.working_set, ==, 0x2000);
    g_assert_cmpuint(c.seed, ==, 9);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) err = NULL;

        g_assert_false(parse(&c, bad[i], &err));
        g_assert_error(err, GW_ERROR, GW_ERROR_GENERIC);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sim/permutations", test_permutations);
    g_test_add_func("/sim/orders", test_orders);
    for (int p = SIM_SEQ; p < SIM_PATTERN__COUNT; p++) {
        g_autofree char *path = g_strdup_printf("/sim/no-wrong/%s", sim_pattern_name(p));

        g_test_add_data_func(path, GINT_TO_POINTER(p), test_no_wrong);
    }
    g_test_add_func("/sim/wrong", test_wrong);
    g_test_add_func("/sim/whole", test_whole);
    g_test_add_func("/sim/kick", test_kick);
    g_test_add_func("/sim/rate", test_rate);
    g_test_add_func("/sim/stalls", test_stalls);
    g_test_add_func("/sim/config", test_config);
    return g_test_run();
}
