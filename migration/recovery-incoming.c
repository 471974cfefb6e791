/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pause and recovery, incoming side. A broken channel after LISTEN closes all channels and waits;
 * vCPUs, or a device load, that need a missing page wait with it. migrate-recover listens again,
 * the source connects, asks what has arrived, and goes on with the rest. Listen thread.
 * Wire: spec commands 3.4, ram 2.9 (the bitmap is little-endian).
 */
#include "recovery.h"

#include "error.h"
#include "incoming-door.h"
#include "incoming.h"
#include "postcopy.h"
#include "return-path.h"
#include "trace.h"

#define RECV_BITMAP_END UINT64_C(0x0123456789ABCDEF)

bool recovery_send_bitmap(MigrationState *ms, const uint8_t *payload, uint16_t len, GError **errp)
{
    char id[256];
    RAMBlock *b;
    bool ok;

    if (len < 2 || payload[0] != len - 1) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "RECV_BITMAP: bad length %u", len);
    }
    memcpy(id, payload + 1, payload[0]);
    id[payload[0]] = '\0';
    b = gw_ram_block_find(ms, id);
    if (!b || postcopy_state(ms) < POSTCOPY_LISTENING) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "RECV_BITMAP: %s '%s'",
                       b ? "not in postcopy with block" : "unknown block", id);
    }
    const uint64_t words = bits_words(ram_block_pages(b));
    g_autofree uint8_t *blob = g_malloc(16 + words * 8);

    store_be64(blob, words * 8);
    for (uint64_t i = 0; i < words; i++) {
        const uint64_t le =
            GUINT64_TO_LE(__atomic_load_n(&b->received[i], __ATOMIC_ACQUIRE));

        memcpy(blob + 8 + i * 8, &le, 8);
    }
    store_be64(blob + 8 + words * 8, RECV_BITMAP_END);
    /* The blob follows its message directly: nobody else may write in between. */
    pthread_mutex_lock(&ms->in.rp_lock);
    ok = rp_send_locked(ms, MIG_RP_MSG_RECV_BITMAP, payload, len, errp) &&
         rp_send_blob_locked(ms, blob, 16 + words * 8, errp);
    pthread_mutex_unlock(&ms->in.rp_lock);
    return ok;
}

bool recovery_resume(MigrationState *ms, GError **errp)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    MigrationStatus status;
    bool paused;

    pthread_mutex_lock(&ms->lock);
    paused = pi->paused;
    pthread_mutex_unlock(&ms->lock);
    if (!paused) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "POSTCOPY_RESUME, but nothing was paused");
    }
    if (gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_PREEMPT) &&
        (!postcopy_accept_preempt(ms, errp) || !postcopy_preempt_start(ms, errp))) {
        return false;
    }
    pthread_mutex_lock(&ms->lock);
    pi->paused = false;
    g_clear_error(&ms->in.error);
    status = ms->in.status = pi->state == POSTCOPY_RUNNING ? MIGRATION_STATUS_POSTCOPY_ACTIVE
                                                           : MIGRATION_STATUS_POSTCOPY_DEVICE;
    pthread_cond_broadcast(&ms->in.cond);
    pthread_mutex_unlock(&ms->lock);
    incoming_status_changed(ms, status);
    return rp_send_u32(ms, MIG_RP_MSG_RESUME_ACK, 1, errp) && postcopy_request_again(ms, errp) &&
           postcopy_faults_restart(ms, errp);
}

static void disconnect(MigrationState *ms, GError *why)
{
    PostcopyIncoming *pi = ms->postcopy_incoming;
    GwChannel *ch;
    GwListener *l;

    pthread_mutex_lock(&ms->lock);
    pi->paused = true;
    ms->in.rp_open = false;
    ch = g_steal_pointer(&ms->in.channel);
    l = g_steal_pointer(&ms->in.listener);
    if (ch) {
        gw_channel_shutdown(ch);
    }
    g_clear_error(&ms->in.error);
    ms->in.error = why;
    ms->in.pause_requested = ms->in.yanked = false;
    pthread_mutex_unlock(&ms->lock);
    postcopy_preempt_join(ms);
    g_clear_pointer(&pi->reader, stream_reader_free);
    if (ch) {
        gw_channel_unref(ch);
    }
    if (l) {
        gw_listener_free(l);
    }
    /* What the preempt thread said while it was shut down is no news of the next connection. */
    pthread_mutex_lock(&ms->lock);
    g_clear_error(&pi->broken);
    pthread_mutex_unlock(&ms->lock);
    /* The next connection knows nothing of what this one asked for last. */
    pthread_mutex_lock(&ms->in.rp_lock);
    pi->asked_block = NULL;
    pthread_mutex_unlock(&ms->in.rp_lock);
}

/* The listener of migrate-recover; NULL when the state is being freed. */
static GwListener *wait_for_listener(MigrationState *ms)
{
    LOCK_GUARD(&ms->lock);

    while (!ms->in.listener && !ms->in.abort_requested && !ms->postcopy_incoming->give_up) {
        pthread_cond_wait(&ms->in.cond, &ms->lock);
    }
    return ms->in.abort_requested || ms->postcopy_incoming->give_up ? NULL : ms->in.listener;
}

/* False: it comes too late, there is a newer address to listen on, or the state is being freed. */
static bool take_connection(MigrationState *ms, GwChannel *ch)
{
    LOCK_GUARD(&ms->lock);

    if (ms->in.next_listener || ms->in.abort_requested) {
        return false;
    }
    gw_channel_set_name(ch, "main");
    ms->in.channel = ch;
    ms->in.rp_open = true;
    return true;
}

StreamReader *recovery_wait(MigrationState *ms, GError *why)
{
    GwListener *l;

    trace_event(postcopy_pause_incoming, "%s", why->message);
    disconnect(ms, why);
    if (!ms->in.door) {
        ms->in.door = door_new(ms); /* the first connection came without a listener */
    }
    incoming_set_status(ms, MIGRATION_STATUS_POSTCOPY_PAUSED);
    while ((l = wait_for_listener(ms))) {
        g_autoptr(GError) err = NULL;
        GwChannel *ch = door_main(ms->in.door, l, true, &err);

        if (ch && take_connection(ms, ch)) {
            incoming_set_status(ms, MIGRATION_STATUS_POSTCOPY_RECOVER);
            return stream_reader_new(ch);
        }
        g_clear_pointer(&ch, gw_channel_unref);
        pthread_mutex_lock(&ms->lock);
        ms->in.listener = g_steal_pointer(&ms->in.next_listener);
        pthread_mutex_unlock(&ms->lock);
        gw_listener_free(l);
    }
    return NULL;
}
