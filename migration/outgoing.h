/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the rooms of the outgoing half: migration.c, migration-thread.c, switchover.c,
 * query.c. */
#ifndef MIGRATION_OUTGOING_H
#define MIGRATION_OUTGOING_H

#include "state.h"

/* Whether a status means that a migration is under way. */
bool outgoing_status_is_running(MigrationStatus s);
bool outgoing_status_is_postcopy(MigrationStatus s);
/* Whether the capabilities ask for a return path. */
bool outgoing_wants_return_path(MigrationState *ms);
/* Any thread; takes ms->lock. */
bool outgoing_is_running(MigrationState *ms);
MigrationStatus outgoing_status(MigrationState *ms);

/* Changes the status if it is `from` now (compare and swap); tells the host. ms->lock not held. */
bool outgoing_set_status(MigrationState *ms, MigrationStatus from, MigrationStatus to);

/* Tells the trace and the host of a change made under ms->lock; not held here. */
void outgoing_status_changed(MigrationState *ms, MigrationStatus to);
/* Keeps the first error; takes ownership. */
void outgoing_set_error(MigrationState *ms, GError *err);
bool outgoing_cancel_requested(MigrationState *ms);
/* Waits on out.cond until the deadline (ns), or -1 for ever; ms->lock held. */
bool outgoing_wait(MigrationState *ms, int64_t deadline_ns);

/* Ends a migration thread that waits in postcopy-paused; for gw_migration_free. */
void outgoing_quit(MigrationState *ms);

/* migration-thread.c: what runs on the migration thread. */
typedef struct OutgoingArgs {
    MigrationState *ms;
    GwAddress *addr;    /* to connect to, or NULL */
    GwChannel *channel; /* already connected, or NULL */
} OutgoingArgs;

gpointer migration_thread(gpointer args);

/* switchover.c: from the decision to switch over until the destination owns the guest. Migration
 * thread. On false the guest may run here again, unless out.handed_over. */
bool migration_switchover(MigrationState *ms, StreamWriter *w, GError **errp);

#endif
