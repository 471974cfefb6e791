/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dirty log that the engine gets: the accelerator's, and on top of it the pages that devices
 * write through memory_write(), which the accelerator cannot see.
 */
#ifndef SYSTEM_DIRTY_LOG_H
#define SYSTEM_DIRTY_LOG_H

#include "machine.h"

typedef struct DirtyTracker DirtyTracker;

DirtyTracker *dirty_tracker_new(void);
void dirty_tracker_free(DirtyTracker *t);
/* A MemoryWriteHook; opaque is the DirtyTracker. */
void dirty_tracker_mark(void *opaque, RAMBlock *block, uint64_t offset, uint64_t len);
/* Fills *ops for this machine's accelerator; the opaque is the Machine. False: no dirty log. */
bool machine_dirty_log_ops(Machine *m, MigrationDirtyLogOps *ops);

#endif
