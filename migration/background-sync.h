/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * background-sync: a watcher thread that looks for dirty pages while a pass over memory runs for
 * long, so that the guest is slowed down before the pass ends. Migration thread.
 */
#ifndef MIGRATION_BACKGROUND_SYNC_H
#define MIGRATION_BACKGROUND_SYNC_H

#include "migration/ram.h"

typedef struct BackgroundSync BackgroundSync;

/* Starts the watcher if the capability is on; NULL if not. The RAM section is set up. */
BackgroundSync *background_sync_start(MigrationState *ms);
/* Wakes, joins and frees it: returns when what it harvests at the moment is in, within
 * milliseconds. NULL is fine. No lock held. */
void background_sync_stop(BackgroundSync *bs);

#endif
