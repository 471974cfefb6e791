/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Run states: which changes are allowed, the order of news, what vCPU threads ask for, and the
 * virtual clock that stands still with the guest. */
#include <glib.h>

#include "machine-fixture.h"

static GString *news;

static void note(void *opaque, RunState old, RunState now)
{
    g_string_append_printf(news, "%s>%s ", runstate_name(old), runstate_name(now));
}

static Machine *machine_with_news(const MachineConfig *c)
{
    Machine *m = fixture_machine(c);

    news = g_string_new(NULL);
    runstate_add_notify(m->run_state, note, NULL);
    return m;
}

static void free_all(Machine *m)
{
    machine_free(m);
    g_string_free(news, TRUE);
}

static void test_names(void)
{
    for (int i = 0; i < RUN_STATE__COUNT; i++) {
        g_assert_cmpint(runstate_by_name(runstate_name(i)), ==, i);
    }
    g_assert_cmpint(runstate_by_name("bogus"), ==, -1);
}

static void test_start_stop(void)
{
    g_autoptr(MachineConfig) c = fixture_config(2);
    g_autoptr(GError) err = NULL;
    Machine *m = machine_with_news(c);
    RunStateMachine *rs = m->run_state;

    g_assert_cmpint(runstate_get(rs), ==, RUN_STATE_PRELAUNCH);
    g_assert_true(runstate_start(rs, NULL));
    g_assert_true(vcpus_running(m));
    g_assert_false(runstate_set(rs, RUN_STATE_PAUSED, NULL));
    runstate_stop(rs, RUN_STATE_FINISH_MIGRATE);
    g_assert_false(vcpus_running(m));
    g_assert_false(runstate_start(rs, &err));
    g_assert_nonnull(err);
    runstate_stop(rs, RUN_STATE_POSTMIGRATE);
    g_assert_false(runstate_set(rs, RUN_STATE_RUNNING, NULL));
    g_assert_true(runstate_start(rs, NULL));
    g_assert_cmpstr(news->str, ==,
                    "prelaunch>running running>finish-migrate finish-migrate>postmigrate "
                    "postmigrate>running ");
    free_all(m);
}

static void test_inmigrate(void)
{
    g_autoptr(MachineConfig) c = fixture_config(1);
    const MigrationHostOps *ops = &machine_migration_host_ops;

    c->incoming = g_strdup("defer");

    Machine *m = machine_with_news(c);

    g_assert_cmpstr(ops->run_state(m), ==, "inmigrate");
    g_assert_true(ops->autostart(m));
    runstate_stop(m->run_state, RUN_STATE_PAUSED);
    g_assert_false(ops->autostart(m));
    g_assert_true(runstate_start(m->run_state, NULL)); /* cont: start when it is there */
    g_assert_true(ops->autostart(m));
    g_assert_cmpstr(ops->run_state(m), ==, "inmigrate");
    g_assert_false(ops->set_run_state(m, "bogus", NULL));
    g_assert_true(ops->start_guest(m, NULL));
    g_assert_true(ops->is_running(m));
    g_assert_true(ops->stop_guest(m, "finish-migrate", NULL));
    g_assert_true(ops->start_guest(m, NULL)); /* after a failed migration */
    free_all(m);
}

/* Turns the main loop until the state is there; the requests come from vCPU threads. */
static void wait_state(Machine *m, RunState s)
{
    while (runstate_get(m->run_state) != s) {
        g_main_context_iteration(NULL, TRUE);
    }
}

static void test_failing_vcpu(void)
{
    g_autoptr(MachineConfig) c = fixture_config(2);
    g_autoptr(GError) err = NULL;
    Machine *m = machine_with_news(c);

    __atomic_store_n(&fake_run_failures, 1, __ATOMIC_RELAXED);
    g_assert_true(runstate_start(m->run_state, NULL));
    wait_state(m, RUN_STATE_INTERNAL_ERROR);
    g_assert_false(vcpus_running(m));
    g_assert_false(runstate_start(m->run_state, &err));
    g_assert_nonnull(strstr(err->message, "Resetting"));
    free_all(m);
}

static void *ask_shutdown(void *opaque)
{
    runstate_request_stop(((Machine *)opaque)->run_state, RUN_STATE_SHUTDOWN);
    return NULL;
}

static void test_request_waits_for_migration(void)
{
    g_autoptr(MachineConfig) c = fixture_config(1);
    Machine *m = machine_with_news(c);

    g_assert_true(runstate_start(m->run_state, NULL));
    g_thread_join(g_thread_new("guest", ask_shutdown, m));
    runstate_stop(m->run_state, RUN_STATE_FINISH_MIGRATE);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    g_assert_cmpint(runstate_get(m->run_state), ==, RUN_STATE_FINISH_MIGRATE);
    g_assert_true(runstate_start_migrated(m->run_state, NULL));
    wait_state(m, RUN_STATE_SHUTDOWN);
    free_all(m);
}

static void test_reset_request(void)
{
    g_autoptr(MachineConfig) c = fixture_config(1);
    Machine *m = machine_with_news(c);

    fake_cpu(m, 0)->eip = 77;
    g_assert_true(runstate_start(m->run_state, NULL));
    runstate_request_reset(m->run_state);
    while (!g_main_context_iteration(NULL, TRUE) || !vcpus_running(m)) {
    }
    g_assert_cmpuint(fake_cpu(m, 0)->eip, ==, 0);
    runstate_stop(m->run_state, RUN_STATE_PAUSED);
    g_assert_cmpstr(news->str, ==, "prelaunch>running running>paused ");
    free_all(m);
}

static void test_clock(void)
{
    g_autoptr(MachineConfig) c = fixture_config(1);
    Machine *m = machine_with_news(c);
    int64_t t;

    g_assert_cmpint(machine_clock_ns(m), ==, 0);
    g_assert_true(runstate_start(m->run_state, NULL));
    g_usleep(2000);
    runstate_stop(m->run_state, RUN_STATE_PAUSED);
    t = machine_clock_ns(m);
    g_assert_cmpint(t, >=, 2000000);
    g_usleep(2000);
    g_assert_cmpint(machine_clock_ns(m), ==, t);
    g_assert_true(runstate_start(m->run_state, NULL));
    g_assert_cmpint(machine_clock_ns(m), >=, t);
    free_all(m);
}

/* stop and cont from several threads: ends stopped, and the news form an unbroken chain. */
static void *toggle(void *opaque)
{
    Machine *m = opaque;

    for (int i = 0; i < 100; i++) {
        runstate_start(m->run_state, NULL);
        runstate_stop(m->run_state, RUN_STATE_PAUSED);
    }
    return NULL;
}

static RunState chain;

static void check_chain(void *opaque, RunState old, RunState now)
{
    g_assert_cmpint(old, ==, chain);
    chain = now;
}

static void test_concurrent(void)
{
    g_autoptr(MachineConfig) c = fixture_config(2);
    Machine *m = fixture_machine(c);
    GThread *t[3];

    chain = RUN_STATE_PRELAUNCH;
    runstate_add_notify(m->run_state, check_chain, NULL);
    for (int i = 0; i < 3; i++) {
        t[i] = g_thread_new("toggle", toggle, m);
    }
    for (int i = 0; i < 3; i++) {
        g_thread_join(t[i]);
    }
    g_assert_cmpint(runstate_get(m->run_state), ==, RUN_STATE_PAUSED);
    g_assert_false(vcpus_running(m));
    machine_free(m);
}

static void test_accel_order(void)
{
    g_autoptr(MachineConfig) c = fixture_config(1);
    g_autoptr(GError) err = NULL;
    AccelConfig *second = g_new0(AccelConfig, 1);

    second->name = g_strdup("fake");
    second->props = g_hash_table_new(g_str_hash, g_str_equal);
    g_ptr_array_add(c->accels, second);
    fake_init_failures = 1;

    Machine *m = fixture_machine(c);

    g_assert_nonnull(strstr(m->accel_errors, "out of order"));
    machine_free(m);
    fake_init_failures = 2;
    g_assert_null(machine_new(c, &err));
    g_assert_nonnull(strstr(err->message, "out of order"));
    fake_init_failures = 0;
}

static void test_globals(void)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        { "migration.send-switchover-start=off", NULL },
        { "mc146818rtc.lost_tick_policy=slew", NULL },
        { "migration.send-switchover-start=maybe", "neither" },
        { "migration.nonsense=on", "not found" },
        { "migration", "expected" },
        { "floppy.fast=on", "not known" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(MachineConfig) c = fixture_config(1);
        g_autoptr(GError) err = NULL;

        g_ptr_array_add(c->globals, g_strdup(cases[i].text));

        Machine *m = machine_new(c, &err);

        if (cases[i].error) {
            g_assert_null(m);
            g_assert_nonnull(strstr(err->message, cases[i].error));
        } else {
            g_assert_no_error(err);
            g_assert_cmpint(gw_compat(m->migration)->send_switchover_start, ==, i != 0);
            machine_free(m);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/runstate/names", test_names);
    g_test_add_func("/runstate/start-stop", test_start_stop);
    g_test_add_func("/runstate/inmigrate", test_inmigrate);
    g_test_add_func("/runstate/failing-vcpu", test_failing_vcpu);
    g_test_add_func("/runstate/request-waits", test_request_waits_for_migration);
    g_test_add_func("/runstate/reset-request", test_reset_request);
    g_test_add_func("/runstate/clock", test_clock);
    g_test_add_func("/runstate/concurrent", test_concurrent);
    g_test_add_func("/machine/accel-order", test_accel_order);
    g_test_add_func("/machine/globals", test_globals);
    return g_test_run();
}
