/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the rooms of the incoming half. */
#ifndef MIGRATION_INCOMING_H
#define MIGRATION_INCOMING_H

#include "state.h"

/* LoadvmCommandOps.command; opaque is the MigrationState. Incoming thread. */
bool incoming_command(void *opaque, StreamReader *r, uint16_t cmd, const uint8_t *payload,
                      uint16_t len, bool *quit, GError **errp);

/* Changes the status and tells the host. ms->lock not held. */
void incoming_set_status(MigrationState *ms, MigrationStatus to);

/* Tells the trace and the host of a change made under ms->lock; not held here. */
void incoming_status_changed(MigrationState *ms, MigrationStatus to);

/* migrate-pause on this side; false if it is not in postcopy. Any thread. */
bool incoming_pause(MigrationState *ms);

typedef struct IncomingArgs {
    MigrationState *ms;
    GwListener *listener; /* or NULL */
    GwChannel *channel;   /* already connected, or NULL */
} IncomingArgs;

gpointer incoming_thread(gpointer args);

#endif
