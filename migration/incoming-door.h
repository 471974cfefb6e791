/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which connection is which, and which is a stranger's: see incoming-door.c. */
#ifndef MIGRATION_INCOMING_DOOR_H
#define MIGRATION_INCOMING_DOOR_H

#include "state.h"

typedef struct IncomingDoor IncomingDoor;

IncomingDoor *door_new(MigrationState *ms);
void door_free(IncomingDoor *d);
/* Closes every connection that nobody has recognised. */
void door_clear(IncomingDoor *d);

/* The connection that speaks first as a main channel does: at the start of a migration or, with
 * `recovering`, of a recovery. NULL with GW_ERROR_CANCELLED after gw_listener_cancel(). */
GwChannel *door_main(IncomingDoor *d, GwListener *l, bool recovering, GError **errp);
/* Before the first PONG: whoever has connected by now is not the source's preempt channel, which
 * waits for it. */
void door_before_pong(IncomingDoor *d, GwListener *l);
/* Waits until somebody has connected who may be the preempt channel: main's peer, in time. */
bool door_expect_preempt(IncomingDoor *d, GwListener *l, GwChannel *main, int timeout_ms,
                         GError **errp);
/* The first of those that sends a page of a block of ours; further ones may come meanwhile. NULL
 * with an error when none is left, or with GW_ERROR_CANCELLED. */
GwChannel *door_preempt(IncomingDoor *d, GwListener *l, GwChannel *main, GError **errp);

#endif
