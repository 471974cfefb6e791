/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The return path: messages from the destination to the source. Source side: a thread that reads
 * them. Destination side: functions that write one message at a time under in.rp_lock.
 * Wire: spec commands 3.2.
 */
#ifndef MIGRATION_RETURN_PATH_H
#define MIGRATION_RETURN_PATH_H

#include "state.h"

enum {
    MIG_RP_MSG_SHUT = 1,
    MIG_RP_MSG_PONG = 2,
    MIG_RP_MSG_REQ_PAGES_ID = 3,
    MIG_RP_MSG_REQ_PAGES = 4,
    MIG_RP_MSG_RECV_BITMAP = 5,
    MIG_RP_MSG_RESUME_ACK = 6,
    MIG_RP_MSG_SWITCHOVER_ACK = 7,
    MIG_RP_MSG__COUNT,
};

#define MIG_RP_MSG_MAX_LEN 512

/* The PINGs inside a package: behind the devices, and the one whose PONG says that it is loaded. */
#define PING_IN_PACKAGE 3
#define PING_PACKAGE_LOADED 0x42
/* "Is your memory zero?" Who does not know this PING says its value back: no. ("ZERO", "zero") */
#define PING_ZERO_TARGET 0x5a45524f
#define PONG_ZERO_TARGET 0x7a65726f

enum {
    MIG_CMD_OPEN_RETURN_PATH = 1,
    MIG_CMD_PING = 2,
    MIG_CMD_POSTCOPY_ADVISE = 3,
    MIG_CMD_POSTCOPY_LISTEN = 4,
    MIG_CMD_POSTCOPY_RUN = 5,
    MIG_CMD_POSTCOPY_RAM_DISCARD = 6,
    MIG_CMD_PACKAGED = 7,
    MIG_CMD_ENABLE_COLO = 8,
    MIG_CMD_POSTCOPY_RESUME = 9,
    MIG_CMD_RECV_BITMAP = 10,
    MIG_CMD_SWITCHOVER_START = 11,
    MIG_CMD__COUNT,
};

/* ---- source ---- */

typedef struct ReturnPath ReturnPath;

/* What has come so far; a copy. */
typedef struct ReturnPathNews {
    bool ended;          /* no more messages: SHUT, or the channel broke */
    bool shut;           /* SHUT came, with this value */
    uint32_t shut_value;
    bool ponged;         /* PONG 1: the destination has recognised the main channel */
    bool package_loaded; /* PONG 0x42, or PONG 3 of a destination that was not asked */
    bool zero_answered, zero_target; /* PONG to PING_ZERO_TARGET; it said yes */
    int acks;            /* SWITCHOVER_ACKs received */
    GError *error;       /* owned by the return path; why it ended without SHUT */
} ReturnPathNews;

/* Starts reading from the channel; ms->out.cond is signalled whenever there is news. */
ReturnPath *return_path_start(MigrationState *ms, GwChannel *ch);
/* ms->lock held. */
const ReturnPathNews *return_path_news(const ReturnPath *rp);
/* Return-path thread: whether another message has arrived already. */
bool return_path_has_more(MigrationState *ms);
/* Joins the thread; the channel must have ended or been shut down. */
void return_path_join(ReturnPath *rp);
/* Joins, if nobody did, and frees. ms->lock not held, nobody else may look at it any more. */
void return_path_free(ReturnPath *rp);

/* ---- destination ---- */

/* Sends one message; false with *errp if the channel broke. Any thread. */
bool rp_send(MigrationState *ms, uint16_t type, const void *payload, uint16_t len, GError **errp);
/* The same for who holds in.rp_lock, because something has to follow directly. */
bool rp_send_locked(MigrationState *ms, uint16_t type, const void *payload, uint16_t len,
                    GError **errp);
bool rp_send_blob_locked(MigrationState *ms, const void *blob, size_t len, GError **errp);
bool rp_send_u32(MigrationState *ms, uint16_t type, uint32_t value, GError **errp);

#endif
