/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pause and recovery, outgoing side. A broken channel in postcopy closes everything and waits; a
 * new connection learns from the destination which pages it has (RECV_BITMAP) and goes on with the
 * others. The guest is the destination's all the time: this side never resumes it. Migration
 * thread; the bitmaps are read by the return-path thread. Wire: spec commands 3.4, ram 2.9.
 */
#include "postcopy-source.h"

#include <inttypes.h>
#include <string.h>

#include "bits.h"
#include "dirty-bitmap.h"
#include "error.h"
#include "return-path.h"
#include "trace.h"

#define RECV_BITMAP_END UINT64_C(0x0123456789ABCDEF)

/* Joins the return-path thread and drops every channel; bitmaps stay. */
static void disconnect(MigrationState *ms)
{
    Outgoing *out = &ms->out;
    struct ReturnPath *rp;
    GwChannel *ch;

    preempt_shutdown(ms);
    pthread_mutex_lock(&ms->lock);
    ch = out->channel;
    rp = out->return_path;
    if (ch) {
        gw_channel_shutdown(ch);
    }
    out->channel = NULL;
    pthread_mutex_unlock(&ms->lock);
    return_path_join(rp);
    pthread_mutex_lock(&ms->lock);
    out->return_path = NULL;
    pthread_mutex_unlock(&ms->lock);
    return_path_free(rp);
    preempt_close(ms);
    postcopy_queue_clear(ms);
    g_clear_pointer(&out->writer, stream_writer_free);
    g_clear_pointer(&ch, gw_channel_unref);
}

/*
 * One step under the lock: a pause or yank meant the lost connection if it came before, and means
 * the next one if it comes after.
 */
static void pause_with(MigrationState *ms, GError *why)
{
    Outgoing *out = &ms->out;

    disconnect(ms);
    pthread_mutex_lock(&ms->lock);
    g_clear_error(&out->error);
    out->error = why;
    out->pause_requested = out->yanked = false;
    gw_cancel_free(out->cancel);
    out->cancel = gw_cancel_new();
    out->status = MIGRATION_STATUS_POSTCOPY_PAUSED;
    pthread_cond_broadcast(&out->cond);
    pthread_mutex_unlock(&ms->lock);
    outgoing_status_changed(ms, MIGRATION_STATUS_POSTCOPY_PAUSED);
}

bool gw_migrate_take_back(MigrationState *ms)
{
    PostcopySource *ps;
    LOCK_GUARD(&ms->lock);

    ps = ms->postcopy_source;
    if (!ps || ms->out.status != MIGRATION_STATUS_POSTCOPY_PAUSED || ps->confirmed) {
        return false;
    }
    ps->taken_back = true;
    pthread_cond_broadcast(&ms->out.cond);
    return true;
}

/* Until `migrate` with resume gave an address; false: it never will. */
static bool wait_for_resume(MigrationState *ms, GError **errp)
{
    LOCK_GUARD(&ms->lock);

    while (ms->out.status != MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP && !ms->out.quit &&
           !ms->postcopy_source->taken_back) {
        outgoing_wait(ms, -1);
    }
    if (ms->postcopy_source->taken_back) {
        ms->postcopy_source->handed_over = false;
        gw_fail(errp, GW_ERROR_IO, "the destination did not confirm that it has the guest, and "
                "'cont' took it back: %s", ms->out.error->message);
        g_clear_error(&ms->out.error); /* the new one says it all */
        return false;
    }
    if (ms->out.quit) {
        return gw_fail(errp, GW_ERROR_CANCELLED,
                       "left in postcopy-paused: the guest is the destination's, and pages of "
                       "it are only here");
    }
    g_clear_pointer(&ms->postcopy_source->address, gw_address_free);
    ms->postcopy_source->address = g_steal_pointer(&ms->postcopy_source->resume_address);
    return true;
}

static bool reconnect(MigrationState *ms, GError **errp)
{
    Outgoing *out = &ms->out;
    GwChannel *ch = gw_channel_connect(ms->postcopy_source->address, ms->host.resolve_fd,
                                       ms->host_opaque, out->cancel, errp);

    if (!ch) {
        return false;
    }
    gw_channel_set_name(ch, "main");
    out->writer = stream_writer_new(ch);
    pthread_mutex_lock(&ms->lock);
    out->channel = ch;
    if (out->quit) {
        gw_channel_shutdown(ch); /* outgoing_quit() came before it had a channel to shut */
    }
    pthread_mutex_unlock(&ms->lock);
    return true;
}

static bool bitmaps_came(const PostcopySource *ps)
{
    return ps->bitmaps_missing == 0;
}

static bool resume_was_acked(const PostcopySource *ps)
{
    return ps->resume_acked;
}

/* Until the return path brought it; what ends the wait otherwise is the user's error to see. */
static bool wait_for(MigrationState *ms, bool (*came)(const PostcopySource *ps), GError **errp)
{
    bool ok;

    pthread_mutex_lock(&ms->lock);
    while (!(ok = came(ms->postcopy_source)) && !ms->out.pause_requested &&
           !return_path_news(ms->out.return_path)->ended) {
        outgoing_wait(ms, -1);
    }
    pthread_mutex_unlock(&ms->lock);
    return ok || (postcopy_still_connected(ms, errp) &&
                  gw_fail(errp, GW_ERROR_IO, "the connection broke during the recovery"));
}

/* Asks for one bitmap per block, and waits until all have come. */
static bool fetch_bitmaps(MigrationState *ms, GError **errp)
{
    StreamWriter *w = ms->out.writer;
    PostcopySource *ps = ms->postcopy_source;

    pthread_mutex_lock(&ms->lock);
    ps->bitmaps_missing = 0;
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        ram_block_at(ms, i)->bitmap_expected = ram_block_at(ms, i)->info.used_length > 0;
        ps->bitmaps_missing += ram_block_at(ms, i)->bitmap_expected;
    }
    pthread_mutex_unlock(&ms->lock);
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        const RAMBlock *b = ram_block_at(ms, i);
        const size_t n = strlen(b->info.idstr);
        uint8_t payload[256] = {(uint8_t)n};

        if (b->info.used_length) {
            memcpy(payload + 1, b->info.idstr, n);
            savevm_put_command(w, MIG_CMD_RECV_BITMAP, payload, (uint16_t)(n + 1));
        }
    }
    return stream_flush(w, errp) && wait_for(ms, bitmaps_came, errp);
}

static bool handshake(MigrationState *ms, GError **errp)
{
    if (gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_PREEMPT) && !preempt_open(ms, errp)) {
        return false;
    }
    ram_save_restart(ms);
    savevm_state_reopen(ms);
    savevm_put_command(ms->out.writer, MIG_CMD_POSTCOPY_RESUME, NULL, 0);
    return stream_flush(ms->out.writer, errp) && wait_for(ms, resume_was_acked, errp);
}

static bool resume(MigrationState *ms, GError **errp)
{
    if (!reconnect(ms, errp)) {
        return false;
    }
    outgoing_set_status(ms, MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP,
                        MIGRATION_STATUS_POSTCOPY_RECOVER);
    pthread_mutex_lock(&ms->lock);
    ms->postcopy_source->resume_acked = false;
    ms->out.return_path = return_path_start(ms, ms->out.channel);
    pthread_mutex_unlock(&ms->lock);
    if (!fetch_bitmaps(ms, errp) || !handshake(ms, errp)) {
        return false;
    }
    pthread_mutex_lock(&ms->lock);
    g_clear_error(&ms->out.error);
    pthread_mutex_unlock(&ms->lock);
    return outgoing_set_status(ms, MIGRATION_STATUS_POSTCOPY_RECOVER,
                               MIGRATION_STATUS_POSTCOPY_ACTIVE) ||
           gw_fail(errp, GW_ERROR_IO, "paused by migrate-pause");
}

bool recovery_wait_and_resume(MigrationState *ms, GError *why, GError **errp)
{
    for (;;) {
        GError *err = NULL;

        pause_with(ms, why);
        if (!wait_for_resume(ms, errp)) {
            return false;
        }
        if (resume(ms, &err)) {
            return true;
        }
        why = err;
    }
}

bool recovery_read_bitmap(MigrationState *ms, StreamReader *r, RAMBlock *b, GError **errp)
{
    const uint64_t words = bits_words(ram_block_pages(b));
    g_autofree uint64_t *received = g_new(uint64_t, words);
    uint64_t size, mark;

    pthread_mutex_lock(&ms->lock);
    const bool expected = b->bitmap_expected;
    pthread_mutex_unlock(&ms->lock);
    if (!expected) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "return path: a received bitmap of block '%s' was not asked for",
                       b->info.idstr);
    }
    if (!stream_get_be64(r, &size, errp)) {
        return false;
    }
    if (size != words * sizeof(uint64_t)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "return path: received bitmap of block '%s' has 0x%" PRIx64 " bytes instead "
                       "of 0x%" PRIx64, b->info.idstr, size, words * sizeof(uint64_t));
    }
    if (!stream_get_bytes(r, received, size, errp) || !stream_get_be64(r, &mark, errp)) {
        return false;
    }
    if (mark != RECV_BITMAP_END) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "return path: received bitmap of block '%s' ends in 0x%" PRIx64
                       ", not in its mark", b->info.idstr, mark);
    }
    dirty_bitmap_from_received(b, received);
    postcopy_canonicalise(b); /* a part of a huge page is of no use to a destination */
    pthread_mutex_lock(&ms->lock);
    b->bitmap_expected = false;
    ms->postcopy_source->bitmaps_missing--;
    postcopy_confirm(ms);
    pthread_cond_broadcast(&ms->out.cond);
    pthread_mutex_unlock(&ms->lock);
    return true;
}
