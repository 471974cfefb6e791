/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The switchover of a precopy: stop the guest, send the rest of RAM and the device state, and learn
 * whether the destination took the guest. Migration thread.
 * Wire: spec stream 1.6 (6-10) and 1.8.
 *
 * Exactly one side may run afterwards. With a return path the destination says SHUT 0 when it has
 * loaded everything and starts only when this side has closed the channel in answer; until that
 * SHUT this side may take the guest back, with one exception: a cancel after the last byte was sent
 * leaves it paused (see give_guest_back in migration-thread.c).
 */
#include "switchover.h"

#include <string.h>

#include "blackout.h"
#include "error.h"
#include "return-path.h"
#include "trace.h"
#include "vmdesc.h"

bool switchover_stop_guest(MigrationState *ms, GError **errp)
{
    Outgoing *out = &ms->out;

    if (out->stopped_guest) {
        return true;
    }
    out->was_running = ms->host.is_running(ms->host_opaque);
    g_strlcpy(ms->global_run_state, ms->host.run_state(ms->host_opaque),
              sizeof(ms->global_run_state));
    pthread_mutex_lock(&ms->lock);
    out->downtime_start_ns = ms_now_ns(ms);
    pthread_mutex_unlock(&ms->lock);
    out->stopped_guest = true;

    const bool ok = ms->host.stop_guest(ms->host_opaque, "finish-migrate", errp);

    STAT_SET(out->blackout.stop_ns, (uint64_t)(ms_now_ns(ms) - out->downtime_start_ns));
    return ok;
}

/* pre-switchover: the guest is stopped; someone prepares storage or network, then continues. */
bool switchover_pause(MigrationState *ms, GError **errp)
{
    if (!gw_capability_get(ms, MIGRATION_CAP_PAUSE_BEFORE_SWITCHOVER)) {
        return outgoing_set_status(ms, MIGRATION_STATUS_ACTIVE, MIGRATION_STATUS_DEVICE) ||
               gw_fail(errp, GW_ERROR_CANCELLED, "migration cancelled");
    }
    outgoing_set_status(ms, MIGRATION_STATUS_ACTIVE, MIGRATION_STATUS_PRE_SWITCHOVER);
    pthread_mutex_lock(&ms->lock);
    while (!ms->out.continue_requested && !outgoing_cancel_requested(ms)) {
        outgoing_wait(ms, -1);
    }
    pthread_mutex_unlock(&ms->lock);
    return outgoing_set_status(ms, MIGRATION_STATUS_PRE_SWITCHOVER, MIGRATION_STATUS_DEVICE) ||
           gw_fail(errp, GW_ERROR_CANCELLED, "migration cancelled");
}

/* The text stays until the flush. */
static GString *put_description(MigrationState *ms, StreamWriter *w, const VMDesc *vmdesc)
{
    GString *text = vmdesc_text(ms, vmdesc);

    savevm_put_vmdesc(w, text->str);
    return text;
}

/* The destination loads the devices while this is written. It needs none of it: where this cannot
 * be written, what counts is whether it says that it has loaded the guest. */
static void send_description(MigrationState *ms, StreamWriter *w, const VMDesc *vmdesc)
{
    const int64_t start = ms_now_ns(ms);
    GString *text = put_description(ms, w, vmdesc);
    g_autoptr(GError) err = NULL;

    if (!stream_flush(w, &err)) {
        trace_event(migration_description_lost, "%s", err->message);
    }
    g_string_free(text, TRUE);
    blackout_lap(ms, &ms->out.blackout.description_ns, start);
}

static bool send_devices(MigrationState *ms, StreamWriter *w, GError **errp)
{
    g_autoptr(VMDesc) vmdesc = gw_compat(ms)->suppress_vmdesc ? NULL : vmdesc_new();
    /* Without a return path the destination may start, and hang up, as soon as it has the end of
     * the devices: then an error of a later write would say nothing about who has the guest. */
    const bool later = vmdesc && ms->out.return_path;
    GString *text = NULL;
    int64_t start = ms_now_ns(ms);
    bool ok;

    ms->host.lock(ms->host_opaque);
    ok = savevm_state_complete_devices(ms, w, vmdesc, errp);
    ms->host.unlock(ms->host_opaque);
    if (!ok) {
        return false;
    }
    start = blackout_lap(ms, &ms->out.blackout.device_save_ns, start);
    stream_put_u8(w, QEMU_VM_EOF);
    /* From here on the destination may have all that it needs. */
    ms->out.sent_everything = true;
    if (vmdesc && !later) {
        text = put_description(ms, w, vmdesc);
        start = blackout_lap(ms, &ms->out.blackout.description_ns, start);
    }
    ok = stream_flush(w, errp);
    blackout_lap(ms, &ms->out.blackout.transfer_ns, start);
    if (text) {
        g_string_free(text, TRUE);
    }
    if (ok && later) {
        send_description(ms, w, vmdesc);
    }
    return ok;
}

bool switchover_send_last_pages(MigrationState *ms, StreamWriter *w, bool in_postcopy,
                                GError **errp)
{
    MigrationBlackout *b = &ms->out.blackout;
    const int64_t start = ms_now_ns(ms);
    const bool ok = savevm_state_complete_iterable(ms, w, in_postcopy, errp);
    const uint64_t all = (uint64_t)(ms_now_ns(ms) - start);

    /* The sync is a part of it, and shown by itself. */
    STAT_SET(b->last_pages_ns, all - MIN(all, STAT_GET(b->dirty_sync_ns)));
    return ok;
}

/* Blocks until SHUT or the end of the return path; a cancel shuts the channel down. */
bool switchover_wait_for_shut(MigrationState *ms, GError **errp)
{
    const ReturnPathNews *news;
    bool ok = true;

    if (!ms->out.return_path) {
        return true;
    }
    pthread_mutex_lock(&ms->lock);
    news = return_path_news(ms->out.return_path);
    while (!news->ended) {
        outgoing_wait(ms, -1);
    }
    if (!news->shut) {
        g_propagate_error(errp, g_error_copy(news->error));
        ok = false;
    } else if (news->shut_value) {
        ok = gw_fail(errp, GW_ERROR_PROTOCOL,
                     "Sibling indicated error %u: the destination could not load the guest, see "
                     "its error", news->shut_value);
    }
    pthread_mutex_unlock(&ms->lock);
    return ok;
}

/* Ends the writing direction: a destination with a return path starts when it sees that. What goes
 * wrong now is news, but the guest is the destination's if it said so. */
static bool let_go(MigrationState *ms, GError **errp)
{
    GError *err = NULL;

    if (gw_channel_finish(ms->out.channel, &err)) {
        return true;
    }
    if (ms->out.return_path) {
        outgoing_set_error(ms, err);
        return true;
    }
    g_propagate_error(errp, err);
    return false;
}

bool migration_switchover(MigrationState *ms, StreamWriter *w, GError **errp)
{
    Outgoing *out = &ms->out;
    uint64_t before;
    int64_t start;

    if (!switchover_stop_guest(ms, errp) || !switchover_pause(ms, errp)) {
        return false;
    }
    before = stream_written(w);
    if (gw_compat(ms)->send_switchover_start) {
        savevm_put_command(w, MIG_CMD_SWITCHOVER_START, NULL, 0);
    }
    if (!switchover_send_last_pages(ms, w, false, errp) || !send_devices(ms, w, errp)) {
        return false;
    }
    STAT_ADD(ms->stats.downtime_bytes, stream_written(w) - before);
    STAT_SET(ms->stats.transferred, stream_written(w));
    start = ms_now_ns(ms);
    if (!switchover_wait_for_shut(ms, errp)) {
        return false;
    }
    if (out->return_path) {
        blackout_lap(ms, &out->blackout.answer_ns, start);
    }
    if (!let_go(ms, errp)) {
        return false;
    }
    pthread_mutex_lock(&ms->lock);
    out->downtime_ms = (uint64_t)((ms_now_ns(ms) - out->downtime_start_ns) / 1000000);
    pthread_mutex_unlock(&ms->lock);
    blackout_trace_source(ms);
    return true;
}
