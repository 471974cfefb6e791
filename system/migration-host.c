/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the migration engine asks of this machine: MigrationHostOps on top of the run state, the
 * vCPUs and the memory map, and the fan-out of the engine's notifications to monitors and main.
 *
 * Called on migration, incoming and main threads; opaque is the Machine. The list of listeners has
 * a leaf lock of its own and only grows, so that callbacks run without it.
 */
#include "migration-host.h"

#include <string.h>

#include "error.h"
#include "fd-table.h"
#include "vcpu.h"

typedef struct Listener {
    const MachineMigrationListener *ops;
    void *opaque;
} Listener;

struct MachineListeners {
    pthread_mutex_t lock;
    GArray *list; /* of Listener */
};

void machine_listeners_init(Machine *m)
{
    m->listeners = g_new0(struct MachineListeners, 1);
    pthread_mutex_init(&m->listeners->lock, NULL);
    m->listeners->list = g_array_new(FALSE, FALSE, sizeof(Listener));
}

void machine_listeners_clear(Machine *m)
{
    if (m->listeners) {
        g_array_free(m->listeners->list, TRUE);
        pthread_mutex_destroy(&m->listeners->lock);
        g_clear_pointer(&m->listeners, g_free);
    }
}

void machine_add_migration_listener(Machine *m, const MachineMigrationListener *l, void *opaque)
{
    Listener entry = { l, opaque };

    pthread_mutex_lock(&m->listeners->lock);
    g_array_append_val(m->listeners->list, entry);
    pthread_mutex_unlock(&m->listeners->lock);
}

/* Copies the i-th listener; false past the end. */
static bool nth_listener(Machine *m, guint i, Listener *out)
{
    pthread_mutex_lock(&m->listeners->lock);

    bool found = i < m->listeners->list->len;

    if (found) {
        *out = g_array_index(m->listeners->list, Listener, i);
    }
    pthread_mutex_unlock(&m->listeners->lock);
    return found;
}

static void host_lock(void *opaque)
{
    machine_lock(opaque);
}

static void host_unlock(void *opaque)
{
    machine_unlock(opaque);
}

static bool state_of(const char *word, RunState *out, GError **errp)
{
    int s = runstate_by_name(word);

    if (s < 0) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "'%s' is not a run state", word);
    }
    *out = s;
    return true;
}

/* The stream may have resized blocks that are mapped. Before the guest leaves inmigrate. */
static bool fit_map_to_stream(Machine *m, GError **errp)
{
    bool ok = true;

    if (runstate_get(m->run_state) == RUN_STATE_INMIGRATE && m->board->post_incoming) {
        machine_lock(m);
        ok = m->board->post_incoming(m, errp);
        machine_unlock(m);
    }
    return ok;
}

static bool host_stop_guest(void *opaque, const char *run_state, GError **errp)
{
    Machine *m = opaque;
    RunState s = RUN_STATE_PAUSED;

    if (!state_of(run_state, &s, errp)) {
        return false;
    }
    if (s == RUN_STATE_RUNNING) {
        return gw_fail(errp, GW_ERROR_GENERIC, "a guest cannot be stopped into 'running'");
    }
    runstate_stop(m->run_state, s);
    return true;
}

static bool host_start_guest(void *opaque, GError **errp)
{
    Machine *m = opaque;

    return fit_map_to_stream(m, errp) && runstate_start_migrated(m->run_state, errp);
}

static const char *host_run_state(void *opaque)
{
    Machine *m = opaque;

    return runstate_name(runstate_get(m->run_state));
}

static bool host_set_run_state(void *opaque, const char *run_state, GError **errp)
{
    Machine *m = opaque;
    RunState s = RUN_STATE_PAUSED;

    if (!state_of(run_state, &s, errp) ||
        (s != RUN_STATE_INMIGRATE && !fit_map_to_stream(m, errp))) {
        return false;
    }
    return runstate_set(m->run_state, s, errp);
}

static bool host_is_running(void *opaque)
{
    Machine *m = opaque;

    return runstate_is_running(m->run_state);
}

static bool host_autostart(void *opaque)
{
    Machine *m = opaque;

    return __atomic_load_n(&m->autostart, __ATOMIC_ACQUIRE);
}

static void host_transaction_begin(void *opaque)
{
    Machine *m = opaque;

    memory_transaction_begin(m->memory);
}

static bool host_transaction_commit(void *opaque, GError **errp)
{
    Machine *m = opaque;
    const char *reader = memory_map_take_misreader(m->memory);

    if (reader) {
        memory_transaction_abort(m->memory);
        return gw_fail(errp, GW_ERROR_GENERIC, "memory map: %s() read it while device state was "
                       "decoded, before the changes that devices make to it; switch "
                       "batch-vmstate-load off, and mend the device: it has to wait for "
                       "post_commit", reader);
    }
    if (memory_transaction_depth(m->memory) != 1) {
        memory_transaction_abort(m->memory);
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "a device left a memory transaction of its own open");
    }
    return memory_transaction_commit(m->memory, errp);
}

static void host_transaction_abort(void *opaque)
{
    Machine *m = opaque;

    memory_transaction_abort(m->memory);
}

static void host_forbid_map_reads(void *opaque, bool on)
{
    Machine *m = opaque;

    memory_map_forbid_reads(m->memory, on);
}

static void host_map_counts(void *opaque, MigrationMapCounts *out)
{
    Machine *m = opaque;
    MemoryMapStats st;

    memory_map_stats(m->memory, &st);
    *out = (MigrationMapCounts){ st.edits, st.commits, st.rebuilds, st.ioctls, st.commit_ns };
}

static void host_set_throttle(void *opaque, unsigned percent)
{
    vcpus_set_throttle(opaque, percent);
}

static void host_set_vcpu_throttle(void *opaque, unsigned vcpu, unsigned percent)
{
    vcpu_set_throttle(opaque, vcpu, percent);
}

static uint64_t host_vcpu_throttled_ns(void *opaque, unsigned vcpu)
{
    return vcpu_throttled_ns(opaque, vcpu);
}

static uint64_t host_vcpu_busy_ns(void *opaque, unsigned vcpu)
{
    return vcpu_busy_ns(opaque, vcpu);
}

static int host_vcpu_of_thread(void *opaque, int tid)
{
    Machine *m = opaque;

    for (unsigned i = 0; i < m->nr_vcpus; i++) {
        if (__atomic_load_n(&m->vcpus[i]->tid, __ATOMIC_ACQUIRE) == tid) {
            return i;
        }
    }
    return -1;
}

static void host_status_changed(void *opaque, bool incoming, MigrationStatus status)
{
    Listener l;

    for (guint i = 0; nth_listener(opaque, i, &l); i++) {
        if (l.ops->status_changed) {
            l.ops->status_changed(l.opaque, incoming, status);
        }
    }
}

static void host_pass_started(void *opaque, uint64_t pass)
{
    Listener l;

    for (guint i = 0; nth_listener(opaque, i, &l); i++) {
        if (l.ops->pass_started) {
            l.ops->pass_started(l.opaque, pass);
        }
    }
}

static void host_incoming_failed(void *opaque, const char *message)
{
    Listener l;

    for (guint i = 0; nth_listener(opaque, i, &l); i++) {
        if (l.ops->incoming_failed) {
            l.ops->incoming_failed(l.opaque, message);
        }
    }
}

static int host_resolve_fd(void *opaque, const char *name, int flags, GError **errp)
{
    Machine *m = opaque;

    if (!m->fds) {
        gw_fail(errp, GW_ERROR_GENERIC, "no file descriptor named '%s' was given", name);
        return -1;
    }
    return name[0] == '/' ? fd_table_open(m->fds, name, flags, 0600, errp)
                          : fd_table_take(m->fds, name, errp);
}

const MigrationHostOps machine_migration_host_ops = {
    .size = sizeof(MigrationHostOps),
    .lock = host_lock,
    .unlock = host_unlock,
    .stop_guest = host_stop_guest,
    .start_guest = host_start_guest,
    .run_state = host_run_state,
    .set_run_state = host_set_run_state,
    .is_running = host_is_running,
    .autostart = host_autostart,
    .transaction_begin = host_transaction_begin,
    .transaction_commit = host_transaction_commit,
    .transaction_abort = host_transaction_abort,
    .forbid_map_reads = host_forbid_map_reads,
    .map_counts = host_map_counts,
    .set_throttle = host_set_throttle,
    .set_vcpu_throttle = host_set_vcpu_throttle,
    .vcpu_throttled_ns = host_vcpu_throttled_ns,
    .vcpu_busy_ns = host_vcpu_busy_ns,
    .vcpu_of_thread = host_vcpu_of_thread,
    .status_changed = host_status_changed,
    .pass_started = host_pass_started,
    .incoming_failed = host_incoming_failed,
    .resolve_fd = host_resolve_fd,
};
