/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a MonitorSet, and how the machine's news become events: run state changes STOP,
 * RESUME and SHUTDOWN, resets RESET, migration MIGRATION and MIGRATION_PASS, a balloon
 * BALLOON_CHANGE.
 *
 * The machine's listeners cannot be taken away: a set lives as long as its machine and is freed by
 * machine_free() as the last made device. News come on any thread and only queue.
 */
#include "monitor-set.h"

#include "guest-memory.h"
#include "qmp.h"
#include "vcpu.h"

static void on_run_state(void *opaque, RunState old, RunState now)
{
    MonitorSet *set = opaque;

    if (now == RUN_STATE_SHUTDOWN) {
        monitor_event(set, "SHUTDOWN", monitor_cause(true, "guest-shutdown"));
    }
    if (old == RUN_STATE_RUNNING) {
        monitor_event(set, "STOP", NULL);
    } else if (now == RUN_STATE_RUNNING) {
        monitor_event(set, "RESUME", NULL);
    }
}

static void on_migration_status(void *opaque, bool incoming, MigrationStatus status)
{
    MonitorSet *set = opaque;
    json_object *data;

    if (!gw_capability_get(set->machine->migration, MIGRATION_CAP_EVENTS)) {
        return;
    }
    data = jo_new();
    jo_str(data, "status", gw_migration_status_name(status));
    monitor_event(set, "MIGRATION", data);
}

static void on_migration_pass(void *opaque, uint64_t pass)
{
    MonitorSet *set = opaque;
    json_object *data;

    if (!gw_capability_get(set->machine->migration, MIGRATION_CAP_EVENTS)) {
        return;
    }
    data = jo_new();
    jo_uint(data, "pass", pass);
    monitor_event(set, "MIGRATION_PASS", data);
}

static const MachineMigrationListener migration_listener = {
    .status_changed = on_migration_status,
    .pass_started = on_migration_pass,
};

/* As a device of the machine; machine lock held. */
static void on_reset(void *dev)
{
    MonitorSet *set = dev;
    bool host = set->reset_by_host;

    monitor_event(set, "RESET",
                  monitor_cause(!host, host ? "host-qmp-system-reset" : "guest-reset"));
}

static void put_event(gpointer o)
{
    json_object_put(o);
}

void monitor_set_free(MonitorSet *set)
{
    if (set->source) {
        g_source_destroy(set->source);
        g_source_unref(set->source);
    }
    g_clear_pointer(&set->guest_wait, guest_wait_free);
    g_queue_clear_full(&set->events, put_event);
    g_ptr_array_unref(set->qmp);
    g_ptr_array_unref(set->chardevs);
    pthread_mutex_destroy(&set->lock);
    g_free(set);
}

MonitorSet *monitor_set_new(Machine *m)
{
    MonitorSet *set = g_new0(MonitorSet, 1);

    set->machine = m;
    set->qmp = g_ptr_array_new();
    set->chardevs = g_ptr_array_new();
    g_queue_init(&set->events);
    pthread_mutex_init(&set->lock, NULL);
    return set;
}

static void on_balloon(void *opaque, uint64_t actual)
{
    json_object *data = jo_new();

    jo_uint(data, "actual", actual);
    monitor_event(opaque, "BALLOON_CHANGE", data);
}

void monitor_set_attach(MonitorSet *set)
{
    Machine *m = set->machine;

    runstate_add_notify(m->run_state, on_run_state, set);
    machine_add_migration_listener(m, &migration_listener, set);
    machine_lock(m);
    if (m->balloon) {
        m->balloon->changed_opaque = set;
        m->balloon->changed = on_balloon;
    }
    machine_add_device(m, set, (GDestroyNotify)monitor_set_free, on_reset);
    machine_unlock(m);
}

void monitor_quit(MonitorSet *set, const char *reason)
{
    monitor_event(set, "SHUTDOWN", monitor_cause(false, reason));
    monitor_events_flush(set);
    machine_exit(set->machine, 0);
}

void monitor_stop_guest(MonitorSet *set)
{
    RunStateMachine *rs = set->machine->run_state;
    const RunState now = runstate_get(rs);

    if (now == RUN_STATE_RUNNING || now == RUN_STATE_INMIGRATE) {
        runstate_stop(rs, RUN_STATE_PAUSED);
    }
}

bool monitor_continue_guest(MonitorSet *set, GError **errp)
{
    return gw_migrate_take_back(set->machine->migration) ||
           runstate_start(set->machine->run_state, errp);
}

void monitor_powerdown(MonitorSet *set)
{
    monitor_event(set, "POWERDOWN", NULL);
    machine_powerdown(set->machine);
}

void monitor_reset(MonitorSet *set)
{
    Machine *m = set->machine;
    const bool running = vcpus_running(m);

    vcpus_pause(m);
    machine_lock(m);
    set->reset_by_host = true;
    machine_reset(m);
    set->reset_by_host = false;
    machine_unlock(m);
    if (running) {
        vcpus_resume(m);
        return;
    }
    switch (runstate_get(m->run_state)) {
    case RUN_STATE_INMIGRATE:
    case RUN_STATE_FINISH_MIGRATE:
        break;
    default:
        runstate_set(m->run_state, RUN_STATE_PRELAUNCH, NULL);
    }
}
