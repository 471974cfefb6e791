/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two whole machines with -accel sim in one process: a running workload migrates live and goes on,
 * and finds every page of its memory as it left it.
 */
#include <string.h>

#include "channel-mem.h"
#include "migration/error.h"
#include "sim.h"

#define RAM_BYTES (16 << 20)
#define CPUS      2

static const BoardOps toy_board = {
    .name = "toy",
    .description = "memory and CPUs, no devices",
    .default_ram_id = "toy.ram",
    .default_ram_size = RAM_BYTES,
    .min_cpus = 1,
    .max_cpus = 16,
};

static const BoardOps *const boards[] = { &toy_board, NULL };

typedef struct Host {
    MachineConfig *config;
    Machine *m;
} Host;

/* False: this host cannot track writes; the test is skipped. */
static bool can_track(void)
{
    g_autoptr(GError) err = NULL;
    PagemapLog *log = pagemap_log_new(&err);

    if (!log) {
        g_test_skip(err->message);
    }
    pagemap_log_free(log);
    return log != NULL;
}

static void set_prop(AccelConfig *a, const char *key, const char *value)
{
    g_hash_table_replace(a->props, g_strdup(key), g_strdup(value));
}

static Host host_new(const char *pattern, const char *rate, bool incoming)
{
    Host h = { .config = machine_config_new() };
    AccelConfig *accel = g_new0(AccelConfig, 1);
    g_autoptr(GError) err = NULL;

    accel->name = g_strdup("sim");
    accel->props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    set_prop(accel, "pattern", pattern);
    set_prop(accel, "rate", rate);
    g_ptr_array_add(h.config->accels, accel);
    h.config->machine_type = g_strdup("toy");
    h.config->smp = CPUS;
    h.config->incoming = incoming ? g_strdup("defer") : NULL;
    h.m = machine_new(h.config, &err);
    g_assert_no_error(err);
    return h;
}

static void host_free(Host *h)
{
    machine_free(h->m);
    machine_config_free(h->config);
}

static uint64_t pass_of(const Machine *m, unsigned cpu)
{
    return SIM_LOOK(sim_cpu(m->vcpus[cpu])->s.pass);
}

/* Waits until each vCPU of `m` is `n` passes further than that of `from` (which stands still, or is
 * NULL: than the beginning). */
static void wait_for_passes(const Machine *m, const Machine *from, uint64_t n)
{
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        while (pass_of(m, i) < (from ? pass_of(from, i) : 0) + n) {
            g_usleep(1000);
        }
    }
}

static void start(Machine *m)
{
    g_autoptr(GError) err = NULL;

    runstate_start(m->run_state, &err);
    g_assert_no_error(err);
}

/* After a few passes the guest may be down for as long as it takes: a machine that is slow enough
 * would never get ahead of it. */
static void get_done(Machine *from)
{
    const MigrationParamChange c = {.param = MIGRATION_PARAM_DOWNTIME_LIMIT, .value.num = 2000000};
    MigrationInfo info = { 0 };
    bool wait;

    do {
        g_usleep(1000);
        gw_migration_query(from->migration, &info);
        wait = info.status == MIGRATION_STATUS_SETUP ||
               (info.status == MIGRATION_STATUS_ACTIVE && info.ram.dirty_sync_count < 4);
        gw_migration_info_clear(&info);
    } while (wait);
    g_assert_true(gw_params_set(from->migration, &c, 1, NULL));
}

static void migrate(Machine *from, Machine *to)
{
    g_autoptr(GError) err = NULL;
    GwChannel *a, *b;
    MigrationInfo info = { 0 };

    gw_channel_mem_pair(1 << 20, &a, &b);
    gw_incoming_start_channel(to->migration, b, false, &err);
    g_assert_no_error(err);
    gw_migrate_channel(from->migration, a, &err);
    g_assert_no_error(err);
    gw_channel_unref(a);
    gw_channel_unref(b);
    get_done(from);
    gw_migration_wait(from->migration);
    gw_incoming_wait(to->migration);
    gw_incoming_query(to->migration, &info);
    g_assert_cmpstr(info.error_desc, ==, NULL);
    gw_migration_info_clear(&info);
    gw_migration_query(from->migration, &info);
    g_assert_cmpstr(info.error_desc, ==, NULL);
    g_assert_cmpint(info.status, ==, MIGRATION_STATUS_COMPLETED);
    gw_migration_info_clear(&info);
}

static void check_right(const Machine *m)
{
    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        const SimState *s = &sim_cpu(m->vcpus[i])->s;

        if (SIM_LOOK(s->wrong)) {
            g_error("vCPU %u: %lu wrong pages, the first at %lx is %s", i,
                    (unsigned long)s->wrong, (unsigned long)s->first_wrong,
                    sim_wrong_name(s->first_kind));
        }
    }
}

static void test_live(gconstpointer opaque)
{
    Host src, dst;

    if (!can_track()) {
        return;
    }
    src = host_new(opaque, "60", false);
    dst = host_new("idle", "0", true); /* the workload comes with the guest */
    start(src.m);
    wait_for_passes(src.m, NULL, 1);
    migrate(src.m, dst.m);
    g_assert_false(vcpus_running(src.m));
    g_assert_true(vcpus_running(dst.m));
    wait_for_passes(dst.m, src.m, 2); /* every page was visited after the move */
    check_right(dst.m);
    vcpus_pause(dst.m);
    g_assert_cmpuint(sim_cpu(dst.m->vcpus[0])->s.seed, ==, 1);
    g_assert_cmpuint(sim_cpu(dst.m->vcpus[1])->s.first, ==, RAM_BYTES / SIM_PAGE_BYTES / CPUS);
    host_free(&src);
    host_free(&dst);
}

/* The state says what memory holds: a page changed behind its back is found, on the other side. */
static void test_found(void)
{
    Host src, dst;

    if (!can_track()) {
        return;
    }
    src = host_new("seq", "0", false);
    dst = host_new("seq", "0", true);
    start(src.m);
    wait_for_passes(src.m, NULL, 2);
    runstate_stop(src.m->run_state, RUN_STATE_PAUSED);
    sim_cpu(src.m->vcpus[0])->host[77 * SIM_PAGE_BYTES + 8] ^= 1;
    migrate(src.m, dst.m);
    g_assert_false(vcpus_running(dst.m)); /* paused there, paused here */
    start(dst.m);
    wait_for_passes(dst.m, src.m, 2);
    vcpus_pause(dst.m);
    g_assert_cmpuint(sim_cpu(dst.m->vcpus[0])->s.wrong, ==, 1);
    g_assert_cmpuint(sim_cpu(dst.m->vcpus[0])->s.first_wrong, ==, 77 * SIM_PAGE_BYTES);
    g_assert_cmpuint(sim_cpu(dst.m->vcpus[1])->s.wrong, ==, 0);
    host_free(&src);
    host_free(&dst);
}

int main(int argc, char **argv)
{
    static const char *const patterns[] = { "seq", "random", "stride", "stream" };

    g_test_init(&argc, &argv, NULL);
    machine_set_boards(boards);
    for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
        g_autofree char *path = g_strdup_printf("/sim-migration/live/%s", patterns[i]);

        g_test_add_data_func(path, patterns[i], test_live);
    }
    g_test_add_func("/sim-migration/found", test_found);
    return g_test_run();
}
