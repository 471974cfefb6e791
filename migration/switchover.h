/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps of the switchover that precopy and postcopy share; migration thread. */
#ifndef MIGRATION_SWITCHOVER_H
#define MIGRATION_SWITCHOVER_H

#include "outgoing.h"

/* Pauses the guest for good or until the migration fails; remembers what it was. */
bool switchover_stop_guest(MigrationState *ms, GError **errp);
/* active -> [pre-switchover, until somebody continues ->] device. */
bool switchover_pause(MigrationState *ms, GError **errp);
/* END of all RAM that does not go on in postcopy: the last sync and the last pages. */
bool switchover_send_last_pages(MigrationState *ms, StreamWriter *w, bool in_postcopy,
                                GError **errp);
/* Blocks until SHUT or the end of the return path. */
bool switchover_wait_for_shut(MigrationState *ms, GError **errp);

#endif
