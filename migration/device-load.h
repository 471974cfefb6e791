/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The phases of a device load, for one section or many: see device-load.c. */
#ifndef MIGRATION_DEVICE_LOAD_H
#define MIGRATION_DEVICE_LOAD_H

#include "state.h"

typedef struct DeviceLoad DeviceLoad;

/* Batched or not, as the capability says now. */
DeviceLoad *device_load_new(MigrationState *ms);
void device_load_free(DeviceLoad *dl);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DeviceLoad, device_load_free)

/* One FULL section: decodes it and, unless batched, goes through the other phases too. A section
 * that comes again in a batch replaces what it decoded before. Machine lock not held; it is dropped
 * while the stream waits for the peer. */
bool device_load_section(DeviceLoad *dl, SaveStateEntry *se, int version_id, StreamReader *r,
                         GError **errp);
/* The other phases of everything that was only decoded so far, if anything was. Machine lock not
 * held. After a failure the memory map is what it was before. */
bool device_load_finish(DeviceLoad *dl, GError **errp);

#endif
