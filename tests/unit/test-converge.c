/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies against each other on a driven clock: the engine's own decisions drive a modelled guest
 * that writes at random, pass by pass, and the clock goes on by what a pass takes. Compared are the
 * time until the rest fits into the downtime limit, and the guest's work that was lost, with what
 * any precopy could reach at best (docs/devel/migration/background-sync). One thread.
 */
#include <math.h>

#include "outgoing.h"
#include "ram-save.h"
#include "throttle-fixture.h"

#define LINK_MB  95.0 /* MB/s */
#define LIMIT_S  0.3
#define GIVE_UP  200  /* passes */

typedef struct Guest {
    double ram, set, rate; /* MB; what it writes to; MB/s */
    double could;          /* times its rate, if it had all its time for that */
} Guest;

typedef struct Result {
    double time_s, lost_s;
    unsigned throttle;
    bool ended;
} Result;

static const Guest paced = {.ram = 537, .set = 483, .rate = 100, .could = 4.5};
static const Guest large = {.ram = 1074, .set = 966, .rate = 100, .could = 4.5};
static const Guest slow = {.ram = 537, .set = 483, .rate = 50, .could = 9};
static const Guest greedy = {.ram = 537, .set = 483, .rate = 190, .could = 1};

/* How much of its work it gets done. */
static double works(const Guest *g, unsigned percent)
{
    return MIN(1, g->could * (100 - percent) / 100.0);
}

/* A pass that sends `rest` MB of n = (writes by the set's size): what is dirty at its end. */
static double left_by(const Guest *g, double rest, double n)
{
    const double sent = MIN(rest, g->set);

    return (g->set - sent) * (1 - exp(-n)) + sent * (1 - (1 - exp(-n)) / n);
}

static double one_pass(Bench *b, const Guest *g, double rest, Result *r)
{
    const double s = rest / LINK_MB, share = works(g, b->percent);

    r->time_s += s;
    r->lost_s += (1 - share) * s;
    r->throttle = MAX(r->throttle, b->percent);
    b->now += (int64_t)(s * 1e9);
    STAT_ADD(b->ms->stats.transferred, (uint64_t)(rest * 1e6));
    return left_by(g, rest, g->rate * share * s / g->set);
}

static Result migrate(Bench *b, const Guest *g)
{
    MigrationState *ms = b->ms;
    double rest = g->ram, last = 0;
    Result r = {0};

    ms->out.bandwidth = (uint64_t)(LINK_MB * 1e6);
    ms->out.threshold_bytes = (uint64_t)(LINK_MB * LIMIT_S * 1e6);
    ms->out.start_ns = b->now;
    ms->ram_save = g_new0(RamSave, 1);
    pthread_mutex_init(&ms->ram_save->sync_lock, NULL);
    cpu_throttle_start(ms);
    for (unsigned i = 0; i < GIVE_UP && !r.ended; i++) {
        rest = one_pass(b, g, rest, &r);
        cpu_throttle_synced(ms, PAGES_OF(rest * 1e6));
        cpu_throttle_finish(ms, (uint64_t)(rest * 1e6), (uint64_t)(last * 1e6));
        r.ended = rest <= LINK_MB * LIMIT_S;
        last = rest;
    }
    cpu_throttle_end(ms);
    pthread_mutex_destroy(&ms->ram_save->sync_lock);
    g_clear_pointer(&ms->ram_save, g_free);
    r.time_s += rest / LINK_MB; /* the guest stands */
    r.lost_s += rest / LINK_MB;
    g_test_message("%.1f s, lost %.2f s, throttle %u %%", r.time_s, r.lost_s, r.throttle);
    return r;
}

/* finish < 0: auto-converge alone. */
static Result with(const Guest *g, int finish)
{
    Bench *b = bench_new();
    Result r;

    bench_cap(b, MIGRATION_CAP_AUTO_CONVERGE, true);
    bench_cap(b, MIGRATION_CAP_BACKGROUND_SYNC, finish >= 0);
    if (finish >= 0) {
        bench_param(b, MIGRATION_PARAM_BACKGROUND_SYNC_FINISH, (uint64_t)finish);
    }
    r = migrate(b, g);
    bench_free(b);
    return r;
}

/* No precopy of this guest that takes so long costs less: it runs freely, then stands while the
 * rest is sent. */
static double least_lost(const Guest *g, double time_s)
{
    double lost = 0;

    for (unsigned i = 0; i < 50; i++) {
        const double free_s = time_s - lost, kept = exp(-g->rate * free_s / g->set);

        lost = g->set * (1 - LINK_MB / g->rate * (1 - kept)) / LINK_MB;
    }
    return lost;
}

static void assert_near_the_bound(const Guest *g, const Result *r)
{
    g_assert_cmpfloat(r->lost_s, >, least_lost(g, r->time_s) * 0.9);
    g_assert_cmpfloat(r->lost_s, <, least_lost(g, r->time_s) * 1.3);
}

/* A guest that keeps up: it ends earlier, and each of the ways loses little more than it must. */
static void test_keeps_up(void)
{
    const Result alone = with(&paced, -1), sync = with(&paced, 5);
    const Result large_alone = with(&large, -1), large_sync = with(&large, 5);

    g_assert_true(alone.ended && sync.ended && large_alone.ended && large_sync.ended);
    g_assert_cmpfloat(sync.time_s, <, alone.time_s * 0.7);
    g_assert_cmpfloat(large_sync.time_s, <, large_alone.time_s * 0.75);
    assert_near_the_bound(&paced, &sync);
    assert_near_the_bound(&large, &large_sync);
    g_assert_cmpuint(sync.throttle, ==, 99);
}

/* background-sync-finish: time for work. */
static void test_finish_is_a_choice(void)
{
    const Result hasty = with(&paced, 8), normal = with(&paced, 5), patient = with(&paced, 2);
    const Result never = with(&paced, 0), alone = with(&paced, -1);

    g_assert_cmpfloat(hasty.time_s, <, normal.time_s);
    g_assert_cmpfloat(normal.time_s, <, patient.time_s);
    g_assert_cmpfloat(hasty.lost_s, >, normal.lost_s);
    g_assert_cmpfloat(normal.lost_s, >, patient.lost_s * 1.3);
    g_assert_cmpfloat(patient.lost_s / patient.time_s, <, 0.025);
    g_assert_cmpfloat(patient.time_s, <, alone.time_s);
    g_assert_cmpfloat(never.time_s, >, normal.time_s);
    g_assert_cmpuint(never.throttle, <, 99);
}

/* Where passes get shorter quickly there is nothing to buy. */
static void test_converges_by_itself(void)
{
    const Result alone = with(&slow, -1), sync = with(&slow, 5);

    g_assert_cmpuint(sync.throttle, ==, 0);
    g_assert_cmpfloat(sync.lost_s, <=, alone.lost_s);
    g_assert_cmpfloat(sync.time_s, <=, alone.time_s);
}

/* A guest without time to spare that writes twice as fast as the link carries: the small steps of
 * auto-converge are work lost for nothing. */
static void test_greedy(void)
{
    const Result alone = with(&greedy, -1), sync = with(&greedy, 5);

    g_assert_true(alone.ended && sync.ended);
    g_assert_cmpfloat(sync.time_s, <, alone.time_s * 0.8);
    g_assert_cmpfloat(sync.lost_s, <, alone.lost_s * 0.8);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/converge/keeps-up", test_keeps_up);
    g_test_add_func("/converge/finish-is-a-choice", test_finish_is_a_choice);
    g_test_add_func("/converge/converges-by-itself", test_converges_by_itself);
    g_test_add_func("/converge/greedy", test_greedy);
    return g_test_run();
}
