/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The listen thread takes the main channel over when the package says LISTEN: background pages,
 * commands, the end; it survives broken connections. The preempt thread reads urgent pages. Neither
 * leaves before the last page has arrived.
 * Wire: spec stream 1.7, ram 2.8 (end of postcopy), channels 4.4.
 */
#include "postcopy.h"

#include "error.h"
#include "incoming-door.h"
#include "incoming.h"
#include "prompt-thread.h"
#include "recovery.h"
#include "trace.h"

/* The source opens the preempt channel before it sends what makes us look for it: a connection that
 * is not there soon never comes, and a source that can still take the guest back should hear so. */
#define PREEMPT_WAIT_MS 10000
#define LOAD_PATIENCE_NS INT64_C(1000000000)

/* ---- preempt thread ---- */

bool postcopy_accept_preempt(MigrationState *ms, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    pthread_mutex_lock(&ms->lock);
    pi->listener = ms->in.listener;
    pthread_mutex_unlock(&ms->lock);
    if (!pi->listener || !ms->in.door) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "capability 'postcopy-preempt' needs an address that takes a second "
                       "connection (tcp or unix)");
    }
    if (!door_expect_preempt(ms->in.door, pi->listener, ms->in.channel, PREEMPT_WAIT_MS, errp)) {
        g_prefix_error(errp, "preempt channel (is 'postcopy-preempt' on at the source?): ");
        return false;
    }
    return true;
}

/* The door has recognised it; but whoever shuts channels down may have come before. */
static bool take_preempt(MigrationState *ms, GwChannel *ch)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    LOCK_GUARD(&ms->lock);

    if (gw_listener_is_cancelled(pi->listener)) {
        gw_channel_unref(ch);
        return false;
    }
    gw_channel_set_name(ch, "preempt");
    pi->preempt_channel = ch;
    return true;
}

/* ms->lock held. */
static void shut_preempt(MigrationState *ms)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    if (pi->preempt_channel) {
        gw_channel_shutdown(pi->preempt_channel);
    }
    if (pi->listener) {
        gw_listener_cancel(pi->listener); /* the preempt thread may be at the door */
    }
}

void postcopy_break(MigrationState *ms, GError *why)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    if (pi->broken) {
        g_error_free(why);
    } else {
        pi->broken = why;
    }
    if (ms->in.channel) { /* of a recovery too, whose RESUME may be half done */
        gw_channel_shutdown(ms->in.channel);
    }
    pthread_cond_broadcast(&ms->in.cond); /* wait_for_missing() */
}

/* Pages may be lost with this channel alone: both ends have to start over together. */
static void preempt_broke(MigrationState *ms, GError *err)
{
    LOCK_GUARD(&ms->lock);

    postcopy_break(ms, err);
}

static void preempt_ended(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    ms->postcopy_incoming->preempt_ended = true;
    pthread_cond_broadcast(&ms->in.cond);
}

/* Reads pages until the channel ends. False: it broke, or ended too early. */
static bool read_preempt(MigrationState *ms, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    g_autoptr(StreamReader) r = stream_reader_new(pi->preempt_channel);
    bool eos = false, end = false;
    bool ok = postcopy_channel_init(&pi->preempt, ms, r, true, errp);

    while (ok && !eos && !end) {
        ok = postcopy_load_records(&pi->preempt, &eos, &end, errp);
    }
    postcopy_channel_clear(&pi->preempt);
    if (ok && eos) {
        preempt_ended(ms); /* what is missing now is on the main channel */
    }
    return ok && (eos || gw_fail(errp, GW_ERROR_IO, "preempt: it was closed before all pages "
                                 "came"));
}

static gpointer preempt_thread(gpointer opaque)
{
    MigrationState *ms = opaque;
    PostcopyIncoming *pi = ms->postcopy_incoming;
    GError *err = NULL;
    GwChannel *ch = door_preempt(ms->in.door, pi->listener, pi->preempt_main, &err);

    if (ch && take_preempt(ms, ch)) {
        prompt_thread();
        read_preempt(ms, &err);
    }
    trace_event(postcopy_preempt_thread_exit, "%s", err ? err->message : "end of the channel");
    if (err && !g_error_matches(err, GW_ERROR, GW_ERROR_CANCELLED) &&
        __atomic_load_n(&pi->missing, __ATOMIC_ACQUIRE)) {
        preempt_broke(ms, g_steal_pointer(&err));
    }
    g_clear_error(&err);
    return NULL;
}

bool postcopy_preempt_start(MigrationState *ms, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    if (pi->listener) {
        pi->preempt_ended = false; /* nobody else looks at it before the thread is there */
        pthread_mutex_lock(&ms->lock);
        pi->preempt_main = ms->in.channel ? gw_channel_ref(ms->in.channel) : NULL;
        pthread_mutex_unlock(&ms->lock);
        if (!pi->preempt_main) {
            return gw_fail(errp, GW_ERROR_IO, "main: it was closed");
        }
        pi->preempt_thread = g_thread_new("mig/dst/preempt", preempt_thread, ms);
    }
    return true;
}

void postcopy_preempt_join(MigrationState *ms)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    GwChannel *ch;

    pthread_mutex_lock(&ms->lock);
    shut_preempt(ms);
    pthread_mutex_unlock(&ms->lock);
    g_clear_pointer(&pi->preempt_thread, g_thread_join);
    pthread_mutex_lock(&ms->lock);
    ch = g_steal_pointer(&pi->preempt_channel);
    pi->listener = NULL;
    pthread_mutex_unlock(&ms->lock);
    if (ms->in.door) {
        door_clear(ms->in.door);
    }
    g_clear_pointer(&pi->preempt_main, gw_channel_unref);
    if (ch) {
        gw_channel_unref(ch);
    }
}

/* ---- listen thread ---- */

/* The main channel has ended; urgent pages may still be on their way. */
static bool wait_for_missing(MigrationState *ms, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    bool ok;
    LOCK_GUARD(&ms->lock);

    while (__atomic_load_n(&pi->missing, __ATOMIC_ACQUIRE) && pi->preempt_thread &&
           !pi->preempt_ended && !pi->broken && !ms->in.pause_requested &&
           !ms->in.abort_requested) {
        pthread_cond_wait(&ms->in.cond, &ms->lock);
    }
    ok = __atomic_load_n(&pi->missing, __ATOMIC_ACQUIRE) == 0;
    return ok || gw_fail(errp, GW_ERROR_PROTOCOL,
                         "main: the source ended the stream, but %" G_GUINT64_FORMAT
                         " pages have not come", __atomic_load_n(&pi->missing, __ATOMIC_RELAXED));
}

/* Why the connection broke: who ended it knows better than who noticed. */
static GError *reason(MigrationState *ms, GError *err)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    LOCK_GUARD(&ms->lock);

    if (ms->in.pause_requested) {
        g_clear_error(&err);
        return g_error_new(GW_ERROR, GW_ERROR_IO, "paused by %s",
                           ms->in.yanked ? "yank" : "migrate-pause");
    }
    if (pi->broken) {
        g_clear_error(&err);
        return g_steal_pointer(&pi->broken);
    }
    return err;
}

/* A package that is being loaded when the connection breaks is given a moment: it nearly always is
 * loaded then, or declined, and that word may still get through. False if it was declined. */
static bool wait_for_load(MigrationState *ms)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    const int64_t deadline = g_get_monotonic_time() * 1000 + LOAD_PATIENCE_NS;
    LOCK_GUARD(&ms->lock);

    while (pi->state == POSTCOPY_LISTENING && !pi->give_up && !ms->in.pause_requested &&
           !ms->in.abort_requested && cond_wait_until(&ms->in.cond, &ms->lock, deadline)) {
    }
    return !pi->give_up;
}

/* The package may still be loading, and wait for a page: the source has handed the guest over, so
 * that load too can only go on when the connection is back. */
static StreamReader *pause_and_recover(MigrationState *ms, GError *err)
{
    StreamReader *r;

    if (!wait_for_load(ms)) {
        g_clear_error(&err);
        return NULL;
    }
    r = recovery_wait(ms, reason(ms, err));
    if (r) {
        postcopy_channel_restart(&ms->postcopy_incoming->main, r);
    }
    return r;
}

static gpointer listen_thread(gpointer opaque)
{
    static const LoadvmCommandOps ops = {.command = incoming_command};
    MigrationState *ms = opaque;
    PostcopyIncoming *pi = ms->postcopy_incoming;
    bool done = false;

    patient_thread();
    if (gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_PREEMPT)) { /* it overtakes this queue */
        (void)gw_channel_keep_shallow(stream_reader_channel(pi->reader));
    }
    while (!done && pi->reader) {
        GError *err = NULL;
        const LoadvmResult res = loadvm_elements(ms, pi->reader, &ops, ms, &err);

        if (res == LOADVM_EOF && wait_for_missing(ms, &err)) {
            done = true;
        } else {
            if (!err) {
                gw_fail(&err, GW_ERROR_PROTOCOL, "main: a command ended the stream too early");
            }
            pi->reader = pause_and_recover(ms, err);
        }
    }
    if (!done) {
        postcopy_ram_release(ms); /* whoever waits for a page would wait for ever */
    }
    pthread_mutex_lock(&ms->lock);
    pi->listen_done = done;
    pthread_cond_broadcast(&ms->in.cond);
    pthread_mutex_unlock(&ms->lock);
    return NULL;
}

bool postcopy_listen_start(MigrationState *ms, StreamReader *r, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    if (!postcopy_channel_init(&pi->main, ms, r, false, errp)) {
        return false;
    }
    pi->main.ram.block = ms->ram_load->main.block; /* CONTINUE goes on from the precopy part */
    if (!postcopy_preempt_start(ms, errp)) {
        return false;
    }
    pi->reader = r; /* ours from here on */
    pi->listen_thread = g_thread_new("mig/dst/listen", listen_thread, ms);
    return true;
}

bool postcopy_listen_join(MigrationState *ms, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    g_clear_pointer(&pi->listen_thread, g_thread_join);
    if (!pi->listen_done) { /* written before the thread ended */
        return gw_fail(errp, GW_ERROR_CANCELLED,
                       "left in postcopy-paused: some of the guest's pages are only at the source");
    }
    postcopy_preempt_join(ms);
    return true;
}

bool postcopy_owns_reader(MigrationState *ms)
{
    return ms->postcopy_incoming && ms->postcopy_incoming->listen_thread;
}

/* A load that failed after LISTEN: nobody will run the guest here. */
static void give_up(MigrationState *ms)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    pthread_mutex_lock(&ms->lock);
    pi->give_up = true;
    if (ms->in.channel) {
        gw_channel_shutdown(ms->in.channel);
    }
    if (ms->in.listener) {
        gw_listener_cancel(ms->in.listener); /* a recovery may be waiting for its connection */
    }
    pthread_cond_broadcast(&ms->in.cond);
    pthread_mutex_unlock(&ms->lock);
    g_clear_pointer(&pi->listen_thread, g_thread_join);
    postcopy_preempt_join(ms);
}

void postcopy_incoming_free(MigrationState *ms)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;

    if (!pi) {
        return;
    }
    give_up(ms);
    postcopy_ram_end(ms);
    postcopy_channel_clear(&pi->main);
    g_clear_pointer(&pi->reader, stream_reader_free);
    pthread_mutex_lock(&ms->lock);
    ms->postcopy_incoming = NULL;
    latency_info(pi->latency, &ms->in.latency);
    ms->in.has_latency = pi->state >= POSTCOPY_LISTENING; /* else the source did not switch */
    pthread_mutex_unlock(&ms->lock);
    latency_free(pi->latency);
    g_clear_error(&pi->broken);
    g_free(pi);
}
