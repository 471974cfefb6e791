/* SPDX-License-Identifier: GPL-2.0-or-later */
/* auto-converge on a driven clock: when it begins, how it grows, where it ends, and the rules of
 * its parameters. */
#include "throttle-fixture.h"

static Bench *start(void)
{
    Bench *b = bench_new();

    bench_cap(b, MIGRATION_CAP_AUTO_CONVERGE, true);
    cpu_throttle_start(b->ms);
    return b;
}

static void test_steps(void)
{
    static const unsigned expected[] = {0, 20, 20, 30, 30, 40, 40, 50, 50, 60};
    Bench *b = start();

    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        bench_period(b, SECOND, 100 * MB, 60 * MB);
        g_assert_cmpuint(b->percent, ==, expected[i]);
        g_assert_cmpuint(cpu_throttle_percent(b->ms), ==, expected[i]);
    }
    bench_free(b);
}

/* Below the threshold nothing happens, however often. */
static void test_threshold(void)
{
    Bench *b = start();

    for (int i = 0; i < 10; i++) {
        g_assert_false(bench_period(b, SECOND, 100 * MB, 49 * MB));
    }
    g_assert_cmpuint(b->calls, ==, 0);
    bench_param(b, MIGRATION_PARAM_THROTTLE_TRIGGER_THRESHOLD, 40);
    g_assert_false(bench_period(b, SECOND, 100 * MB, 49 * MB));
    g_assert_true(bench_period(b, SECOND, 100 * MB, 49 * MB));
    g_assert_cmpuint(b->percent, ==, 20);
    bench_free(b);
}

/* Syncs that follow each other quickly make one period together. */
static void test_short_passes_add_up(void)
{
    Bench *b = start();

    for (int i = 0; i < 19; i++) {
        g_assert_false(bench_period(b, SECOND / 10, 10 * MB, 9 * MB));
    }
    g_assert_true(bench_period(b, SECOND / 10, 10 * MB, 9 * MB));
    g_assert_cmpuint(b->percent, ==, 20);
    bench_free(b);
}

static void test_max(void)
{
    Bench *b = start();

    bench_param(b, MIGRATION_PARAM_CPU_THROTTLE_INITIAL, 50);
    bench_param(b, MIGRATION_PARAM_CPU_THROTTLE_INCREMENT, 40);
    bench_param(b, MIGRATION_PARAM_MAX_CPU_THROTTLE, 75);
    for (int i = 0; i < 20; i++) {
        g_assert_cmpint(cpu_throttle_is_at_max(b->ms), ==, b->percent == 75);
        bench_period(b, SECOND, 100 * MB, 200 * MB);
    }
    g_assert_cmpuint(b->percent, ==, 75);
    g_assert_cmpuint(b->calls, ==, 2);
    cpu_throttle_end(b->ms);
    g_assert_cmpuint(b->percent, ==, 0);
    g_assert_cmpuint(cpu_throttle_percent(b->ms), ==, 0);
    bench_free(b);
}

/* 60 dirtied where 50 are allowed: 80 % of running time become 67, not 70 minus 10. */
static void test_tailslow(void)
{
    Bench *b = start();

    bench_param(b, MIGRATION_PARAM_CPU_THROTTLE_TAILSLOW, true);
    bench_param(b, MIGRATION_PARAM_CPU_THROTTLE_INCREMENT, 30);
    bench_period(b, SECOND, 100 * MB, 60 * MB);
    bench_period(b, SECOND, 100 * MB, 60 * MB);
    g_assert_cmpuint(b->percent, ==, 20);
    bench_period(b, SECOND, 100 * MB, 60 * MB);
    bench_period(b, SECOND, 100 * MB, 60 * MB);
    g_assert_cmpuint(b->percent, ==, 33);
    bench_period(b, SECOND, 100 * MB, 5000 * MB); /* needs 66: the increment is the limit */
    bench_period(b, SECOND, 100 * MB, 5000 * MB);
    g_assert_cmpuint(b->percent, ==, 63);
    bench_free(b);
}

static void test_off(void)
{
    Bench *b = bench_new();

    cpu_throttle_start(b->ms);
    for (int i = 0; i < 4; i++) {
        g_assert_false(bench_period(b, SECOND, 100 * MB, 500 * MB));
    }
    cpu_throttle_end(b->ms);
    g_assert_cmpuint(b->calls, ==, 0);
    bench_free(b);
}

static void assert_refused(Bench *b, MigrationParameter p, uint64_t v, const char *message)
{
    const MigrationParamChange c = {.param = p, .value.num = v};
    GError *err = NULL;

    g_assert_false(gw_params_set(b->ms, &c, 1, &err));
    g_assert_cmpstr(err->message, ==, message);
    g_clear_error(&err);
}

static void test_parameter_rules(void)
{
    static const char max_text[] =
        "Option max-cpu-throttle expects an integer in the range of cpu-throttle-initial to 99";
    const MigrationParamChange both[] = {
        {.param = MIGRATION_PARAM_MAX_CPU_THROTTLE, .value.num = 15},
        {.param = MIGRATION_PARAM_CPU_THROTTLE_INITIAL, .value.num = 10},
    };
    Bench *b = bench_new();

    assert_refused(b, MIGRATION_PARAM_MAX_CPU_THROTTLE, 19, max_text);
    assert_refused(b, MIGRATION_PARAM_MAX_CPU_THROTTLE, 100, max_text);
    assert_refused(b, MIGRATION_PARAM_CPU_THROTTLE_INITIAL, 0,
                   "Option cpu-throttle-initial expects an integer in the range of 1 to 99");
    assert_refused(b, MIGRATION_PARAM_THROTTLE_TRIGGER_THRESHOLD, 101,
                   "Option throttle-trigger-threshold expects an integer in the range of 1 to 100");
    g_assert_true(gw_params_set(b->ms, both, 2, NULL));
    assert_refused(b, MIGRATION_PARAM_CPU_THROTTLE_INITIAL, 16, max_text);
    bench_free(b);
}

/* An engine whose machine has no throttle says so. */
static void test_needs_a_throttle(void)
{
    const MigrationCapabilityChange c = {MIGRATION_CAP_AUTO_CONVERGE, true};
    ToyMachine *m = toy_machine_new(64, false);
    GError *err = NULL;

    g_assert_false(gw_capabilities_set(m->ms, &c, 1, &err));
    g_assert_nonnull(strstr(err->message, "cannot slow its vCPUs down"));
    g_clear_error(&err);
    toy_machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu-throttle/steps", test_steps);
    g_test_add_func("/cpu-throttle/threshold", test_threshold);
    g_test_add_func("/cpu-throttle/short-passes-add-up", test_short_passes_add_up);
    g_test_add_func("/cpu-throttle/max", test_max);
    g_test_add_func("/cpu-throttle/tailslow", test_tailslow);
    g_test_add_func("/cpu-throttle/off", test_off);
    g_test_add_func("/cpu-throttle/parameter-rules", test_parameter_rules);
    g_test_add_func("/cpu-throttle/needs-a-throttle", test_needs_a_throttle);
    return g_test_run();
}
