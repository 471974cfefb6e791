/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Source side of the return path. The return-path thread blocks on the main channel's other
 * direction; what it learns it stores under ms->lock and signals out.cond. In postcopy it serves
 * page requests (postcopy-requests.c), with preempt all the way to the socket. Every message is
 * hostile input: the source holds the only good copy of the guest. Wire: spec commands 3.2 (be16
 * type, be16 length, payload).
 */
#include "return-path.h"

#include <string.h>

#include "bits.h"
#include "error.h"
#include "postcopy-source.h"
#include "trace.h"

struct ReturnPath {
    MigrationState *ms;
    GThread *thread;
    StreamReader *reader; /* return-path thread */
    RAMBlock *asked_block; /* return-path thread: of the last REQ_PAGES_ID */
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
                       "expecting %d", rp_messages[*type].name, *type, *len,
                       rp_messages[*type].len);
    }
    return stream_get_bytes(rp->reader, payload, *len, errp);
}

/* The block that a message names: payload[at] is the length of the name. */
static RAMBlock *named_block(MigrationState *ms, const char *what, const uint8_t *payload,
                             uint16_t at, uint16_t len, GError **errp)
{
    char id[256];
    RAMBlock *b;

    if (len <= at || payload[at] == 0 || len != at + 1 + payload[at]) {
        gw_fail(errp, GW_ERROR_PROTOCOL, "return path: %s with a bad length %u", what, len);
        return NULL;
    }
    memcpy(id, payload + at + 1, payload[at]);
    id[payload[at]] = '\0';
    b = gw_ram_block_find(ms, id);
    if (!b) {
        gw_fail(errp, GW_ERROR_PROTOCOL, "return path: %s for unknown block '%s'", what, id);
    }
    return b;
}

static bool handle_request(ReturnPath *rp, uint16_t type, const uint8_t *payload, uint16_t len,
                           GError **errp)
{
    MigrationState *ms = rp->ms;
    bool handed_over;

    pthread_mutex_lock(&ms->lock);
    handed_over = ms->postcopy_source && ms->postcopy_source->handed_over;
    postcopy_confirm(ms);
    pthread_mutex_unlock(&ms->lock);
    if (!handed_over) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "return path: a page was requested, but the migration is not in postcopy");
    }
    if (type == MIG_RP_MSG_REQ_PAGES_ID) {
        rp->asked_block = named_block(ms, "REQ_PAGES_ID", payload, 12, len, errp);
    } else if (!rp->asked_block) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "return path: REQ_PAGES before any REQ_PAGES_ID named a block");
    }
    return rp->asked_block && postcopy_request(ms, rp->asked_block, load_be64(payload),
                                               load_be32(payload + 8), errp);
}

static bool handle_bitmap(ReturnPath *rp, const uint8_t *payload, uint16_t len, GError **errp)
{
    RAMBlock *b = named_block(rp->ms, "RECV_BITMAP", payload, 0, len, errp);

    return b && recovery_read_bitmap(rp->ms, rp->reader, b, errp);
}

static void handle_pong(ReturnPath *rp, uint32_t value)
{
    LOCK_GUARD(&rp->ms->lock);

    rp->news.ponged = true;
    if (value == PING_IN_PACKAGE || value == PING_PACKAGE_LOADED) {
        postcopy_confirm(rp->ms);
    }
    if (value == PING_PACKAGE_LOADED) {
        rp->news.package_loaded = true;
    }
    if (value == PING_ZERO_TARGET || value == PONG_ZERO_TARGET) {
        rp->news.zero_answered = true;
        rp->news.zero_target = value == PONG_ZERO_TARGET;
    }
    pthread_cond_broadcast(&rp->ms->out.cond);
}

static bool handle_resume_ack(ReturnPath *rp, uint32_t value, GError **errp)
{
    MigrationState *ms = rp->ms;
    LOCK_GUARD(&ms->lock);

    if (value != 1 || ms->out.status != MIGRATION_STATUS_POSTCOPY_RECOVER) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "return path: RESUME_ACK %u was not expected in state %s", value,
                       gw_migration_status_name(ms->out.status));
    }
    ms->postcopy_source->resume_acked = true;
    pthread_cond_broadcast(&ms->out.cond);
    return true;
}

/* SHUT is the last message; *end tells. */
static void handle_shut(ReturnPath *rp, uint32_t value)
{
    LOCK_GUARD(&rp->ms->lock);

    rp->news.shut = true;
    rp->news.shut_value = value;
}

static void handle_switchover_ack(ReturnPath *rp)
{
    LOCK_GUARD(&rp->ms->lock);

    rp->news.acks++;
    pthread_cond_broadcast(&rp->ms->out.cond);
}

/* False ends the thread: SHUT, or an error in *errp. */
static bool handle_message(ReturnPath *rp, uint16_t type, const uint8_t *payload, uint16_t len,
                           GError **errp)
{
    trace_event(return_path_message, "%s", rp_messages[type].name);
    switch (type) {
    case MIG_RP_MSG_SHUT:
        handle_shut(rp, load_be32(payload));
        return false;
    case MIG_RP_MSG_PONG:
        handle_pong(rp, load_be32(payload));
        return true;
    case MIG_RP_MSG_SWITCHOVER_ACK:
        handle_switchover_ack(rp);
        return true;
    case MIG_RP_MSG_REQ_PAGES_ID:
    case MIG_RP_MSG_REQ_PAGES:
        return handle_request(rp, type, payload, len, errp);
    case MIG_RP_MSG_RECV_BITMAP:
        return handle_bitmap(rp, payload, len, errp);
    default:
        return handle_resume_ack(rp, load_be32(payload), errp);
    }
}

static gpointer return_path_thread(gpointer opaque)
{
    ReturnPath *rp = opaque;
    MigrationState *ms = rp->ms;
    uint8_t payload[MIG_RP_MSG_MAX_LEN];
    GError *err = NULL;
    uint16_t type, len;

    while (read_message(rp, &type, payload, &len, &err) &&
           handle_message(rp, type, payload, len, &err)) {
    }
    pthread_mutex_lock(&ms->lock);
    rp->news.ended = true;
    rp->news.error = err;
    /* The peer need not read any more: a write that waits for it would wait for ever. */
    if (err && ms->out.channel && ms->postcopy_source && ms->postcopy_source->handed_over) {
        gw_channel_shutdown(ms->out.channel);
    }
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

bool return_path_has_more(MigrationState *ms)
{
    ReturnPath *rp;
    const uint8_t *bytes;

    pthread_mutex_lock(&ms->lock);
    rp = ms->out.return_path;
    pthread_mutex_unlock(&ms->lock);
    return stream_buffered(rp->reader, &bytes) > 0 ||
           gw_channel_wait_readable(stream_reader_channel(rp->reader), 0, NULL) > 0;
}

void return_path_join(ReturnPath *rp)
{
    if (rp) {
        g_clear_pointer(&rp->thread, g_thread_join);
    }
}

void return_path_free(ReturnPath *rp)
{
    if (!rp) {
        return;
    }
    return_path_join(rp);
    stream_reader_free(rp->reader);
    g_clear_error(&rp->news.error);
    g_free(rp);
}
