/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The run state machine: pauses and resumes the vCPUs, moves the virtual clock with them and tells
 * the listeners.
 *
 * transition_lock makes one change at a time of whoever asks (main loop, migration thread, incoming
 * thread); it is taken before the machine lock and held while vCPUs park, never while a listener
 * runs. The state itself is an atomic, read by any thread. notify_lock (leaf) guards the listeners
 * and the queue of news; news are delivered in the order in which they happened, by whichever
 * thread finds nobody else delivering.
 */
#include "runstate.h"

#include <pthread.h>

#include "machine.h"
#include "error.h"
#include "vcpu-throttle.h"
#include "vcpu.h"

#define END_PATIENCE_NS INT64_C(200000000)

typedef struct Notifier {
    RunStateNotify fn;
    void *opaque;
} Notifier;

typedef struct News {
    RunState old, now;
} News;

struct RunStateMachine {
    Machine *machine;
    RunState state; /* atomic; written under transition_lock */
    bool ended;     /* transition_lock */
    pthread_mutex_t transition_lock;
    pthread_mutex_t notify_lock;
    GArray *notifiers; /* of Notifier */
    GQueue news;       /* of News */
    bool delivering;
    /* What vCPU threads ask of the main loop. */
    pthread_mutex_t request_lock; /* leaf */
    guint request_source;
    int requested_stop;           /* RunState, -1: none */
    bool requested_reset;
};

RunStateMachine *runstate_new(Machine *m, RunState initial)
{
    RunStateMachine *rs = g_new0(RunStateMachine, 1);

    rs->machine = m;
    rs->state = initial;
    pthread_mutex_init(&rs->transition_lock, NULL);
    pthread_mutex_init(&rs->notify_lock, NULL);
    pthread_mutex_init(&rs->request_lock, NULL);
    rs->notifiers = g_array_new(FALSE, FALSE, sizeof(Notifier));
    g_queue_init(&rs->news);
    rs->requested_stop = -1;
    return rs;
}

void runstate_free(RunStateMachine *rs)
{
    if (!rs) {
        return;
    }
    pthread_mutex_lock(&rs->request_lock);
    if (rs->request_source) {
        GSource *source = g_main_context_find_source_by_id(
            g_main_loop_get_context(rs->machine->loop), rs->request_source);

        if (source) {
            g_source_destroy(source);
        }
    }
    pthread_mutex_unlock(&rs->request_lock);
    g_queue_clear_full(&rs->news, g_free);
    g_array_free(rs->notifiers, TRUE);
    pthread_mutex_destroy(&rs->transition_lock);
    pthread_mutex_destroy(&rs->notify_lock);
    pthread_mutex_destroy(&rs->request_lock);
    g_free(rs);
}

RunState runstate_get(RunStateMachine *rs)
{
    return __atomic_load_n(&rs->state, __ATOMIC_ACQUIRE);
}

bool runstate_is_running(RunStateMachine *rs)
{
    return runstate_get(rs) == RUN_STATE_RUNNING;
}

void runstate_add_notify(RunStateMachine *rs, RunStateNotify fn, void *opaque)
{
    Notifier n = { fn, opaque };

    pthread_mutex_lock(&rs->notify_lock);
    g_array_append_val(rs->notifiers, n);
    pthread_mutex_unlock(&rs->notify_lock);
}

/* transition_lock held: sets the word and queues the news. */
static void change(RunStateMachine *rs, RunState now)
{
    RunState old = runstate_get(rs);

    if (old == now) {
        return;
    }
    __atomic_store_n(&rs->state, now, __ATOMIC_RELEASE);

    News *news = g_new(News, 1);

    *news = (News){ old, now };
    pthread_mutex_lock(&rs->notify_lock);
    g_queue_push_tail(&rs->news, news);
    pthread_mutex_unlock(&rs->notify_lock);
}

/* No lock held. A listener that changes the state again only queues: the outer call delivers. */
static void deliver(RunStateMachine *rs)
{
    pthread_mutex_lock(&rs->notify_lock);
    if (rs->delivering) {
        pthread_mutex_unlock(&rs->notify_lock);
        return;
    }
    rs->delivering = true;
    for (;;) {
        News *news = g_queue_pop_head(&rs->news);

        if (!news) {
            break;
        }
        for (guint i = 0; i < rs->notifiers->len; i++) {
            Notifier n = g_array_index(rs->notifiers, Notifier, i);

            pthread_mutex_unlock(&rs->notify_lock);
            n.fn(n.opaque, news->old, news->now);
            pthread_mutex_lock(&rs->notify_lock);
        }
        g_free(news);
    }
    rs->delivering = false;
    pthread_mutex_unlock(&rs->notify_lock);
}

static void tell_accel(Machine *m, bool running)
{
    machine_lock(m);
    machine_clock_set_running(m, running);
    if (m->accel && m->accel->running_changed) {
        m->accel->running_changed(m, running);
    }
    machine_unlock(m);
}

/* The guest first, then the devices that work for it. transition_lock held. */
static void pause_all(Machine *m, bool handover)
{
    vcpus_pause(m);
    machine_run_stopped(m, handover);
    tell_accel(m, false);
    if (handover && m->accel && m->accel->handing_over) {
        m->accel->handing_over(m);
    }
}

void runstate_stop(RunStateMachine *rs, RunState s)
{
    Machine *m = rs->machine;

    pthread_mutex_lock(&rs->transition_lock);
    if (runstate_is_running(rs)) {
        pause_all(m, s == RUN_STATE_FINISH_MIGRATE);
        change(rs, s);
    } else if (runstate_get(rs) == RUN_STATE_INMIGRATE && s == RUN_STATE_PAUSED) {
        /* Nothing to stop yet: what the user means is what should come after the migration. */
        __atomic_store_n(&m->autostart, false, __ATOMIC_RELEASE);
    } else {
        if (s == RUN_STATE_FINISH_MIGRATE) {
            machine_run_stopped(m, true);
        }
        change(rs, s);
    }
    pthread_mutex_unlock(&rs->transition_lock);
    deliver(rs);
}

static void schedule_requests(RunStateMachine *rs);

/* transition_lock held. */
static bool start_locked(RunStateMachine *rs, GError **errp)
{
    if (runstate_is_running(rs) || rs->ended) {
        return true;
    }
    if (!machine_run_starting(rs->machine, errp)) {
        return false;
    }
    /* The word first: a vCPU that stops at once must find "running" to leave. */
    change(rs, RUN_STATE_RUNNING);
    tell_accel(rs->machine, true);
    vcpus_resume(rs->machine);
    pthread_mutex_lock(&rs->request_lock);
    schedule_requests(rs);
    pthread_mutex_unlock(&rs->request_lock);
    return true;
}

bool runstate_start(RunStateMachine *rs, GError **errp)
{
    bool ok = true;

    pthread_mutex_lock(&rs->transition_lock);
    switch (runstate_get(rs)) {
    case RUN_STATE_INMIGRATE:
        __atomic_store_n(&rs->machine->autostart, true, __ATOMIC_RELEASE);
        break;
    case RUN_STATE_FINISH_MIGRATE:
        ok = gw_fail(errp, GW_ERROR_GENERIC, "Migration is not finalized yet");
        break;
    case RUN_STATE_SHUTDOWN:
    case RUN_STATE_INTERNAL_ERROR:
        ok = gw_fail(errp, GW_ERROR_GENERIC,
                     "Resetting the Virtual Machine is required (run state is '%s')",
                     runstate_name(runstate_get(rs)));
        break;
    default:
        ok = start_locked(rs, errp);
        break;
    }
    pthread_mutex_unlock(&rs->transition_lock);
    deliver(rs);
    return ok;
}

bool runstate_start_migrated(RunStateMachine *rs, GError **errp)
{
    bool ok = true;

    pthread_mutex_lock(&rs->transition_lock);
    if (runstate_get(rs) == RUN_STATE_SHUTDOWN || runstate_get(rs) == RUN_STATE_INTERNAL_ERROR) {
        ok = gw_fail(errp, GW_ERROR_GENERIC, "the guest cannot run on from run state '%s'",
                     runstate_name(runstate_get(rs)));
    } else {
        ok = start_locked(rs, errp);
    }
    pthread_mutex_unlock(&rs->transition_lock);
    deliver(rs);
    return ok;
}

void runstate_end(RunStateMachine *rs)
{
    pthread_mutex_lock(&rs->transition_lock);
    rs->ended = true;
    vcpus_pause_until(rs->machine, vcpu_now_ns() + END_PATIENCE_NS);
    pthread_mutex_unlock(&rs->transition_lock);
}

bool runstate_set(RunStateMachine *rs, RunState s, GError **errp)
{
    bool ok = true;

    pthread_mutex_lock(&rs->transition_lock);
    if (runstate_is_running(rs) || s == RUN_STATE_RUNNING) {
        ok = gw_fail(errp, GW_ERROR_GENERIC, "run state cannot change from '%s' to '%s' %s",
                     runstate_name(runstate_get(rs)), runstate_name(s),
                     s == RUN_STATE_RUNNING ? "without starting the guest"
                                            : "while the guest runs");
    } else {
        change(rs, s);
    }
    pthread_mutex_unlock(&rs->transition_lock);
    deliver(rs);
    return ok;
}

/* ---- requests of vCPU threads, carried out on the main loop ---- */

static gboolean serve_requests(gpointer opaque);

/* request_lock held. */
static void schedule_requests(RunStateMachine *rs)
{
    if (rs->request_source || (rs->requested_stop < 0 && !rs->requested_reset)) {
        return;
    }
    GSource *source = g_idle_source_new();

    g_source_set_priority(source, G_PRIORITY_HIGH);
    g_source_set_callback(source, serve_requests, rs, NULL);
    rs->request_source = g_source_attach(source, g_main_loop_get_context(rs->machine->loop));
    g_source_unref(source);
}

/* transition_lock held, guest running. */
static void reset_running(RunStateMachine *rs)
{
    Machine *m = rs->machine;

    g_autoptr(GError) err = NULL;

    pause_all(m, false);
    if (__atomic_load_n(&m->no_reboot, __ATOMIC_RELAXED)) {
        change(rs, RUN_STATE_SHUTDOWN);
        return;
    }
    machine_lock(m);
    machine_reset(m);
    machine_unlock(m);
    if (!machine_run_starting(m, &err)) {
        g_printerr("reset: %s\n", err->message);
        change(rs, RUN_STATE_INTERNAL_ERROR);
        return;
    }
    tell_accel(m, true);
    vcpus_resume(m);
}

static gboolean serve_requests(gpointer opaque)
{
    RunStateMachine *rs = opaque;

    pthread_mutex_lock(&rs->transition_lock);
    pthread_mutex_lock(&rs->request_lock);
    rs->request_source = 0;

    /* Somebody stopped the guest meanwhile, a migration perhaps, whose run state must not be
     * overwritten: the request waits until the guest runs again. */
    bool running = runstate_is_running(rs) && !rs->ended;
    int stop = rs->requested_stop;
    bool reset = rs->requested_reset;

    if (running) {
        rs->requested_stop = -1;
        rs->requested_reset = false;
    }
    pthread_mutex_unlock(&rs->request_lock);
    if (running && stop >= 0) {
        pause_all(rs->machine, false);
        change(rs, stop);
    } else if (running && reset) {
        reset_running(rs);
    }
    pthread_mutex_unlock(&rs->transition_lock);
    deliver(rs);
    return G_SOURCE_REMOVE;
}

static void request(RunStateMachine *rs, int stop, bool reset)
{
    vcpus_request_pause(rs->machine);
    pthread_mutex_lock(&rs->request_lock);
    if (stop >= 0) {
        rs->requested_stop = stop;
    }
    rs->requested_reset |= reset;
    schedule_requests(rs);
    pthread_mutex_unlock(&rs->request_lock);
}

void runstate_request_stop(RunStateMachine *rs, RunState s)
{
    request(rs, s, false);
}

void runstate_request_reset(RunStateMachine *rs)
{
    request(rs, -1, true);
}
