/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The postcopy phase, outgoing side: background pages until nothing is left, then the end. A broken
 * channel pauses; recovery-source.c brings it back. Migration thread.
 * Wire: spec commands 3.4, ram 2.8.
 *
 * Background pages go out in small parts: a page that is claimed but not yet sent is one that a
 * fault has to wait for.
 */
#include "postcopy-source.h"

#include "error.h"
#include "prompt-thread.h"
#include "return-path.h"
#include "switchover.h"
#include "trace.h"

#define WINDOW_NS          INT64_C(100000000)
#define PART_BYTES         (256u << 10)
#define PACKAGE_WAIT_NS    INT64_C(20000000)

void postcopy_source_new(MigrationState *ms, const GwAddress *addr)
{
    PostcopySource *ps = g_new0(PostcopySource, 1);

    g_queue_init(&ps->queue);
    prefetch_ahead_init(&ps->ahead);
    ps->address = addr ? gw_address_copy(addr) : NULL;
    pthread_mutex_lock(&ms->lock);
    ms->postcopy_source = ps;
    pthread_mutex_unlock(&ms->lock);
}

void postcopy_source_free(MigrationState *ms)
{
    PostcopySource *ps;

    pthread_mutex_lock(&ms->lock);
    ps = g_steal_pointer(&ms->postcopy_source);
    pthread_mutex_unlock(&ms->lock);
    g_queue_clear_full(&ps->queue, g_free);
    g_clear_pointer(&ps->preempt.prefetch, prefetch_free);
    prefetch_ahead_clear(&ps->ahead);
    g_clear_pointer(&ps->address, gw_address_free);
    g_clear_pointer(&ps->resume_address, gw_address_free);
    g_free(ps);
}

/* max-postcopy-bandwidth; migration thread. */
typedef struct Pace {
    int64_t start_ns;     /* of this window */
    uint64_t start_bytes;
    uint64_t part;        /* bytes of the last background part */
    bool urgent;          /* what is sent next was asked for */
} Pace;

/* A part is no more than the limit allows in one window. */
static uint64_t part_bytes(uint64_t limit)
{
    return limit ? CLAMP(limit / 10, 1, PART_BYTES) : PART_BYTES;
}

/* One host page is the least. Where that is more than the limit allows, the window lasts until it
 * is paid for. */
static int64_t pace_end(const Pace *p, uint64_t limit)
{
    const double ns = limit ? (double)p->part * 1e9 / (double)limit : 0;

    return p->start_ns + MAX(WINDOW_NS, (int64_t)MIN(ns, 1e18));
}

/* The bytes of the next part. Where the limit is used up it waits, and what is asked for meanwhile
 * goes out page by page: the limit is the background's. 0: nothing yet, but there may be news. */
static uint64_t pace(MigrationState *ms, StreamWriter *w, Pace *p)
{
    const uint64_t limit = gw_param_get(ms, MIGRATION_PARAM_MAX_POSTCOPY_BANDWIDTH);
    const uint64_t bytes = stream_written(w) - p->start_bytes;
    const int64_t end = pace_end(p, limit);
    bool used_up = limit && bytes >= limit / 10, urgent = false;
    int64_t now = ms_now_ns(ms);
    const int64_t look = MIN(end, now + WINDOW_NS);

    pthread_mutex_lock(&ms->lock);
    while (used_up && !ms->out.pause_requested && !return_path_news(ms->out.return_path)->ended &&
           !(urgent = postcopy_queue_waits(ms)) && outgoing_wait(ms, look)) {
    }
    now = ms_now_ns(ms);
    if (now >= end) {
        ms->out.mbps = (double)bytes * 8e3 / (double)(now - p->start_ns);
        *p = (Pace){.start_ns = now, .start_bytes = stream_written(w)};
        used_up = false;
    }
    pthread_mutex_unlock(&ms->lock);
    p->urgent = urgent;
    return urgent ? 1 : used_up ? 0 : part_bytes(limit);
}

/* The destination has loaded the package; older ones do not say so, their PONG does. */
static void look_for_package(MigrationState *ms)
{
    bool loaded;

    if (outgoing_status(ms) != MIGRATION_STATUS_POSTCOPY_DEVICE) {
        return;
    }
    pthread_mutex_lock(&ms->lock);
    loaded = return_path_news(ms->out.return_path)->package_loaded;
    pthread_mutex_unlock(&ms->lock);
    if (loaded) {
        outgoing_set_status(ms, MIGRATION_STATUS_POSTCOPY_DEVICE,
                            MIGRATION_STATUS_POSTCOPY_ACTIVE);
    }
}

bool postcopy_still_connected(MigrationState *ms, GError **errp)
{
    const ReturnPathNews *news;
    LOCK_GUARD(&ms->lock);

    news = return_path_news(ms->out.return_path);
    if (ms->out.pause_requested) {
        return gw_fail(errp, GW_ERROR_IO, "to be paused");
    }
    if (news->ended && !news->shut) {
        g_propagate_error(errp, g_error_copy(news->error));
        return false;
    }
    if (news->shut) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "return path: the destination ended (SHUT %u) before all pages were sent; "
                       "see its error: if it cannot be recovered, quit here, for this side cannot "
                       "know that the guest does not run there", news->shut_value);
    }
    return true;
}

/* `part` bytes or one host page more; what the background sent is counted in *p. */
static bool send_part(MigrationState *ms, uint64_t part, Pace *p, bool *done, GError **errp)
{
    StreamWriter *w = ms->out.writer;
    const uint64_t before = stream_written(w);

    if (!savevm_state_iterate(ms, w, part, done, errp) || !stream_flush(w, errp)) {
        return false;
    }
    p->part = p->urgent ? p->part : stream_written(w) - before;
    STAT_ADD(ms->stats.postcopy_bytes, stream_written(w) - before);
    STAT_ADD(ms->stats.transferred, stream_written(w) - before);
    ram_release_sent(ms, &ms->ram_save->main);
    return true;
}

static bool send_background(MigrationState *ms, GError **errp)
{
    StreamWriter *w = ms->out.writer;
    Pace p = {.start_ns = ms_now_ns(ms), .start_bytes = stream_written(w)};
    bool done = false;

    if (ms->postcopy_source->preempt.channel) { /* the queue of this channel is what it overtakes */
        (void)gw_channel_keep_shallow(stream_writer_channel(w));
    }
    while (!done) {
        look_for_package(ms);
        if (!postcopy_still_connected(ms, errp)) {
            return false;
        }
        const uint64_t part = pace(ms, w, &p);

        if (part && !send_part(ms, part, &p, &done, errp)) {
            return false;
        }
    }
    return true;
}

/* All pages are sent; the destination still has to confirm the package. */
static bool wait_for_package(MigrationState *ms, GError **errp)
{
    while (outgoing_status(ms) == MIGRATION_STATUS_POSTCOPY_DEVICE) {
        if (!postcopy_still_connected(ms, errp)) {
            return false;
        }
        look_for_package(ms);
        if (outgoing_status(ms) != MIGRATION_STATUS_POSTCOPY_DEVICE) {
            break;
        }
        pthread_mutex_lock(&ms->lock);
        outgoing_wait(ms, ms_now_ns(ms) + PACKAGE_WAIT_NS);
        pthread_mutex_unlock(&ms->lock);
    }
    return true;
}

static bool send_end(MigrationState *ms, GError **errp)
{
    StreamWriter *w = ms->out.writer;

    ram_release_sent(ms, &ms->ram_save->main); /* what was sent before the package was confirmed */
    /* A SHUT that is there before the end was sent is not the answer to it. */
    if (!savevm_state_complete_iterable(ms, w, false, errp) ||
        !postcopy_still_connected(ms, errp)) {
        return false;
    }
    stream_put_u8(w, QEMU_VM_EOF);
    return stream_flush(w, errp) && preempt_finish(ms, errp) &&
           switchover_wait_for_shut(ms, errp);
}

/* The destination itself says that it could not load the package: it will never run the guest, so
 * this side may. The one exception to the rule, and it is the destination's word. */
static bool destination_declined(MigrationState *ms)
{
    const ReturnPathNews *news;
    LOCK_GUARD(&ms->lock);

    news = return_path_news(ms->out.return_path);
    if (ms->out.status != MIGRATION_STATUS_POSTCOPY_DEVICE || !news->shut || !news->shut_value ||
        news->package_loaded) {
        return false;
    }
    ms->postcopy_source->handed_over = false;
    return true;
}

/* Whoever asked for a pause shut the channel, and so does the return path when an error ends it:
 * that the channel broke is not the news. */
static void name_the_cause(MigrationState *ms, GError **err)
{
    const ReturnPathNews *news;
    LOCK_GUARD(&ms->lock);

    news = return_path_news(ms->out.return_path);
    if (ms->out.pause_requested) {
        g_clear_error(err);
        gw_fail(err, GW_ERROR_IO, "paused by %s", ms->out.yanked ? "yank" : "migrate-pause");
    } else if (news->ended && news->error) {
        g_clear_error(err);
        *err = g_error_copy(news->error);
    }
}

bool postcopy_run(MigrationState *ms, GError **errp)
{
    patient_thread(); /* all that it sends from now on can wait for what the guest asks for */
    for (;;) {
        g_autoptr(GError) err = NULL;

        if (send_background(ms, &err) && wait_for_package(ms, &err) && send_end(ms, &err)) {
            return true;
        }
        name_the_cause(ms, &err);
        if (destination_declined(ms)) {
            g_propagate_error(errp, g_steal_pointer(&err));
            return false;
        }
        /* Whatever it was: the guest is the destination's, so this side can only wait. */
        trace_event(postcopy_pause, "%s", err->message);
        if (!recovery_wait_and_resume(ms, g_steal_pointer(&err), errp)) {
            return false;
        }
    }
}
