/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Source side of the return path. The return-path thread blocks on the main channel's other
 * direction; what it learns it stores under ms->lock and signals out.cond. Every message is
 * hostile input: the source holds the only good copy of the guest.
 * Wire: spec commands 3.2 (be16 type, be16 length, payload).
 */
#include "return-path.h"

#include <string.h>

#include "error.h"
#include "trace.h"

struct ReturnPath {
    MigrationState *ms;
    GThread *thread;
    StreamReader *reader; /* return-path thread */
    ReturnPathNews news;  /* ms->lock */
};

static const struct {
    const char *name;
    int len; /* -1: variable */
} rp_messages[MIG_RP_MSG__COUNT] = {
    [MIG_RP_MSG_SHUT] = {"SHUT", 4},
    [MIG_RP_MSG_PONG] = {"PONG", 4},
    [MIG_RP_MSG_REQ_PAGES_ID] = {"REQ_PAGES_ID", -1},
    [MIG_RP_MSG_REQ_PAGES] = {"REQ_PAGES", 12},
    [MIG_RP_MSG_RECV_BITMAP] = {"RECV_BITMAP", -1},
    [MIG_RP_MSG_RESUME_ACK] = {"RESUME_ACK", 4},
    [MIG_RP_MSG_SWITCHOVER_ACK] = {"SWITCHOVER_ACK", 0},
};

static uint32_t be32_at(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return GUINT32_FROM_BE(v);
}

static bool read_message(ReturnPath *rp, uint16_t *type, uint8_t *payload, uint16_t *len,
                         GError **errp)
{
    if (!stream_get_be16(rp->reader, type, errp) || !stream_get_be16(rp->reader, len, errp)) {
        g_prefix_error(errp, "return path: ");
        return false;
    }
    if (*type == 0 || *type >= MIG_RP_MSG__COUNT || *len > MIG_RP_MSG_MAX_LEN) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "return path: Received invalid message 0x%04x length 0x%04x", *type, *len);
    }
    if (rp_messages[*type].len >= 0 && rp_messages[*type].len != *len) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "return path: Received '%s' message (0x%04x) with incorrect length %u, "
                       "expecting %d", rp_messages[*type].name, *type, *len, rp_messages[*type].len);
    }
    return stream_get_bytes(rp->reader, payload, *len, errp);
}

/* False ends the thread: SHUT, or an error in *errp. */
static bool handle_message(ReturnPath *rp, uint16_t type, const uint8_t *payload, GError **errp)
{
    MigrationState *ms = rp->ms;
    LOCK_GUARD(&ms->lock);

    trace_event(return_path_message, "%s", rp_messages[type].name);
    switch (type) {
    case MIG_RP_MSG_SHUT:
        rp->news.shut = true;
        rp->news.shut_value = be32_at(payload);
        return false;
    case MIG_RP_MSG_PONG:
        rp->news.ponged = true;
        rp->news.last_pong = be32_at(payload);
        break;
    case MIG_RP_MSG_SWITCHOVER_ACK:
        rp->news.acks++;
        break;
    default:
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "return path: %s was not asked for in a precopy migration",
                       rp_messages[type].name);
    }
    pthread_cond_broadcast(&ms->out.cond);
    return true;
}

static gpointer return_path_thread(gpointer opaque)
{
    ReturnPath *rp = opaque;
    MigrationState *ms = rp->ms;
    uint8_t payload[MIG_RP_MSG_MAX_LEN];
    GError *err = NULL;
    uint16_t type, len;

    while (read_message(rp, &type, payload, &len, &err) &&
           handle_message(rp, type, payload, &err)) {
    }
    pthread_mutex_lock(&ms->lock);
    rp->news.ended = true;
    rp->news.error = err;
    pthread_cond_broadcast(&ms->out.cond);
    pthread_mutex_unlock(&ms->lock);
    return NULL;
}

ReturnPath *return_path_start(MigrationState *ms, GwChannel *ch)
{
    ReturnPath *rp = g_new0(ReturnPath, 1);

    rp->ms = ms;
    rp->reader = stream_reader_new(ch);
    rp->thread = g_thread_new("mig/src/rp", return_path_thread, rp);
    return rp;
}

const ReturnPathNews *return_path_news(const ReturnPath *rp)
{
    return &rp->news;
}

void return_path_free(ReturnPath *rp)
{
    if (!rp) {
        return;
    }
    g_thread_join(rp->thread);
    stream_reader_free(rp->reader);
    g_clear_error(&rp->news.error);
    g_free(rp);
}
