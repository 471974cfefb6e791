/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The migration thread: connect, set up, iterate over RAM while the guest runs, decide when to
 * switch over, clean up. It owns the writer; it may block on its socket and takes the machine lock
 * for short steps only.
 * Wire: spec stream 1.6; the decision loop: spec ram 2.5.
 */
#include "outgoing.h"

#include <string.h>

#include "background-sync.h"
#include "error.h"
#include "free-page.h"
#include "postcopy-source.h"
#include "return-path.h"
#include "skip-zero.h"
#include "trace.h"

#define WINDOW_NS       (100 * 1000 * 1000) /* of the rate limit and the bandwidth measurement */
#define FIRST_WINDOW_NS (5 * 1000 * 1000)   /* a short first look, so that small guests finish */
#define PART_BYTES      (16u << 20)         /* of one PART when nothing limits the rate */
#define ACK_LOOK_NS     (10 * 1000 * 1000)  /* between two looks while an ack is missing */
#define MAX_POLISH      8                   /* extra passes that only shorten the pause */
#define LAST_WORD_NS    (100 * 1000 * 1000) /* for what the destination said before it hung up */

/* The bandwidth window. Migration thread only. */
typedef struct Pace {
    int64_t window_start_ns;
    uint64_t window_start_bytes, window_start_pages;
} Pace;

/* The convergence of the last passes. Migration thread only. */
typedef struct Passes {
    uint64_t last_pending;
    unsigned polish;
} Passes;

static GwChannel *connect_peer(MigrationState *ms, const OutgoingArgs *args, GError **errp)
{
    GwChannel *ch = args->channel ? gw_channel_ref(args->channel) : NULL;

    if (!ch) {
        ch = gw_channel_connect(args->addr, ms->host.resolve_fd, ms->host_opaque, ms->out.cancel,
                                errp);
    }
    if (ch) {
        gw_channel_set_name(ch, "main");
        pthread_mutex_lock(&ms->lock);
        ms->out.channel = ch;
        pthread_mutex_unlock(&ms->lock);
    }
    return ch;
}

static uint64_t pages_sent(MigrationState *ms)
{
    return STAT_GET(ms->stats.normal_pages) + STAT_GET(ms->stats.zero_pages) +
           STAT_GET(ms->stats.skipped_pages);
}

static void pace_start(MigrationState *ms, StreamWriter *w, Pace *p)
{
    p->window_start_ns = ms_now_ns(ms);
    p->window_start_bytes = stream_written(w);
    p->window_start_pages = pages_sent(ms);
}

/* Bytes that still fit into this window; unlimited gives one PART's worth. */
static uint64_t pace_budget(MigrationState *ms, StreamWriter *w, const Pace *p)
{
    const uint64_t limit = gw_param_get(ms, MIGRATION_PARAM_MAX_BANDWIDTH);
    const uint64_t used = stream_written(w) - p->window_start_bytes;

    if (limit == 0 || limit / 10 > UINT64_MAX / 2) {
        return PART_BYTES;
    }
    return limit / 10 > used ? MIN(limit / 10 - used, PART_BYTES) : 0;
}

static void pace_measure(MigrationState *ms, StreamWriter *w, Pace *p)
{
    Outgoing *out = &ms->out;
    const int64_t ns = ms_now_ns(ms) - p->window_start_ns;
    const uint64_t bytes = stream_written(w) - p->window_start_bytes;
    const uint64_t pages = pages_sent(ms) - p->window_start_pages;
    const uint64_t avail = gw_param_get(ms, MIGRATION_PARAM_AVAIL_SWITCHOVER_BANDWIDTH);
    const uint64_t limit_ms = gw_param_get(ms, MIGRATION_PARAM_DOWNTIME_LIMIT);

    if (ns < (out->bandwidth ? WINDOW_NS : FIRST_WINDOW_NS)) {
        return;
    }
    if (bytes > 0) {
        const double per_s = (double)bytes * 1e9 / (double)ns;
        const double reckon = avail ? (double)avail : per_s;

        out->bandwidth = (uint64_t)per_s;
        out->threshold_bytes = (uint64_t)(reckon * (double)limit_ms / 1000.0);
        pthread_mutex_lock(&ms->lock);
        out->mbps = per_s * 8 / 1e6;
        pthread_mutex_unlock(&ms->lock);
        outlook_sent(ms, bytes, pages, ns);
        STAT_SET(ms->stats.pages_per_second, (uint64_t)((double)pages * 1e9 / (double)ns));
    }
    pace_start(ms, w, p);
}


/* The destination has not agreed yet: no need to look again before it says something. */
static void wait_for_news(MigrationState *ms)
{
    pthread_mutex_lock(&ms->lock);
    outgoing_wait(ms, ms_now_ns(ms) + ACK_LOOK_NS);
    pthread_mutex_unlock(&ms->lock);
}

/* Without the legacy mode only devices ask for acks, and none here does. */
static bool switchover_needs_ack(MigrationState *ms)
{
    return gw_capability_get(ms, MIGRATION_CAP_SWITCHOVER_ACK) &&
           gw_compat(ms)->switchover_ack_legacy && ms->host.is_running(ms->host_opaque);
}

/* ms->lock held. */
static bool switchover_is_acked(MigrationState *ms)
{
    return !ms->out.return_path || return_path_news(ms->out.return_path)->acks > 0;
}

/* Whether the destination has agreed to the switchover. */
static bool switchover_is_allowed(MigrationState *ms)
{
    if (!switchover_needs_ack(ms)) {
        return true;
    }
    LOCK_GUARD(&ms->lock);

    return switchover_is_acked(ms);
}

/* ms->lock held. */
static bool return_path_has_ended(MigrationState *ms)
{
    return ms->out.return_path && return_path_news(ms->out.return_path)->ended;
}

/* Its last word, before everything was sent: the destination gave up, or what it says makes no
 * sense. Nothing that is sent now would be of use. */
static bool return_path_is_well(MigrationState *ms, GError **errp)
{
    const ReturnPathNews *news;
    LOCK_GUARD(&ms->lock);

    if (!return_path_has_ended(ms)) {
        return true;
    }
    news = return_path_news(ms->out.return_path);
    if (news->error) {
        g_propagate_error(errp, g_error_copy(news->error));
        return false;
    }
    return gw_fail(errp, GW_ERROR_PROTOCOL, "return path: SHUT %u in the middle of the migration",
                   news->shut_value);
}

/* Sleeps to the end of the window, unless there is something to do before. */
static void pace_sleep(MigrationState *ms, const Pace *p)
{
    const bool needs_ack = switchover_needs_ack(ms);

    pthread_mutex_lock(&ms->lock);
    while (!outgoing_cancel_requested(ms) && !return_path_has_ended(ms) &&
           !(ms->out.postcopy_requested && (!needs_ack || switchover_is_acked(ms))) &&
           outgoing_wait(ms, p->window_start_ns + WINDOW_NS)) {
    }
    pthread_mutex_unlock(&ms->lock);
}

/*
 * What is left fits into the downtime limit. Another pass is still worth while as long as each
 * leaves clearly less than the one before: the guest's pause gets shorter for almost no time.
 */
static bool another_pass_pays(MigrationState *ms, Passes *p, uint64_t pending)
{
    const bool small = pending <= ms->out.threshold_bytes / 256;
    const bool shrank = p->last_pending == 0 || pending < p->last_pending / 4 * 3;

    return !small && shrank && p->polish++ < MAX_POLISH;
}

/* An exact look at what is dirty: the end of a pass. */
static bool end_pass(MigrationState *ms, Passes *p, bool *converged, GError **errp)
{
    Outgoing *out = &ms->out;
    uint64_t pending;

    if (!savevm_state_pending(ms, true, &pending, errp)) {
        return false;
    }
    outlook_pass_ended(ms, pending);
    if (ms->host.pass_started) {
        ms->host.pass_started(ms->host_opaque, STAT_GET(ms->stats.dirty_sync_count));
    }
    if (out->bandwidth) {
        pthread_mutex_lock(&ms->lock);
        out->expected_downtime_ms = pending / MAX(out->bandwidth / 1000, 1);
        pthread_mutex_unlock(&ms->lock);
    }
    cpu_throttle_finish(ms, pending, p->last_pending);
    *converged = pending <= out->threshold_bytes && !another_pass_pays(ms, p, pending);
    p->last_pending = pending;
    if (*converged && !switchover_is_allowed(ms)) {
        *converged = false;
        wait_for_news(ms);
    }
    return true;
}

static bool look_at_pending(MigrationState *ms, Passes *p, bool *converged, GError **errp)
{
    uint64_t pending;

    *converged = false;
    if (!savevm_state_pending(ms, false, &pending, errp)) {
        return false;
    }
    if (pending > 0 && (pending > ms->out.threshold_bytes || p->polish < MAX_POLISH)) {
        return true;
    }
    return end_pass(ms, p, converged, errp);
}

/* Rounds of RAM until the rest fits into the downtime limit, or postcopy is wanted. */
static bool run_passes(MigrationState *ms, StreamWriter *w, bool *postcopy, GError **errp)
{
    Pace pace;
    Passes passes = {0};
    bool converged, done;

    pace_start(ms, w, &pace);
    outlook_begin(ms);
    for (;;) {
        if (outgoing_cancel_requested(ms)) {
            return gw_fail(errp, GW_ERROR_CANCELLED, "migration cancelled");
        }
        if (!return_path_is_well(ms, errp)) {
            return false;
        }
        if (__atomic_load_n(&ms->out.postcopy_requested, __ATOMIC_ACQUIRE) &&
            switchover_is_allowed(ms)) {
            *postcopy = true;
            return true;
        }
        if (!look_at_pending(ms, &passes, &converged, errp)) {
            return false;
        }
        if (converged) {
            return true;
        }
        const uint64_t budget = pace_budget(ms, w, &pace);

        if (budget == 0) {
            pace_sleep(ms, &pace);
        } else {
            const uint64_t before = stream_written(w);

            if (!savevm_state_iterate(ms, w, budget, &done, errp) || !stream_flush(w, errp)) {
                return false;
            }
            STAT_ADD(ms->stats.precopy_bytes, stream_written(w) - before);
            STAT_SET(ms->stats.transferred, stream_written(w));
        }
        pace_measure(ms, w, &pace);
    }
}

static bool iterate(MigrationState *ms, StreamWriter *w, bool *postcopy, GError **errp)
{
    BackgroundSync *watcher;
    bool ok;

    cpu_throttle_start(ms);
    watcher = background_sync_start(ms);
    ok = free_page_open(ms, errp) && run_passes(ms, w, postcopy, errp);
    background_sync_stop(watcher);
    return ok;
}

static bool setup(MigrationState *ms, StreamWriter *w, GError **errp)
{
    const uint32_t ping = GUINT32_TO_BE(1);
    GwChannel *ch = ms->out.channel;
    bool ok;

    savevm_put_header(ms, w);
    if (outgoing_wants_return_path(ms)) {
        if (!gw_channel_has(ch, GW_CHANNEL_DUPLEX)) {
            return gw_fail(errp, GW_ERROR_GENERIC,
                           "main: this channel has one direction only, capability 'return-path' "
                           "needs two: switch it off or use tcp, unix or a socket fd");
        }
        pthread_mutex_lock(&ms->lock);
        ms->out.return_path = return_path_start(ms, ch);
        pthread_mutex_unlock(&ms->lock);
        savevm_put_command(w, MIG_CMD_OPEN_RETURN_PATH, NULL, 0);
        savevm_put_command(w, MIG_CMD_PING, &ping, sizeof(ping));
    }
    if (gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_RAM)) {
        postcopy_put_advise(ms, w);
        if (gw_compat(ms)->preempt_pre_7_2 &&
            gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_PREEMPT) && !preempt_open(ms, errp)) {
            return false;
        }
    }
    ms->host.lock(ms->host_opaque);
    ok = savevm_state_setup(ms, w, errp);
    ms->host.unlock(ms->host_opaque);
    if (!ok || !stream_flush(w, errp) || !skip_zero_settle(ms, w, errp)) {
        return false;
    }
    pthread_mutex_lock(&ms->lock);
    ms->out.setup_end_ns = ms_now_ns(ms);
    pthread_mutex_unlock(&ms->lock);
    return true;
}

static bool migrate(MigrationState *ms, const OutgoingArgs *args, GError **errp)
{
    bool postcopy = false;

    postcopy_source_new(ms, args->addr);
    if (!connect_peer(ms, args, errp)) {
        return false;
    }
    ms->out.writer = stream_writer_new(ms->out.channel);
    if (outgoing_cancel_requested(ms)) {
        return gw_fail(errp, GW_ERROR_CANCELLED, "migration cancelled");
    }
    if (!setup(ms, ms->out.writer, errp)) {
        return false;
    }
    outgoing_set_status(ms, MIGRATION_STATUS_SETUP, MIGRATION_STATUS_ACTIVE);
    if (!iterate(ms, ms->out.writer, &postcopy, errp)) {
        return false;
    }
    return postcopy ? postcopy_switch(ms, ms->out.writer, errp) && postcopy_run(ms, errp)
                    : migration_switchover(ms, ms->out.writer, errp);
}

static void close_channel(MigrationState *ms, bool ok)
{
    Outgoing *out = &ms->out;
    struct ReturnPath *rp;
    GwChannel *ch;

    pthread_mutex_lock(&ms->lock);
    ch = out->channel;
    out->channel = NULL;
    rp = out->return_path;
    pthread_mutex_unlock(&ms->lock);
    if (ch && (!ok || rp)) {
        gw_channel_shutdown(ch);
    }
    preempt_shutdown(ms);
    return_path_join(rp); /* its thread looks at out->return_path */
    pthread_mutex_lock(&ms->lock);
    out->return_path = NULL;
    pthread_mutex_unlock(&ms->lock);
    return_path_free(rp);
    preempt_close(ms);
    g_clear_pointer(&out->writer, stream_writer_free);
    g_clear_pointer(&ch, gw_channel_unref);
}

/* What the user sees as the reason: the peer's own word before the broken pipe it caused. */
static GError *explain(MigrationState *ms, GError *err)
{
    GError *better = NULL;

    pthread_mutex_lock(&ms->lock);
    if (ms->out.yanked) {
        better = g_error_new(GW_ERROR, GW_ERROR_IO, "the connection was ended by yank (%s)",
                             err->message);
    } else if (ms->out.return_path && !g_error_matches(err, GW_ERROR, GW_ERROR_CANCELLED)) {
        const ReturnPathNews *news = return_path_news(ms->out.return_path);
        const int64_t until = ms_now_ns(ms) + LAST_WORD_NS;

        /* Whoever closed the channel said why just before: it may not have been read yet. */
        while (g_error_matches(err, GW_ERROR, GW_ERROR_IO) && !news->ended && !news->shut &&
               outgoing_wait(ms, until)) {
        }
        if (news->shut && news->shut_value) {
            better = g_error_new(GW_ERROR, GW_ERROR_PROTOCOL, "Sibling indicated error %u (%s)",
                                 news->shut_value, err->message);
        }
    }
    pthread_mutex_unlock(&ms->lock);
    if (better) {
        g_error_free(err);
        return better;
    }
    return err;
}

/* Like a cancel, a yank closes the channel, which the destination may take for our consent. */
static bool was_yanked(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    return ms->out.yanked;
}

/* The guest goes on here, unless the destination may already own it. */
static void give_guest_back(MigrationState *ms)
{
    Outgoing *out = &ms->out;

    if (!out->stopped_guest) {
        return;
    }
    if (out->sent_everything && (outgoing_cancel_requested(ms) || was_yanked(ms))) {
        GError *err = g_error_new(
            GW_ERROR, GW_ERROR_CANCELLED,
            "ended after the whole guest was sent: it may run on the destination and stays "
            "paused here; use 'cont' only when the destination is known not to run it");

        ms->host.set_run_state(ms->host_opaque, "paused", NULL);
        outgoing_set_error(ms, err);
        return;
    }
    if (out->was_running) {
        g_autoptr(GError) err = NULL;

        if (!ms->host.start_guest(ms->host_opaque, &err)) {
            outgoing_set_error(ms, g_steal_pointer(&err));
        }
    } else {
        ms->host.set_run_state(ms->host_opaque, ms->global_run_state, NULL);
    }
}

static void finish(MigrationState *ms, bool ok, GError *err)
{
    MigrationStatus end = MIGRATION_STATUS_COMPLETED;

    if (!ok) {
        const bool cancelled = outgoing_cancel_requested(ms);

        end = cancelled ? MIGRATION_STATUS_CANCELLED : MIGRATION_STATUS_FAILED;
        err = explain(ms, err);
        if (!cancelled) {
            const MigrationStatus now = outgoing_status(ms);

            outgoing_set_error(ms, err);
            outgoing_set_status(ms, now, MIGRATION_STATUS_FAILING);
        } else {
            g_error_free(err);
        }
    }
    cpu_throttle_end(ms); /* first: a guest that stays here gets its time back at once */
    close_channel(ms, ok);
    if (!ok && !postcopy_is_handed_over(ms)) {
        give_guest_back(ms); /* it need not wait until the dirty log has ended */
    }
    postcopy_source_free(ms);
    ms->host.lock(ms->host_opaque);
    savevm_state_cleanup(ms);
    ms->host.unlock(ms->host_opaque);
    if (ok) {
        ms->host.set_run_state(ms->host_opaque, "postmigrate", NULL);
    }
    pthread_mutex_lock(&ms->lock);
    ms->out.end_ns = ms_now_ns(ms);
    pthread_mutex_unlock(&ms->lock);
    /* A cancel that comes in just now is too late: whatever the status is, this is the end. */
    while (!outgoing_set_status(ms, outgoing_status(ms), end)) {
    }
}

gpointer migration_thread(gpointer opaque)
{
    OutgoingArgs *args = opaque;
    MigrationState *ms = args->ms;
    GError *err = NULL;
    const bool ok = migrate(ms, args, &err);

    finish(ms, ok, err);
    g_clear_pointer(&args->addr, gw_address_free);
    g_clear_pointer(&args->channel, gw_channel_unref);
    g_free(args);
    pthread_mutex_lock(&ms->lock);
    ms->out.thread_running = false;
    pthread_cond_broadcast(&ms->out.cond);
    pthread_mutex_unlock(&ms->lock);
    return NULL;
}
