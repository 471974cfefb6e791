/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The limiter on a driven clock, with a guest of arithmetic: one vCPU that dirties in proportion to
 * the time that it runs, one that dirties little, one that does not. Only the first one pays.
 */
#include "dirty-limit.h"
#include "throttle-fixture.h"

#define VCPUS 3

typedef struct Model {
    Bench *b;
    pthread_mutex_t lock;      /* of what follows */
    unsigned percent[VCPUS];   /* what the host was told */
    double pages[VCPUS];       /* written so far */
    uint64_t told[VCPUS];      /* exact limits, MB/s */
    int64_t now;
    unsigned periods;          /* that may still go by */
    bool log_on;
    unsigned looks;
} Model;

static const double full_rate_mb[VCPUS] = {400, 5, 0};

static void set_vcpu_throttle(void *o, unsigned vcpu, unsigned percent)
{
    Model *m = o;

    LOCK_GUARD(&m->lock);
    m->percent[vcpu] = percent;
}

static int64_t model_now(void *o)
{
    Model *m = o;

    LOCK_GUARD(&m->lock);
    return m->now;
}

static void run_guest(Model *m, int64_t ns)
{
    for (unsigned i = 0; i < VCPUS; i++) {
        double rate = full_rate_mb[i] * (100 - m->percent[i]) / 100;

        if (m->told[i]) {
            rate = MIN(rate, (double)m->told[i]);
        }
        m->pages[i] += rate * 256 * (double)ns / 1e9;
    }
    m->now += ns;
}

/* The limiter waits for the end of its period: the guest runs that long, if the test lets it. */
static bool model_wait(void *o, pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ns)
{
    Model *m = o;
    bool go;

    pthread_mutex_lock(&m->lock);
    go = m->periods > 0;
    if (go) {
        m->periods--;
        run_guest(m, deadline_ns - m->now);
    }
    pthread_mutex_unlock(&m->lock);
    if (!go) {
        cond_wait_until(cond, mutex, g_get_monotonic_time() * 1000 + 1000000);
    }
    return !go;
}

static unsigned vcpu_writes(void *o, uint64_t *pages, unsigned n)
{
    Model *m = o;

    LOCK_GUARD(&m->lock);
    for (unsigned i = 0; i < MIN(n, VCPUS); i++) {
        pages[i] = (uint64_t)m->pages[i];
    }
    return MIN(n, VCPUS);
}

static void vcpu_dirty_limit(void *o, int vcpu, uint64_t mb)
{
    Model *m = o;

    LOCK_GUARD(&m->lock);
    m->told[vcpu] = mb;
}

static bool log_start(void *o, GError **errp)
{
    Model *m = o;

    LOCK_GUARD(&m->lock);
    m->log_on = true;
    return true;
}

static void log_stop(void *o)
{
    Model *m = o;

    LOCK_GUARD(&m->lock);
    m->log_on = false;
}

static bool log_sync(void *o, RAMBlock *block, uint64_t first, uint64_t npages, uint64_t *bitmap,
                     GError **errp)
{
    Model *m = o;

    LOCK_GUARD(&m->lock);
    g_assert_true(m->log_on);
    m->looks++;
    return true;
}

static void machine_lock_nothing(void *o)
{
}

static Model *model_new(bool exact)
{
    const MigrationClockOps clock = {sizeof(clock), model_now, model_wait};
    const MigrationDirtyLogOps log = {
        .size = sizeof(log), .name = "toy", .start = log_start, .stop = log_stop,
        .sync = log_sync, .vcpu_writes = vcpu_writes,
        .vcpu_dirty_limit = exact ? vcpu_dirty_limit : NULL,
    };
    MigrationHostOps host = *toy_host_ops();
    MigrationSettings s = {
        .size = sizeof(s), .machine_name = "toy", .host = &host, .clock = &clock,
        .dirty_log = &log, .nr_vcpus = VCPUS,
    };
    Model *m = g_new0(Model, 1);
    RAMBlockInfo info = {.idstr = "ram", .used_length = 64 * GW_TARGET_PAGE_SIZE,
                         .max_length = 64 * GW_TARGET_PAGE_SIZE, .fd = -1,
                         .page_size = GW_TARGET_PAGE_SIZE, .host = (void *)GW_TARGET_PAGE_SIZE};

    pthread_mutex_init(&m->lock, NULL);
    m->now = SECOND;
    host.lock = host.unlock = machine_lock_nothing;
    host.set_vcpu_throttle = set_vcpu_throttle;
    s.host_opaque = s.clock_opaque = s.dirty_log_opaque = m;
    m->b = g_new0(Bench, 1);
    m->b->ms = gw_migration_new(&s, NULL);
    g_assert_nonnull(gw_ram_block_add(m->b->ms, &info, NULL));
    return m;
}

static void model_free(Model *m)
{
    gw_migration_free(m->b->ms);
    g_assert_false(m->log_on);
    pthread_mutex_destroy(&m->lock);
    g_free(m->b);
    g_free(m);
}

/* Lets so many periods go by. */
static void run(Model *m, unsigned periods)
{
    unsigned left = periods;

    pthread_mutex_lock(&m->lock);
    m->periods = periods;
    while (left) {
        pthread_mutex_unlock(&m->lock);
        g_usleep(100);
        pthread_mutex_lock(&m->lock);
        left = m->periods;
    }
    pthread_mutex_unlock(&m->lock);
}

static unsigned sleeps(Model *m, unsigned vcpu)
{
    LOCK_GUARD(&m->lock);

    return m->percent[vcpu];
}

static void limit(Model *m, int vcpu, uint64_t mb)
{
    GError *err = NULL;

    gw_dirty_limit_set(m->b->ms, vcpu, mb, &err);
    g_assert_no_error(err);
}

static void test_only_who_dirties_pays(void)
{
    DirtyLimitInfo info[MIGRATION_LATENCY_MAX_VCPUS];
    Model *m = model_new(false);

    limit(m, -1, 40);
    run(m, 10);
    g_assert_cmpuint(sleeps(m, 0), >=, 88);
    g_assert_cmpuint(sleeps(m, 0), <=, 91);
    g_assert_cmpuint(sleeps(m, 1), ==, 0);
    g_assert_cmpuint(sleeps(m, 2), ==, 0);
    g_assert_cmpuint(gw_dirty_limit_query(m->b->ms, info), ==, 3);
    g_assert_cmpuint(info[0].limit_mb, ==, 40);
    g_assert_cmpuint(info[0].current_mb, >=, 35);
    g_assert_cmpuint(info[0].current_mb, <=, 44);
    g_assert_cmpuint(info[1].current_mb, ==, 5);
    g_assert_true(m->log_on);
    g_assert_cmpuint(m->looks, >=, 10);
    model_free(m);
}

static void test_lift(void)
{
    DirtyLimitInfo info[MIGRATION_LATENCY_MAX_VCPUS];
    Model *m = model_new(false);

    limit(m, -1, 40);
    limit(m, 1, 0);
    run(m, 10);
    g_assert_cmpuint(gw_dirty_limit_query(m->b->ms, info), ==, 2);
    limit(m, 0, 80);
    run(m, 20);
    g_assert_cmpuint(sleeps(m, 0), <=, 82);
    g_assert_cmpuint(sleeps(m, 0), >=, 70);
    limit(m, -1, 0);
    while (sleeps(m, 0)) { /* at once, not after a period */
        g_usleep(100);
    }
    g_assert_cmpuint(gw_dirty_limit_query(m->b->ms, info), ==, 0);
    model_free(m);
}

/* A migration's limit and one set by hand: the smaller counts, and the latter stays. */
static void test_migration(void)
{
    DirtyLimitInfo info[MIGRATION_LATENCY_MAX_VCPUS];
    Model *m = model_new(false);
    MigrationState *ms = m->b->ms;

    limit(m, 0, 100);
    dirty_limit_migration(ms->dirty_limit, 20);
    g_assert_cmpuint(gw_dirty_limit_query(ms, info), ==, 3);
    g_assert_cmpuint(info[0].limit_mb, ==, 20);
    run(m, 10);
    g_assert_cmpuint(sleeps(m, 0), >=, 94);
    dirty_limit_migration(ms->dirty_limit, 0);
    g_assert_cmpuint(gw_dirty_limit_query(ms, info), ==, 1);
    g_assert_cmpuint(info[0].limit_mb, ==, 100);
    model_free(m);
}

/* An accelerator that does it exactly gets the numbers, and no vCPU is put to sleep. */
static void test_exact(void)
{
    Model *m = model_new(true);

    limit(m, 0, 40);
    run(m, 3);
    g_assert_cmpuint(m->told[0], ==, 40);
    g_assert_cmpuint(m->told[1], ==, 0);
    g_assert_cmpuint(sleeps(m, 0), ==, 0);
    g_assert_false(m->log_on);
    model_free(m);
}

static void test_rules(void)
{
    const MigrationCapabilityChange on[] = {{MIGRATION_CAP_DIRTY_LIMIT, true}};
    Model *m = model_new(false);
    ToyMachine *poor = toy_machine_new(64, false);
    GError *err = NULL;

    g_assert_false(gw_dirty_limit_set(m->b->ms, 3, 1, &err));
    g_assert_cmpstr(err->message, ==, "vCPU 3 does not exist: there are 3, from 0 on");
    g_clear_error(&err);
    g_assert_true(gw_capabilities_set(m->b->ms, on, 1, NULL));
    g_assert_false(gw_capabilities_set(poor->ms, on, 1, &err));
    g_assert_cmpstr(err->message, ==,
                    "dirty-limit requires KVM with accelerator property 'dirty-ring-size' set");
    g_clear_error(&err);
    g_assert_false(gw_dirty_limit_set(poor->ms, -1, 1, &err));
    g_assert_nonnull(strstr(err->message, "dirty page limit feature requires KVM"));
    g_clear_error(&err);
    toy_machine_free(poor);
    model_free(m);
}

/* auto-converge's rule decides when; the limit is what the user said. */
static void test_when(void)
{
    Model *m = model_new(false);
    MigrationState *ms = m->b->ms;

    bench_cap(m->b, MIGRATION_CAP_DIRTY_LIMIT, true);
    bench_param(m->b, MIGRATION_PARAM_VCPU_DIRTY_LIMIT, 7);
    cpu_throttle_start(ms);
    for (int i = 0; i < 2; i++) {
        g_assert_cmpuint(dirty_limit_of_migration(ms->dirty_limit), ==, 0);
        pthread_mutex_lock(&m->lock);
        m->now += SECOND;
        pthread_mutex_unlock(&m->lock);
        STAT_ADD(ms->stats.transferred, 100 * MB);
        g_assert_cmpint(cpu_throttle_synced(ms, PAGES_OF(60 * MB)), ==, i == 1);
    }
    g_assert_cmpuint(dirty_limit_of_migration(ms->dirty_limit), ==, 7);
    g_assert_true(cpu_throttle_is_at_max(ms));
    cpu_throttle_end(ms);
    g_assert_cmpuint(dirty_limit_of_migration(ms->dirty_limit), ==, 0);
    model_free(m);
}

static void test_share(void)
{
    g_assert_cmpuint(dirty_limit_share(0, 200, 100), ==, 50);
    g_assert_cmpuint(dirty_limit_share(50, 95, 100), ==, 50);
    g_assert_cmpuint(dirty_limit_share(0, 1e6, 1), ==, 90);
    g_assert_cmpuint(dirty_limit_share(99, 1e6, 1), ==, 99);
    g_assert_cmpuint(dirty_limit_share(90, 0, 100), ==, 85);
    g_assert_cmpuint(dirty_limit_share(10, 0, 100), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-limit/share", test_share);
    g_test_add_func("/dirty-limit/only-who-dirties-pays", test_only_who_dirties_pays);
    g_test_add_func("/dirty-limit/lift", test_lift);
    g_test_add_func("/dirty-limit/migration", test_migration);
    g_test_add_func("/dirty-limit/exact", test_exact);
    g_test_add_func("/dirty-limit/rules", test_rules);
    g_test_add_func("/dirty-limit/when", test_when);
    return g_test_run();
}
