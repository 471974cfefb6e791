/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fault latencies: sums, histogram, blocked vCPUs, under a clock that the test drives. */
#include "latency.h"

#include <glib.h>

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define PAGE 4096

static LatencyInfo info_of(LatencyTable *t)
{
    LatencyInfo info;

    latency_info(t, &info);
    return info;
}

static void fault(LatencyTable *t, uintptr_t key, int vcpu, int64_t from, int64_t took)
{
    latency_fault(t, key, vcpu, from);
    latency_requested(t, key, from + took / 4);
    latency_placed(t, key, from + took * 3 / 4, from + took);
}

static void test_empty(void)
{
    LatencyTable *t = latency_new(2);
    const LatencyInfo info = info_of(t);

    g_assert_cmpuint(info.faults, ==, 0);
    g_assert_cmpuint(info.mean_ns, ==, 0);
    g_assert_cmpuint(info.nr_vcpus, ==, 2);
    g_assert_cmpuint(latency_quantile_ns(&info, 0.99), ==, 0);
    latency_free(t);
    latency_free(NULL);
}

static void test_split(void)
{
    LatencyTable *t = latency_new(1);
    LatencyInfo info;

    latency_fault(t, PAGE, 0, 100 * US);
    latency_requested(t, PAGE, 110 * US);
    latency_placed(t, PAGE, 200 * US, 230 * US);
    latency_placed(t, PAGE, 300 * US, 330 * US);     /* gone */
    latency_requested(t, 7 * PAGE, 330 * US);        /* never was */
    latency_placed(t, 0, 300 * US, 330 * US);
    info = info_of(t);
    g_assert_cmpuint(info.faults, ==, 1);
    g_assert_cmpuint(info.mean_ns, ==, 130 * US);
    g_assert_cmpuint(info.max_ns, ==, 130 * US);
    g_assert_cmpuint(info.request_ns, ==, 10 * US);
    g_assert_cmpuint(info.transfer_ns, ==, 90 * US);
    g_assert_cmpuint(info.place_ns, ==, 30 * US);
    g_assert_cmpuint(info.dist[7], ==, 1); /* 128 .. 255 us */
    latency_free(t);
}

/* A page that was on its way: it arrives before its request is written, even before the fault. */
static void test_order(void)
{
    LatencyTable *t = latency_new(1);
    LatencyInfo info;

    latency_fault(t, PAGE, 0, 100 * US);
    latency_requested(t, PAGE, 150 * US);
    latency_placed(t, PAGE, 120 * US, 160 * US);
    latency_fault(t, PAGE, 0, 200 * US);
    latency_placed(t, PAGE, 190 * US, 210 * US);
    latency_fault(t, PAGE, 0, 300 * US); /* clocks of two threads: placed "before" the fault */
    latency_placed(t, PAGE, 290 * US, 295 * US);
    info = info_of(t);
    g_assert_cmpuint(info.faults, ==, 3);
    g_assert_cmpuint(info.max_ns, ==, 60 * US);
    g_assert_cmpuint(info.mean_ns, ==, 70 * US / 3);
    g_assert_cmpuint(info.request_ns, ==, 20 * US / 3);
    g_assert_cmpuint(info.transfer_ns, ==, 0);
    g_assert_cmpuint(info.place_ns, ==, 50 * US / 3);
    latency_free(t);
}

static void test_histogram(void)
{
    LatencyTable *t = latency_new(1);
    LatencyInfo info;

    fault(t, PAGE, 0, 0, 400);             /* below a microsecond: the first bucket */
    fault(t, PAGE, 0, 0, 1 * US);
    fault(t, PAGE, 0, 0, 2 * US - 1);
    fault(t, PAGE, 0, 0, 2 * US);
    fault(t, PAGE, 0, 0, 1023 * US);
    fault(t, PAGE, 0, 0, 1024 * US);
    fault(t, PAGE, 0, 0, 100000 * MS);     /* beyond all: the last */
    info = info_of(t);
    g_assert_cmpuint(info.dist[0], ==, 3);
    g_assert_cmpuint(info.dist[1], ==, 1);
    g_assert_cmpuint(info.dist[9], ==, 1);
    g_assert_cmpuint(info.dist[10], ==, 1);
    g_assert_cmpuint(info.dist[LATENCY_BUCKETS - 1], ==, 1);
    latency_free(t);
}

static void test_quantile(void)
{
    LatencyTable *t = latency_new(1);
    LatencyInfo info;

    for (unsigned i = 0; i < 990; i++) {
        fault(t, PAGE, 0, i * MS, 100 * US);
    }
    for (unsigned i = 0; i < 10; i++) {
        fault(t, PAGE, 0, i * MS, 3000 * US);
    }
    info = info_of(t);
    g_assert_cmpuint(latency_quantile_ns(&info, 0.0), ==, 128 * US - 1);
    g_assert_cmpuint(latency_quantile_ns(&info, 0.5), ==, 128 * US - 1);
    g_assert_cmpuint(latency_quantile_ns(&info, 0.99), ==, 128 * US - 1);
    g_assert_cmpuint(latency_quantile_ns(&info, 0.991), ==, 3000 * US);
    g_assert_cmpuint(latency_quantile_ns(&info, 1.0), ==, 3000 * US);
    g_assert_cmpuint(latency_quantile_ns(&info, 7.0), ==, 3000 * US);
    latency_free(t);
}

/* Two vCPUs: each its own time, and the time in which both waited. */
static void test_blocked(void)
{
    LatencyTable *t = latency_new(2);
    LatencyInfo info;

    latency_fault(t, 1 * PAGE, 0, 10 * MS);
    latency_fault(t, 2 * PAGE, -1, 11 * MS);
    latency_fault(t, 3 * PAGE, 1, 20 * MS);
    latency_fault(t, 3 * PAGE, 1, 21 * MS);  /* woken for nothing, and back: the same fault */
    latency_placed(t, 1 * PAGE, 25 * MS, 30 * MS);
    latency_placed(t, 2 * PAGE, 25 * MS, 31 * MS);
    latency_fault(t, 3 * PAGE, 0, 40 * MS);  /* for the same page as the other one */
    latency_fault(t, 4 * PAGE, 9, 45 * MS);  /* not one of the two */
    latency_placed(t, 3 * PAGE, 49 * MS, 50 * MS);
    latency_placed(t, 4 * PAGE, 49 * MS, 55 * MS);
    info = info_of(t);
    g_assert_cmpuint(info.faults, ==, 5);
    g_assert_cmpuint(info.vcpu_faults[0], ==, 2);
    g_assert_cmpuint(info.vcpu_faults[1], ==, 1);
    g_assert_cmpuint(info.vcpu_block_ms[0], ==, 30);
    g_assert_cmpuint(info.vcpu_block_ms[1], ==, 30);
    g_assert_cmpuint(info.vcpu_mean_ns[0], ==, 15 * MS);
    g_assert_cmpuint(info.vcpu_mean_ns[1], ==, 30 * MS);
    g_assert_cmpuint(info.non_vcpu_mean_ns, ==, 15 * MS);
    g_assert_cmpuint(info.all_block_ms, ==, 20);
    latency_free(t);
}

/* More faults than are timed; and every one that is timed is found again, in any order. */
static void test_full(void)
{
    LatencyTable *t = latency_new(1);
    LatencyInfo info;

    for (unsigned i = 0; i < 5000; i++) {
        latency_fault(t, UINT64_C(0x7f0000000000) + (uintptr_t)i * PAGE, -1, 0);
    }
    for (unsigned i = 0; i < 5000; i++) {
        const unsigned k = (unsigned)((i * UINT64_C(2477)) % 5000);

        latency_placed(t, UINT64_C(0x7f0000000000) + (uintptr_t)k * PAGE, MS, 2 * MS);
    }
    info = info_of(t);
    g_assert_cmpuint(info.faults, ==, 4096);
    g_assert_cmpuint(info.untimed, ==, 904);
    g_assert_cmpuint(info.mean_ns, ==, 2 * MS);
    fault(t, PAGE, 0, 0, MS); /* there is room again */
    g_assert_cmpuint(info_of(t).faults, ==, 4097);
    latency_free(t);
}

/* Against a plain list: random faults and placements on few keys, so that chains form and break. */
static void test_random(void)
{
    enum { KEYS = 300, STEPS = 200000 };
    GRand *rand = g_rand_new_with_seed(5);
    LatencyTable *t = latency_new(0);
    unsigned open[KEYS] = {0};
    uint64_t ended = 0, opened = 0;

    for (unsigned i = 0; i < STEPS; i++) {
        const unsigned k = (unsigned)g_rand_int_range(rand, 0, KEYS);
        const uintptr_t key = (uintptr_t)(k + 1) << (k % 3 ? 12 : 30);

        if (g_rand_boolean(rand) && opened - ended < 4000) {
            latency_fault(t, key, 0, i);
            open[k]++;
            opened++;
        } else {
            latency_placed(t, key, i, i);
            ended += open[k];
            for (unsigned j = 0; j < KEYS; j++) { /* two numbers may share a key */
                if (j != k && key == (uintptr_t)(j + 1) << (j % 3 ? 12 : 30)) {
                    ended += open[j];
                    open[j] = 0;
                }
            }
            open[k] = 0;
        }
        g_assert_cmpuint(info_of(t).faults, ==, ended);
    }
    latency_free(t);
    g_rand_free(rand);
}

typedef struct Threads {
    LatencyTable *t;
    int vcpu;
} Threads;

static gpointer fault_often(gpointer opaque)
{
    const Threads *th = opaque;

    for (unsigned i = 1; i <= 20000; i++) {
        const uintptr_t key = ((uintptr_t)th->vcpu << 32) + (uintptr_t)i * PAGE;

        fault(th->t, key, th->vcpu, i * MS, 10 * US);
        if (i % 1000 == 0) {
            g_assert_cmpuint(info_of(th->t).vcpu_faults[th->vcpu], ==, i);
        }
    }
    return NULL;
}

static void test_threads(void)
{
    LatencyTable *t = latency_new(4);
    Threads th[4];
    GThread *threads[4];

    for (int i = 0; i < 4; i++) {
        th[i] = (Threads){t, i};
        threads[i] = g_thread_new("fault", fault_often, &th[i]);
    }
    for (int i = 0; i < 4; i++) {
        g_thread_join(threads[i]);
    }
    g_assert_cmpuint(info_of(t).faults, ==, 80000);
    g_assert_cmpuint(info_of(t).mean_ns, ==, 10 * US);
    latency_free(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/latency/empty", test_empty);
    g_test_add_func("/latency/split", test_split);
    g_test_add_func("/latency/order", test_order);
    g_test_add_func("/latency/histogram", test_histogram);
    g_test_add_func("/latency/quantile", test_quantile);
    g_test_add_func("/latency/blocked", test_blocked);
    g_test_add_func("/latency/full", test_full);
    g_test_add_func("/latency/random", test_random);
    g_test_add_func("/latency/threads", test_threads);
    return g_test_run();
}
