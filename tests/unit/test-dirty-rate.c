/* SPDX-License-Identifier: GPL-2.0-or-later */
/* calc-dirty-rate in its three modes, on a driven clock; its ranges and words; and the dirty log
 * that a measurement shares with a migration. */
#include "dirty-fixture.h"

#include "dirty-share.h"

#define PAGES 4096 /* 16 MiB */

/* 2048 pages/s = 8 MiB/s, in turn over the first 1024 pages: 4 MiB in half a second. vCPU 0 writes
 * three of four pages. */
#define RATE 2048
#define SET 1024

static void write_in_turn(DirtyMachine *m, int64_t from_ns, int64_t to_ns)
{
    for (int64_t i = from_ns * RATE / 1000000000; i < to_ns * RATE / 1000000000; i++) {
        dirty_write(m, i % 4 == 3, (uint64_t)i % SET);
    }
}

static DirtyRateInfo measure(DirtyMachine *m, DirtyRateMode mode, int64_t ms)
{
    const DirtyRateRequest r = {.mode = mode, .calc_time_ms = ms};
    GError *err = NULL;
    DirtyRateInfo info;

    gw_dirty_rate_start(m->ms, &r, &err);
    g_assert_no_error(err);
    gw_dirty_rate_wait(m->ms);
    gw_dirty_rate_query(m->ms, &info);
    g_assert_cmpstr(info.error, ==, "");
    g_assert_cmpint(info.status, ==, DIRTY_RATE_MEASURED);
    g_assert_cmpint(info.mode, ==, mode);
    g_assert_cmpint(info.calc_time_ms, ==, ms);
    return info;
}

static void test_bitmap(gconstpointer two_step)
{
    DirtyMachine *m = dirty_machine_new(PAGES, GPOINTER_TO_INT(two_step));
    DirtySurvey s;

    memset(m->ram, 1, PAGES / 2 * GW_TARGET_PAGE_SIZE);
    g_assert_false(gw_dirty_survey_get(m->ms, &s));
    m->guest = write_in_turn;
    g_assert_cmpuint(measure(m, DIRTY_RATE_DIRTY_BITMAP, 250).rate, ==, 8);
    /* For longer than the guest takes to get round: pages count once. */
    g_assert_cmpuint(measure(m, DIRTY_RATE_DIRTY_BITMAP, 1000).rate, ==, 4);
    g_assert_cmpuint(m->starts, ==, 2);
    g_assert_cmpuint(m->stops, ==, 2);
    g_assert_true(gw_dirty_survey_get(m->ms, &s));
    g_assert_cmpuint(s.ram_pages, ==, PAGES);
    g_assert_cmpfloat_with_epsilon(s.zero_share, 0.5, 0.1);
    g_assert_cmpint(s.late_protect, ==, GPOINTER_TO_INT(two_step));
    for (unsigned i = 0; i < s.curve.n; i++) {
        g_assert_cmpfloat_with_epsilon(s.curve.pages[i], MIN(s.curve.t_s[i] * RATE, SET), 2);
    }
    g_assert_cmpfloat_with_epsilon(s.curve.t_s[s.curve.n - 1], 1, 1e-6);
    m->guest = NULL;
    g_assert_cmpuint(measure(m, DIRTY_RATE_DIRTY_BITMAP, 1000).rate, ==, 0);
    dirty_machine_free(m);
}

/* The busiest vCPU counts: it may be the one that writes. */
static void test_busy_share(void)
{
    DirtyMachine *m = dirty_machine_new(PAGES, true);
    DirtySurvey s;

    m->guest = write_in_turn;
    m->ms->nr_vcpus = 2;
    measure(m, DIRTY_RATE_DIRTY_BITMAP, 250);
    g_assert_true(gw_dirty_survey_get(m->ms, &s));
    g_assert_cmpfloat(s.busy_share, ==, 0); /* not known */
    m->busy_percent = 40;
    measure(m, DIRTY_RATE_DIRTY_BITMAP, 250);
    g_assert_true(gw_dirty_survey_get(m->ms, &s));
    g_assert_cmpfloat_with_epsilon(s.busy_share, 0.4, 1e-3);
    dirty_machine_free(m);
}

static void test_vcpus(void)
{
    DirtyMachine *m = dirty_machine_new(PAGES, false);
    DirtyRateInfo info;

    m->guest = write_in_turn;
    info = measure(m, DIRTY_RATE_DIRTY_RING, 2000);
    g_assert_cmpuint(info.rate, ==, 8);
    g_assert_cmpuint(info.nr_vcpus, ==, 2);
    g_assert_cmpuint(info.vcpu_rate[0], ==, 6);
    g_assert_cmpuint(info.vcpu_rate[1], ==, 2);
    g_assert_cmpuint(measure(m, DIRTY_RATE_DIRTY_BITMAP, 250).nr_vcpus, ==, 0);
    dirty_machine_free(m);
}

static void write_everything(DirtyMachine *m, int64_t from_ns, int64_t to_ns)
{
    for (uint64_t i = 0; i < m->pages; i++) {
        dirty_write(m, 0, i);
    }
}

static void test_sampling(void)
{
    DirtyMachine *m = dirty_machine_new(PAGES, false);
    DirtyRateInfo info = measure(m, DIRTY_RATE_PAGE_SAMPLING, 1000);

    g_assert_cmpuint(info.sample_pages, ==, DIRTY_RATE_DEFAULT_SAMPLES);
    g_assert_cmpuint(info.rate, ==, 0);
    m->guest = write_everything; /* pages that were never touched as well */
    g_assert_cmpuint(measure(m, DIRTY_RATE_PAGE_SAMPLING, 1000).rate, ==, 16);
    g_assert_cmpuint(measure(m, DIRTY_RATE_PAGE_SAMPLING, 500).rate, ==, 32);
    g_assert_cmpuint(m->starts, ==, 0);
    dirty_machine_free(m);
}

static void refuse(DirtyMachine *m, DirtyRateMode mode, int64_t ms, int64_t samples,
                   const char *text)
{
    const DirtyRateRequest r = {mode, ms, samples >= 0, samples};
    g_autoptr(GError) err = NULL;

    g_assert_false(gw_dirty_rate_start(m->ms, &r, &err));
    g_assert_cmpstr(err->message, ==, text);
}

static void test_refusals(void)
{
    static const char *const range = "Calculation time is out of range [50ms, 60000ms].";
    static const char *const samples = "sample-pages is out of range[128, 16384].";
    DirtyMachine *m = dirty_machine_new(PAGES, false);

    refuse(m, DIRTY_RATE_PAGE_SAMPLING, 49, -1, range);
    refuse(m, DIRTY_RATE_PAGE_SAMPLING, 60001, -1, range);
    refuse(m, DIRTY_RATE_PAGE_SAMPLING, -1, -1, range);
    refuse(m, DIRTY_RATE_PAGE_SAMPLING, 50, 127, samples);
    refuse(m, DIRTY_RATE_PAGE_SAMPLING, 50, 16385, samples);
    refuse(m, DIRTY_RATE_DIRTY_BITMAP, 50, 512, "sample-pages is used only in page-sampling mode");
    m->nr_vcpus = 0; /* no ring, or one that does not report */
    refuse(m, DIRTY_RATE_DIRTY_RING, 50, -1,
           "mode dirty-ring is not enabled, use other method instead.");
    dirty_machine_free(m);
}

/* One at a time; a process that ends does not wait for the measurement. */
static void test_ends_at_once(void)
{
    const DirtyRateRequest r = {.mode = DIRTY_RATE_DIRTY_BITMAP, .calc_time_ms = 60000};
    DirtyMachine *m = dirty_machine_new(PAGES, true);
    DirtyRateInfo info;

    m->stuck = true;
    g_assert_true(gw_dirty_rate_start(m->ms, &r, NULL));
    refuse(m, DIRTY_RATE_PAGE_SAMPLING, 50, -1, "the dirty rate is already being measured.");
    gw_dirty_rate_query(m->ms, &info);
    g_assert_cmpint(info.status, ==, DIRTY_RATE_MEASURING);
    gw_migration_stop(m->ms);
    gw_dirty_rate_query(m->ms, &info);
    g_assert_cmpint(info.status, ==, DIRTY_RATE_UNSTARTED);
    g_assert_cmpstr(info.error, ==, "the measurement was ended");
    g_assert_false(m->logging);
    dirty_machine_free(m);
}

static void test_log_that_fails(void)
{
    const DirtyRateRequest r = {.mode = DIRTY_RATE_DIRTY_BITMAP, .calc_time_ms = 50};
    DirtyMachine *m = dirty_machine_new(PAGES, true);
    DirtyRateInfo info;

    m->fail_start = true;
    g_assert_true(gw_dirty_rate_start(m->ms, &r, NULL));
    gw_dirty_rate_wait(m->ms);
    gw_dirty_rate_query(m->ms, &info);
    g_assert_cmpint(info.status, ==, DIRTY_RATE_UNSTARTED);
    g_assert_cmpstr(info.error, ==, "no log here");
    dirty_machine_free(m);
}

/*
 * One user of a shared log, and what it must be told at its next sync. A two-step log owes nothing
 * for a page that it reported until the user clears it: that comes before the user reads the page.
 */
typedef struct User {
    MigrationDirtyLogOps log;
    void *opaque;
    bool on;
    uint64_t armed, owed; /* of 64 pages */
} User;

/* One page is written: whoever uses the log must hear of it. */
static void written(DirtyMachine *m, User *users, uint64_t page)
{
    LOCK_GUARD(&m->lock);

    dirty_write(m, 0, page);
    for (unsigned i = 0; i < 2; i++) {
        users[i].owed |= users[i].armed & UINT64_C(1) << page;
    }
}

static void use(User *u, DirtyMachine *m, unsigned what)
{
    uint64_t map = 0;

    if (!u->on) {
        g_assert_true(u->log.start(u->opaque, NULL));
        u->on = true;
        u->owed = 0;
        u->armed = u->log.clear ? 0 : UINT64_MAX;
        return;
    }
    switch (what) {
    case 0:
        u->log.stop(u->opaque);
        u->on = false;
        u->armed = u->owed = 0;
        break;
    case 1:
        if (u->log.clear) {
            g_assert_true(u->log.clear(u->opaque, m->block, 0, 64, NULL));
            u->armed = UINT64_MAX;
        }
        break;
    default:
        g_assert_true(u->log.sync(u->opaque, m->block, 0, 64, &map, NULL));
        g_assert_cmpuint(u->owed & ~map, ==, 0); /* nothing is lost */
        u->owed = 0;
        u->armed &= u->log.clear ? ~map : UINT64_MAX;
        break;
    }
}

static void test_shared(gconstpointer two_step)
{
    DirtyMachine *m = dirty_machine_new(64, GPOINTER_TO_INT(two_step));
    User users[2] = {{{0}}};

    for (unsigned i = 0; i < 2; i++) {
        users[i].opaque = dirty_share_ops(m->ms->dirty_share, i, &users[i].log);
    }
    for (unsigned i = 0; i < 20000; i++) {
        const int op = g_test_rand_int_range(0, 12);

        if (op < 6) {
            written(m, users, (uint64_t)g_test_rand_int_range(0, 64));
        } else {
            use(&users[op % 2], m, (unsigned)g_test_rand_int_range(0, 8));
        }
        g_assert_cmpint(m->logging, ==, users[0].on || users[1].on);
    }
    dirty_machine_free(m);
}

/* Each user hears of all pages of each vCPU, whoever asked before. */
static void test_shared_vcpus(void)
{
    DirtyMachine *m = dirty_machine_new(64, false);
    MigrationDirtyLogOps a, b;
    void *ao = dirty_share_ops(m->ms->dirty_share, DIRTY_USER_MIGRATION, &a);
    void *bo = dirty_share_ops(m->ms->dirty_share, DIRTY_USER_MEASURE, &b);
    uint64_t pages[2];

    m->vcpu_pages[1] = 5;
    g_assert_cmpuint(a.vcpu_dirty_pages(ao, pages, 2), ==, 2);
    g_assert_cmpuint(pages[1], ==, 5);
    m->vcpu_pages[1] = 2;
    g_assert_cmpuint(b.vcpu_dirty_pages(bo, pages, 2), ==, 2);
    g_assert_cmpuint(pages[1], ==, 7);
    g_assert_cmpuint(a.vcpu_dirty_pages(ao, pages, 1), ==, 1);
    dirty_machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/dirty-rate/bitmap", GINT_TO_POINTER(false), test_bitmap);
    g_test_add_data_func("/dirty-rate/bitmap-two-step", GINT_TO_POINTER(true), test_bitmap);
    g_test_add_func("/dirty-rate/busy-share", test_busy_share);
    g_test_add_func("/dirty-rate/vcpus", test_vcpus);
    g_test_add_func("/dirty-rate/sampling", test_sampling);
    g_test_add_func("/dirty-rate/refusals", test_refusals);
    g_test_add_func("/dirty-rate/ends-at-once", test_ends_at_once);
    g_test_add_func("/dirty-rate/log-that-fails", test_log_that_fails);
    g_test_add_data_func("/dirty-rate/shared", GINT_TO_POINTER(false), test_shared);
    g_test_add_data_func("/dirty-rate/shared-two-step", GINT_TO_POINTER(true), test_shared);
    g_test_add_func("/dirty-rate/shared-vcpus", test_shared_vcpus);
    return g_test_run();
}
