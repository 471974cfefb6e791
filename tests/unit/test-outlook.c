/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When a migration that goes on will end, and whether: told pass by pass, on a driven clock. */
#include "dirty-fixture.h"

#define PAGES 4096 /* 16 MiB */
#define PER_S 1024 /* pages/s that are sent: 4 MiB/s */

static DirtyMachine *machine_new(void)
{
    DirtyMachine *m = dirty_machine_new(PAGES, false);
    const MigrationParamChange limit = {.param = MIGRATION_PARAM_DOWNTIME_LIMIT, .value.num = 100};

    g_assert_true(gw_params_set(m->ms, &limit, 1, NULL));
    m->now_ns = 1000000000;
    return m;
}

/* The stream goes on for so long, all of it normal pages or zero ones. */
static void send(DirtyMachine *m, double s, bool zero)
{
    for (unsigned i = 0; i < (unsigned)(s * 10 + 0.5); i++) {
        m->now_ns += 100000000;
        outlook_sent(m->ms, PER_S / 10 * (zero ? 9 : GW_TARGET_PAGE_SIZE), PER_S / 10, 100000000);
    }
}

static void end_pass(DirtyMachine *m, uint64_t pages)
{
    outlook_pass_ended(m->ms, pages * GW_TARGET_PAGE_SIZE);
}

static MigrationInfo look(DirtyMachine *m, MigrationStatus status, uint64_t remaining_pages)
{
    MigrationInfo info = {
        .status = status, .has_ram = true, .total_time = 500,
        .remaining = remaining_pages * GW_TARGET_PAGE_SIZE,
        .ram.total = PAGES * GW_TARGET_PAGE_SIZE,
    };
    LOCK_GUARD(&m->ms->lock);

    outlook_fill(m->ms, &info);
    return info;
}

static void assert_end(const MigrationInfo *info, double ms)
{
    g_assert_true(info->has_expected_end);
    g_assert_cmpfloat_with_epsilon((double)info->expected_end, ms, ms * 0.05);
    g_assert_cmpuint(info->expected_total_time, ==, info->expected_end + 500);
}

static void test_first_pass(void)
{
    DirtyMachine *m = machine_new();
    MigrationInfo info = look(m, MIGRATION_STATUS_SETUP, PAGES);

    g_assert_false(info.has_expected_end || info.has_will_converge);
    outlook_begin(m->ms);
    info = look(m, MIGRATION_STATUS_ACTIVE, PAGES);
    g_assert_false(info.has_expected_end || info.has_will_converge);
    send(m, 1, false);
    info = look(m, MIGRATION_STATUS_ACTIVE, PAGES - PER_S);
    assert_end(&info, 3000); /* if the guest wrote nothing: it is not known to write */
    g_assert_false(info.has_will_converge);
    dirty_machine_free(m);
}

/* Zero pages run through at a speed that is not the link's. */
static void test_zero_pages(void)
{
    DirtyMachine *m = machine_new();
    MigrationInfo info;

    outlook_begin(m->ms);
    send(m, 0.5, true);
    info = look(m, MIGRATION_STATUS_ACTIVE, PAGES / 2);
    g_assert_false(info.has_expected_end);
    send(m, 0.5, false);
    info = look(m, MIGRATION_STATUS_ACTIVE, PAGES / 4);
    assert_end(&info, 1000. / 3); /* three quarters in a second, one is left */
    dirty_machine_free(m);
}

static void test_converges(void)
{
    DirtyMachine *m = machine_new();
    MigrationInfo info;

    outlook_begin(m->ms);
    send(m, 4, false);
    end_pass(m, PER_S * 2); /* half the speed of the link: 2 s, 1 s, ... */
    info = look(m, MIGRATION_STATUS_ACTIVE, PER_S * 2);
    assert_end(&info, 4000);
    g_assert_false(info.has_will_converge); /* one pass does not show how the curve bends */
    send(m, 2, false);
    end_pass(m, PER_S);
    info = look(m, MIGRATION_STATUS_ACTIVE, PER_S);
    assert_end(&info, 2000);
    g_assert_false(info.has_will_converge);
    send(m, 1, false);
    end_pass(m, PER_S / 2);
    info = look(m, MIGRATION_STATUS_ACTIVE, PER_S / 2);
    assert_end(&info, 1000);
    g_assert_true(info.has_will_converge && info.will_converge);
    g_assert_cmpstr(info.will_converge_reason, ==, "");
    dirty_machine_free(m);
}

static void test_does_not_converge(void)
{
    const MigrationCapabilityChange postcopy = {MIGRATION_CAP_POSTCOPY_RAM, true};
    DirtyMachine *m = machine_new();
    MigrationInfo info;

    outlook_begin(m->ms);
    send(m, 4, false);
    end_pass(m, PAGES); /* everything, again */
    info = look(m, MIGRATION_STATUS_ACTIVE, PAGES);
    g_assert_true(info.has_will_converge);
    g_assert_false(info.will_converge);
    g_assert_false(info.has_expected_end);
    g_assert_nonnull(strstr(info.will_converge_reason, "each pass leaves 16.0 MiB dirty"));
    g_assert_nonnull(strstr(info.will_converge_reason, "auto-converge or postcopy-ram"));
    g_assert_true(gw_capabilities_set(m->ms, &postcopy, 1, NULL));
    info = look(m, MIGRATION_STATUS_ACTIVE, PAGES);
    g_assert_nonnull(strstr(info.will_converge_reason, "migrate-start-postcopy ends it"));
    info = look(m, MIGRATION_STATUS_POSTCOPY_ACTIVE, PER_S);
    assert_end(&info, 1000);
    g_assert_false(info.has_will_converge);
    info = look(m, MIGRATION_STATUS_COMPLETED, 0);
    g_assert_false(info.has_expected_end || info.has_will_converge);
    dirty_machine_free(m);
}

/* What counts is the time that the guest ran: half as long dirties half as much. */
static void test_throttled(void)
{
    DirtyMachine *m = machine_new();

    outlook_begin(m->ms);
    outlook_sent(m->ms, 0, 0, 1); /* the throttle holds from here on */
    m->ms->throttle.percent = 50;
    send(m, 0.1, false);
    send(m, 4, false);
    end_pass(m, PER_S * 2);
    g_assert_cmpfloat_with_epsilon(m->ms->outlook.t_s[0], 2.1, 1e-6);
    dirty_machine_free(m);
}

/* Passes that get shorter too slowly to tell; then they stay as they are. */
static void test_too_close_to_call(void)
{
    DirtyMachine *m = machine_new();
    MigrationInfo info;

    outlook_begin(m->ms);
    send(m, 4, false);
    end_pass(m, PER_S * 2);
    send(m, 2, false);
    end_pass(m, PER_S * 195 / 100);
    info = look(m, MIGRATION_STATUS_ACTIVE, PER_S * 195 / 100);
    g_assert_false(info.has_will_converge || info.has_expected_end);
    send(m, 1.9, false);
    end_pass(m, PER_S * 194 / 100);
    info = look(m, MIGRATION_STATUS_ACTIVE, PER_S * 194 / 100);
    g_assert_true(info.has_will_converge);
    g_assert_false(info.will_converge);
    dirty_machine_free(m);
}

/* 2048 pages/s, twice the link, all over memory. */
static void write_fast(DirtyMachine *m, int64_t from_ns, int64_t to_ns)
{
    for (int64_t i = from_ns * 2048 / 1000000000; i < to_ns * 2048 / 1000000000; i++) {
        dirty_write(m, 0, (uint64_t)i % PAGES);
    }
}

/* What was measured before the migration says it in the first pass. */
static void test_survey(void)
{
    const DirtyRateRequest r = {.mode = DIRTY_RATE_DIRTY_BITMAP, .calc_time_ms = 500};
    DirtyMachine *m = machine_new();
    MigrationInfo info;

    m->guest = write_fast;
    g_assert_true(gw_dirty_rate_start(m->ms, &r, NULL));
    gw_dirty_rate_wait(m->ms);
    outlook_begin(m->ms);
    send(m, 0.2, false);
    info = look(m, MIGRATION_STATUS_ACTIVE, PAGES / 2);
    g_assert_false(info.has_will_converge); /* the link is not sure yet */
    send(m, 0.8, false);
    info = look(m, MIGRATION_STATUS_ACTIVE, PAGES / 2);
    g_assert_true(info.has_will_converge);
    g_assert_false(info.will_converge);
    m->now_ns += 3600 * INT64_C(1000000000); /* another guest by now */
    info = look(m, MIGRATION_STATUS_ACTIVE, PAGES / 2);
    g_assert_false(info.has_will_converge);
    dirty_machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/outlook/first-pass", test_first_pass);
    g_test_add_func("/outlook/zero-pages", test_zero_pages);
    g_test_add_func("/outlook/converges", test_converges);
    g_test_add_func("/outlook/does-not-converge", test_does_not_converge);
    g_test_add_func("/outlook/throttled", test_throttled);
    g_test_add_func("/outlook/too-close-to-call", test_too_close_to_call);
    g_test_add_func("/outlook/survey", test_survey);
    return g_test_run();
}
