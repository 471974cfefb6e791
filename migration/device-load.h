/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The phases of a device load, for one section or many: see device-load.c. */
#ifndef MIGRATION_DEVICE_LOAD_H
#define MIGRATION_DEVICE_LOAD_H

#include "state.h"

typedef struct DeviceLoad DeviceLoad;

DeviceLoad *device_load_new(MigrationState *ms);
void device_load_free(DeviceLoad *dl);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DeviceLoad, device_load_free)

/* Phase 1: decodes one FULL section. A section that comes again replaces what it decoded before.
 * Machine lock not held; it is dropped while the stream waits for the peer. */
bool device_load_decode(DeviceLoad *dl, SaveStateEntry *se, int version_id, StreamReader *r,
                        GError **errp);
/* Phases 2 to 4 of everything decoded so far, then forgets it. Machine lock not held. */
bool device_load_commit(DeviceLoad *dl, GError **errp);

#endif
