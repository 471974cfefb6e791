/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that the guest does not use, told to a precopy so that it need not send them: what a
 * balloon device with free-page-hint passes on. See docs/devel/migration/free-page-hint.
 *
 * Hints are taken while a window is open, which is in the first pass of a migration and at most
 * once. What the guest writes into a hinted page after the window opened is found by the dirty log
 * and sent; so a hint must come from a question that the guest was asked in this window.
 */
#ifndef MIGRATION_FREE_PAGE_H
#define MIGRATION_FREE_PAGE_H

#include "migration/ram.h"

/* Both on the migration thread, without a lock of the engine; must not wait, nor call back. */
typedef struct MigrationFreePageOps {
    size_t size;
    /* Ask the guest: from now on gw_free_page_hint() takes what it answers. */
    void (*open)(void *opaque);
    /* No hint is taken any more and no call that takes one is under way: the guest may use all its
     * pages. Called once for each open, however the migration ends. */
    void (*close)(void *opaque);
} MigrationFreePageOps;

/* One provider of hints; false if there is one. `ops` must stay valid. Machine lock held, while no
 * migration runs. */
bool gw_free_page_register(MigrationState *ms, const MigrationFreePageOps *ops, void *opaque,
                           GError **errp);
void gw_free_page_unregister(MigrationState *ms, void *opaque);

/*
 * The guest does not use `length` bytes from `offset` of the block on, and what they hold means
 * nothing to it. Only whole pages inside of that count. Returns how many bytes are left out that
 * would have been sent: 0 if no window is open. Any thread, never waits for a peer.
 */
uint64_t gw_free_page_hint(MigrationState *ms, RAMBlock *block, uint64_t offset, uint64_t length);

#endif
