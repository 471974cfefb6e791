/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The incoming half as its user sees it: prepare, start, wait, abort. Called from any thread,
 * returns at once; the work is done on the incoming thread (incoming-thread.c). ms->lock guards
 * everything in ms->in. Spec: qmp 5.3 and 5.5.
 */
#include "incoming.h"

#include "error.h"
#include "trace.h"

/* The listener's queue: room for the channels that may come beside the main one. */
#define LISTEN_BACKLOG 16

void incoming_status_changed(MigrationState *ms, MigrationStatus to)
{
    trace_event(incoming_set_state, "new state %s", gw_migration_status_name(to));
    if (ms->host.status_changed) {
        ms->host.status_changed(ms->host_opaque, true, to);
    }
}

void incoming_set_status(MigrationState *ms, MigrationStatus to)
{
    pthread_mutex_lock(&ms->lock);
    ms->in.status = to;
    pthread_cond_broadcast(&ms->in.cond);
    pthread_mutex_unlock(&ms->lock);
    incoming_status_changed(ms, to);
}

void gw_incoming_prepare(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    ms->in.expected = true;
}

/* One at a time; a failed one may be followed by another. */
static bool incoming_claim(MigrationState *ms, bool exit_on_error, GError **errp)
{
    Incoming *in = &ms->in;
    LOCK_GUARD(&ms->lock);

    if (!in->expected) {
        return gw_fail(errp, GW_ERROR_GENERIC, "'-incoming' was not specified on the command line");
    }
    if (in->started) {
        return gw_fail(errp, GW_ERROR_GENERIC, "The incoming migration has already been started");
    }
    in->started = true;
    in->exit_on_error = exit_on_error;
    in->abort_requested = false;
    in->rp_open = false;
    in->has_latency = in->yanked = in->pause_requested = in->zero_promised = false;
    in->zero_target = (ZeroTarget){0};
    in->run_state[0] = '\0';
    g_clear_error(&in->error);
    g_clear_pointer(&in->addresses, g_ptr_array_unref);
    return true;
}

static void incoming_thread_start(MigrationState *ms, GwListener *listener, GwChannel *ch)
{
    IncomingArgs *args = g_new0(IncomingArgs, 1);
    GThread *old;

    args->ms = ms;
    args->listener = listener;
    args->channel = ch ? gw_channel_ref(ch) : NULL;
    pthread_mutex_lock(&ms->lock);
    old = ms->in.thread;
    ms->in.thread = NULL;
    ms->in.thread_running = true;
    memset(&ms->in.blackout, 0, sizeof(ms->in.blackout));
    ms->in.listener = listener;
    ms->in.addresses = listener ? gw_listener_addresses(listener) : NULL;
    pthread_mutex_unlock(&ms->lock);
    if (old) {
        g_thread_join(old);
    }
    incoming_set_status(ms, MIGRATION_STATUS_SETUP);
    ms->in.thread = g_thread_new("mig/dst/main", incoming_thread, args);
}

bool gw_incoming_start(MigrationState *ms, const GwAddress *addr, bool exit_on_error,
                       GError **errp)
{
    GwListener *listener;

    if (!incoming_claim(ms, exit_on_error, errp)) {
        return false;
    }
    listener = gw_listener_new(addr, LISTEN_BACKLOG, ms->host.resolve_fd, ms->host_opaque, errp);
    if (!listener) {
        pthread_mutex_lock(&ms->lock);
        ms->in.started = false;
        pthread_mutex_unlock(&ms->lock);
        return false;
    }
    incoming_thread_start(ms, listener, NULL);
    return true;
}

bool gw_incoming_start_channel(MigrationState *ms, GwChannel *main_channel, bool exit_on_error,
                               GError **errp)
{
    if (!incoming_claim(ms, exit_on_error, errp)) {
        return false;
    }
    incoming_thread_start(ms, NULL, main_channel);
    return true;
}

static bool not_paused(GError **errp)
{
    return gw_fail(errp, GW_ERROR_GENERIC,
                   "Migrate recover can only be run when postcopy is paused.");
}

/* ms->lock held. Returns a listener that nobody used yet and that is to be freed, or NULL. */
static GwListener *listen_instead(MigrationState *ms, GwListener *l)
{
    GwListener *unused = NULL;

    if (ms->in.listener) {
        unused = ms->in.next_listener;
        ms->in.next_listener = l; /* the listen thread is in accept: it takes the new one */
        gw_listener_cancel(ms->in.listener);
    } else {
        ms->in.listener = l;
    }
    g_clear_pointer(&ms->in.addresses, g_ptr_array_unref);
    ms->in.addresses = gw_listener_addresses(l);
    pthread_cond_broadcast(&ms->in.cond);
    return unused;
}

bool gw_incoming_recover(MigrationState *ms, const GwAddress *addr, GError **errp)
{
    GwListener *l, *unused = NULL;
    bool paused;

    pthread_mutex_lock(&ms->lock);
    paused = ms->in.status == MIGRATION_STATUS_POSTCOPY_PAUSED;
    pthread_mutex_unlock(&ms->lock);
    if (!paused) {
        return not_paused(errp);
    }
    l = gw_listener_new(addr, LISTEN_BACKLOG, ms->host.resolve_fd, ms->host_opaque, errp);
    if (!l) {
        return false;
    }
    pthread_mutex_lock(&ms->lock);
    /* Meanwhile a connection to an earlier address may have been accepted. */
    paused = ms->in.status == MIGRATION_STATUS_POSTCOPY_PAUSED && !ms->in.channel;
    if (paused) {
        unused = listen_instead(ms, l);
    }
    pthread_mutex_unlock(&ms->lock);
    gw_listener_free(paused ? unused : l);
    return paused || not_paused(errp);
}

bool incoming_pause(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    if (ms->in.status != MIGRATION_STATUS_POSTCOPY_DEVICE &&
        ms->in.status != MIGRATION_STATUS_POSTCOPY_ACTIVE &&
        ms->in.status != MIGRATION_STATUS_POSTCOPY_RECOVER) {
        return false;
    }
    ms->in.pause_requested = true;
    if (ms->in.channel) {
        gw_channel_shutdown(ms->in.channel);
    }
    if (ms->in.listener) {
        gw_listener_cancel(ms->in.listener); /* the preempt connection may be waited for */
    }
    pthread_cond_broadcast(&ms->in.cond);
    return true;
}

void incoming_abort(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    ms->in.abort_requested = true;
    pthread_cond_broadcast(&ms->in.cond);
    if (ms->in.listener) {
        gw_listener_cancel(ms->in.listener);
    }
    if (ms->in.channel) {
        gw_channel_shutdown(ms->in.channel);
    }
}

void gw_incoming_wait(MigrationState *ms)
{
    pthread_mutex_lock(&ms->lock);
    while (ms->in.thread_running) {
        pthread_cond_wait(&ms->in.cond, &ms->lock);
    }
    pthread_mutex_unlock(&ms->lock);
}
