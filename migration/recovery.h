/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pause and recovery, incoming side: recovery-incoming.c. Wire: spec commands 3.4, ram 2.9. */
#ifndef MIGRATION_RECOVERY_H
#define MIGRATION_RECOVERY_H

#include "state.h"

/* Listen thread: RECV_BITMAP of the resuming source: sends the block's bitmap. */
bool recovery_send_bitmap(MigrationState *ms, const uint8_t *payload, uint16_t len, GError **errp);
/* Listen thread: RESUME: acknowledges, repeats the requests that are open. */
bool recovery_resume(MigrationState *ms, GError **errp);
/* Listen thread: closes every channel, enters postcopy-paused with that error (takes ownership) and
 * waits for migrate-recover and the source's connection. A reader of the new main channel, or NULL
 * when the state is being freed. */
StreamReader *recovery_wait(MigrationState *ms, GError *why);

#endif
