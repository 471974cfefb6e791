/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The incoming thread: accept, load, take the guest over or report why not. It may block on its
 * socket; device loads take the machine lock inside loadvm.
 * Wire: spec stream 1.8.
 *
 * Taking over with a return path: SHUT 0 is sent when everything is loaded, and the guest starts
 * when the source has closed the channel in answer. A source that did not get the SHUT resets or
 * keeps the channel; then the guest stays paused here, so that two sides never run.
 */
#include "incoming.h"

#include <string.h>

#include "blackout.h"
#include "error.h"
#include "incoming-door.h"
#include "postcopy.h"
#include "return-path.h"

#define CONFIRM_TIMEOUT_MS 10000

static GwChannel *accept_main(const IncomingArgs *args, GError **errp)
{
    MigrationState *ms = args->ms;
    GwChannel *ch;

    if (args->channel) {
        ch = gw_channel_ref(args->channel);
    } else {
        ms->in.door = door_new(ms);
        ch = door_main(ms->in.door, args->listener, false, errp);
    }
    if (!ch) {
        return NULL;
    }
    gw_channel_set_name(ch, "main");
    pthread_mutex_lock(&ms->lock);
    ms->in.channel = ch;
    if (ms->in.abort_requested) {
        gw_channel_shutdown(ch); /* incoming_abort() came before there was a channel to shut */
    }
    pthread_mutex_unlock(&ms->lock);
    return ch;
}

/* *postcopy: the package was loaded, the rest comes while the guest runs. */
static bool load(MigrationState *ms, StreamReader *r, bool *postcopy, GError **errp)
{
    static const LoadvmCommandOps ops = {.command = incoming_command};

    if (!loadvm_header(ms, r, errp) || !loadvm_setup(ms, errp)) {
        return false;
    }
    incoming_set_status(ms, MIGRATION_STATUS_ACTIVE);
    switch (loadvm_elements(ms, r, &ops, ms, errp)) {
    case LOADVM_EOF:
        return true;
    case LOADVM_QUIT:
        *postcopy = true;
        return true;
    default:
        return false;
    }
}

/* An end of the stream that this side made itself says nothing about the source. */
static bool was_yanked(MigrationState *ms, GError **errp)
{
    LOCK_GUARD(&ms->lock);

    return ms->in.yanked && !gw_fail(errp, GW_ERROR_IO, "main: the connection was ended by yank");
}

/* The source has let go when it has closed the channel after our SHUT. */
static bool source_has_let_go(MigrationState *ms, StreamReader *r, GError **errp)
{
    uint8_t rest[256];
    ssize_t n;

    do {
        struct iovec iov = {rest, sizeof(rest)};
        const int ready = gw_channel_wait_readable(ms->in.channel, CONFIRM_TIMEOUT_MS, errp);

        if (ready < 0) {
            return false;
        }
        if (ready == 0) {
            return gw_fail(errp, GW_ERROR_IO, "main: the source did not close the channel within "
                           "%d s", CONFIRM_TIMEOUT_MS / 1000);
        }
        n = gw_channel_readv(ms->in.channel, &iov, 1, errp);
    } while (n > 0);
    return n == 0 && !was_yanked(ms, errp);
}

/* False: loaded, but it is not certain that the source has let go. */
static bool confirm(MigrationState *ms, StreamReader *r, GError **errp)
{
    if (!ms->in.rp_open) {
        loadvm_drain_vmdesc(r);
        return true;
    }
    if (!rp_send_u32(ms, MIG_RP_MSG_SHUT, 0, errp)) {
        return false;
    }
    loadvm_drain_vmdesc(r);
    return source_has_let_go(ms, r, errp);
}

static bool enter_run_state(MigrationState *ms, GError **errp)
{
    const char *state = ms->in.run_state[0] ? ms->in.run_state : "running";

    if (strcmp(state, "running") != 0 && strcmp(state, "suspended") != 0) {
        return ms->host.set_run_state(ms->host_opaque, state, errp);
    }
    if (ms->host.autostart && !ms->host.autostart(ms->host_opaque)) {
        return ms->host.set_run_state(ms->host_opaque, "paused", errp);
    }
    return ms->host.start_guest(ms->host_opaque, errp);
}

static bool start_guest(MigrationState *ms, GError **errp)
{
    const int64_t start = ms_now_ns(ms);
    const bool ok = enter_run_state(ms, errp);

    blackout_lap(ms, &ms->in.blackout.start_ns, start);
    blackout_trace_destination(ms);
    return ok;
}

static void set_error(MigrationState *ms, GError *err)
{
    pthread_mutex_lock(&ms->lock);
    g_clear_error(&ms->in.error);
    ms->in.error = err;
    pthread_mutex_unlock(&ms->lock);
}

/* Everything is loaded. From here on the guest is ours or nobody's, never lost: no exit. */
static void take_over(MigrationState *ms, StreamReader *r)
{
    GError *err = NULL;

    if (!confirm(ms, r, &err)) {
        g_prefix_error(&err, "the guest is complete here but paused, because it is not certain "
                             "that the source has let go of it; use 'cont' when it has: ");
        ms->host.set_run_state(ms->host_opaque, "paused", NULL);
        set_error(ms, err);
    } else if (!start_guest(ms, &err)) {
        set_error(ms, err);
    }
    incoming_set_status(ms, MIGRATION_STATUS_COMPLETED);
}

/* The package is loaded and the source never takes the guest back: it runs, and its pages come. */
static void take_over_postcopy(MigrationState *ms)
{
    GError *err = NULL;

    if (!start_guest(ms, &err)) {
        set_error(ms, g_steal_pointer(&err));
    }
    if (!postcopy_listen_join(ms, &err)) {
        set_error(ms, err); /* only when this side is being shut down */
        return;
    }
    postcopy_ram_end(ms);
    rp_send_u32(ms, MIG_RP_MSG_SHUT, 0, NULL);
    incoming_set_status(ms, MIGRATION_STATUS_COMPLETED);
}

/* To the source, if there is a return path; if it does not get there, the close will. */
static void decline(MigrationState *ms, GError *err)
{
    rp_send_u32(ms, MIG_RP_MSG_SHUT, 1, NULL);
    set_error(ms, err);
}

static void close_all(MigrationState *ms)
{
    GwChannel *ch;
    GwListener *listener;

    g_clear_pointer(&ms->in.door, door_free);
    pthread_mutex_lock(&ms->lock);
    ch = ms->in.channel;
    listener = ms->in.listener;
    ms->in.channel = NULL;
    ms->in.listener = NULL;
    ms->in.rp_open = false;
    pthread_mutex_unlock(&ms->lock);
    if (ch) {
        gw_channel_unref(ch);
    }
    if (listener) {
        gw_listener_free(listener);
    }
}

/* Last of all: who sees the status may start the next incoming migration. */
static void report_failure(MigrationState *ms)
{
    g_autofree char *message = NULL;
    bool tell;

    pthread_mutex_lock(&ms->lock);
    message = g_strdup(ms->in.error->message);
    tell = ms->in.exit_on_error && !ms->in.abort_requested;
    ms->in.started = false;
    ms->in.status = MIGRATION_STATUS_FAILED;
    pthread_cond_broadcast(&ms->in.cond);
    pthread_mutex_unlock(&ms->lock);
    incoming_status_changed(ms, MIGRATION_STATUS_FAILED);
    if (tell && ms->host.incoming_failed) {
        ms->host.incoming_failed(ms->host_opaque, message);
    }
}

gpointer incoming_thread(gpointer opaque)
{
    IncomingArgs *args = opaque;
    MigrationState *ms = args->ms;
    g_autoptr(StreamReader) r = NULL;
    GError *err = NULL;
    bool ok = false, postcopy = false;

    if (accept_main(args, &err)) {
        r = stream_reader_new(ms->in.channel);
        ok = load(ms, r, &postcopy, &err);
    }
    if (postcopy_owns_reader(ms)) {
        g_steal_pointer(&r); /* the listen thread's since LISTEN */
    }
    if (ok && postcopy) {
        take_over_postcopy(ms);
    } else if (ok) {
        take_over(ms, r);
    } else {
        decline(ms, err);
    }
    postcopy_incoming_free(ms);
    loadvm_cleanup(ms);
    g_clear_pointer(&r, stream_reader_free);
    close_all(ms);
    g_clear_pointer(&args->channel, gw_channel_unref);
    g_free(args);
    if (!ok) {
        report_failure(ms);
    }
    pthread_mutex_lock(&ms->lock);
    ms->in.thread_running = false;
    pthread_cond_broadcast(&ms->in.cond);
    pthread_mutex_unlock(&ms->lock);
    return NULL;
}
