/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A second thread that looks for zero pages in the first pass, from the end of memory towards the
 * sender. It exists only where zero pages are skipped: nothing has to be said about them, so it
 * does not matter who finds them. What it finds to hold data stays dirty, for the sender.
 */
#ifndef MIGRATION_ZERO_SWEEP_H
#define MIGRATION_ZERO_SWEEP_H

#include "ram-save.h"

/* Migration thread, all of them. */

/* Starts it, if the memory is worth it; rs->sweep. */
void zero_sweep_start(RamSave *rs);
/* The sender is about to take pages of the linear walk, from this one on, up to the next multiple
 * of PAGE_SEARCH_WINDOW: waits while the sweep is at them, and ends it where the two meet. */
void zero_sweep_enter(RamSave *rs, const RAMBlock *b, uint64_t page);
/* Ends it: afterwards the dirty bitmap is complete again. Waits for one chunk at most. */
void zero_sweep_stop(RamSave *rs);

#endif
