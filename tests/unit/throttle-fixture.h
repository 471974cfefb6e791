/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An engine whose clock, sent bytes and dirtied pages are what the test says, and a host that only
 * remembers the throttle. For the tests of auto-converge and what builds on it. One thread.
 */
#ifndef TESTS_THROTTLE_FIXTURE_H
#define TESTS_THROTTLE_FIXTURE_H

#include "cpu-throttle.h"
#include "pair-fixture.h"
#include "state.h"

#define SECOND INT64_C(1000000000)
#define PAGES_OF(bytes) ((uint64_t)(bytes) / GW_TARGET_PAGE_SIZE)
#define MB UINT64_C(1000000)

typedef struct Bench {
    MigrationState *ms;
    int64_t now;       /* ns */
    unsigned percent;  /* what the host was told last; atomic */
    unsigned calls;
} Bench;

static inline int64_t bench_now(void *o)
{
    return ((Bench *)o)->now;
}

static inline bool bench_wait(void *o, pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline_ns)
{
    ((Bench *)o)->now = deadline_ns;
    return false;
}

static inline void bench_set_throttle(void *o, unsigned percent)
{
    STAT_SET(((Bench *)o)->percent, percent);
    ((Bench *)o)->calls++;
}

static inline Bench *bench_new(void)
{
    static const MigrationClockOps clock = {
        .size = sizeof(clock), .now_ns = bench_now, .wait_until = bench_wait,
    };
    MigrationHostOps host = *toy_host_ops();
    MigrationSettings s = {
        .size = sizeof(s), .machine_name = "toy", .host = &host, .clock = &clock,
    };
    Bench *b = g_new0(Bench, 1);

    host.set_throttle = bench_set_throttle;
    b->now = SECOND;
    s.host_opaque = s.clock_opaque = b;
    b->ms = gw_migration_new(&s, NULL);
    g_assert_nonnull(b->ms);
    return b;
}

static inline void bench_free(Bench *b)
{
    gw_migration_free(b->ms);
    g_free(b);
}

static inline void bench_cap(Bench *b, MigrationCapability cap, bool on)
{
    const MigrationCapabilityChange c = {cap, on};

    g_assert_true(gw_capabilities_set(b->ms, &c, 1, NULL));
}

static inline void bench_param(Bench *b, MigrationParameter p, uint64_t v)
{
    const MigrationParamChange c = {.param = p, .value.num = v};
    GError *err = NULL;

    gw_params_set(b->ms, &c, 1, &err);
    g_assert_no_error(err);
}

/* Time passes in which so much was sent and so much dirtied; then comes a sync. */
static inline bool bench_period(Bench *b, int64_t ns, uint64_t sent, uint64_t dirty)
{
    b->now += ns;
    STAT_ADD(b->ms->stats.transferred, sent);
    return cpu_throttle_synced(b->ms, PAGES_OF(dirty));
}

#endif
