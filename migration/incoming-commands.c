/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the commands of the stream do on the incoming side. Incoming thread.
 * Wire: spec commands 3.1 and 3.5.
 */
#include "incoming.h"

#include <string.h>

#include "bits.h"
#include "error.h"
#include "incoming-door.h"
#include "postcopy.h"
#include "return-path.h"
#include "skip-zero.h"
#include "trace.h"

static bool cmd_open_return_path(MigrationState *ms, GError **errp)
{
    if (!gw_channel_has(ms->in.channel, GW_CHANNEL_DUPLEX)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "OPEN_RETURN_PATH: channel 'main' has one direction only; switch the "
                       "source's capability 'return-path' off or use tcp, unix or a socket fd");
    }
    pthread_mutex_lock(&ms->lock);
    ms->in.rp_open = true;
    pthread_mutex_unlock(&ms->lock);
    /* No device here objects to a switchover, so the legacy mode is answered at once. */
    if (gw_capability_get(ms, MIGRATION_CAP_SWITCHOVER_ACK) &&
        gw_compat(ms)->switchover_ack_legacy) {
        return rp_send(ms, MIG_RP_MSG_SWITCHOVER_ACK, NULL, 0, errp);
    }
    return true;
}

/* Whether the source still hears the answer decides nothing: all that it sent may be here, the
 * permission to run too, and then the listen thread finds the broken connection and pauses. If it
 * is not, reading ends the migration. */
static void pong(MigrationState *ms, const uint8_t *payload)
{
    g_autoptr(GError) why = NULL;

    if (!rp_send(ms, MIG_RP_MSG_PONG, payload, 4, &why)) { /* big-endian both ways */
        trace_event(return_path_lost, "PONG: %s", why->message);
    }
}

static bool cmd_ping(MigrationState *ms, const uint8_t *payload, GError **errp)
{
    if (postcopy_state(ms) < POSTCOPY_LISTENING) {
        if (ms->in.door) {
            door_before_pong(ms->in.door, ms->in.listener);
        }
        if (!ms->in.rp_open) {
            return gw_fail(errp, GW_ERROR_PROTOCOL, "PING received without a return path");
        }
        if (load_be32(payload) == PING_ZERO_TARGET) {
            return skip_zero_answer(ms, errp);
        }
    }
    pong(ms, payload);
    return true;
}

static const struct {
    const char *name;
    int len; /* -1: variable */
} commands[MIG_CMD__COUNT] = {
    [MIG_CMD_OPEN_RETURN_PATH] = {"OPEN_RETURN_PATH", 0},
    [MIG_CMD_PING] = {"PING", 4},
    [MIG_CMD_POSTCOPY_ADVISE] = {"POSTCOPY_ADVISE", -1},
    [MIG_CMD_POSTCOPY_LISTEN] = {"POSTCOPY_LISTEN", 0},
    [MIG_CMD_POSTCOPY_RUN] = {"POSTCOPY_RUN", 0},
    [MIG_CMD_POSTCOPY_RAM_DISCARD] = {"POSTCOPY_RAM_DISCARD", -1},
    [MIG_CMD_PACKAGED] = {"PACKAGED", 4},
    [MIG_CMD_POSTCOPY_RESUME] = {"POSTCOPY_RESUME", 0},
    [MIG_CMD_RECV_BITMAP] = {"RECV_BITMAP", -1},
    [MIG_CMD_SWITCHOVER_START] = {"SWITCHOVER_START", 0},
};

bool incoming_command(void *opaque, StreamReader *r, uint16_t cmd, const uint8_t *payload,
                      uint16_t len, bool *quit, GError **errp)
{
    MigrationState *ms = opaque;

    if (cmd >= MIG_CMD__COUNT || !commands[cmd].name) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "MIG_CMD 0x%x unknown (len 0x%x)", cmd, len);
    }
    if (commands[cmd].len >= 0 && commands[cmd].len != len) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "%s received with bad length - expecting %d, got %u", commands[cmd].name,
                       commands[cmd].len, len);
    }
    trace_event(loadvm_command, "%s len %u", commands[cmd].name, len);
    switch (cmd) {
    case MIG_CMD_OPEN_RETURN_PATH:
        return cmd_open_return_path(ms, errp);
    case MIG_CMD_PING:
        return cmd_ping(ms, payload, errp);
    case MIG_CMD_SWITCHOVER_START:
        return true; /* informational */
    default:
        return postcopy_command(ms, r, cmd, payload, len, quit, errp);
    }
}
