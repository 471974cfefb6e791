/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dirty bitmap of each RAM block: which target pages are still to be sent.
 *
 * Words are changed with atomic operations only, so that the migration thread, which takes bits,
 * and a thread that syncs or looks at them need no lock. The order that keeps every guest write:
 *
 *     taking thread                          syncing thread
 *     1. take (clear) the page's bit         1. ask the log which pages were written
 *     2. protect its chunk, if need be       2. mark their chunks unprotected
 *     3. read the page                       3. set the pages' bits (release)
 *
 * A write before 3 is in what is read. A write after 2 is in the log, hence dirty at the next sync.
 * A thread that takes a bit (acquire) sees the chunk mark that was made before the bit was set.
 */
#ifndef MIGRATION_DIRTY_BITMAP_H
#define MIGRATION_DIRTY_BITMAP_H

#include "ram-block.h"

/* Two-step logs are protected again in pieces of this many pages (16 MiB). */
#define DIRTY_CHUNK_PAGES UINT64_C(4096)

/* Makes the block's bitmap, all set, and, if the log is a two-step one, all chunks unprotected. */
void dirty_bitmap_init(RAMBlock *b);
void dirty_bitmap_free(RAMBlock *b);

/* Takes the dirty pages of [first, first + n): clears their bits and hands them out, word by word
 * of the bitmap from the one that holds `first`. Returns how many. */
uint64_t dirty_bitmap_take(RAMBlock *b, uint64_t first, uint64_t n, uint64_t *taken);
/* They need not be sent. Returns how many were dirty. Any thread; see free-page.c for when. */
uint64_t dirty_bitmap_drop(RAMBlock *b, uint64_t first, uint64_t n);
/* Makes pages dirty (again). Any thread. */
void dirty_bitmap_set(RAMBlock *b, uint64_t first, uint64_t n);
/* Protects the chunks of [first, first + n) that are marked. After take, before any page is read.
 * One thread at a time while the guest runs: a second one would find a chunk unmarked that the
 * first has not finished. */
bool dirty_bitmap_protect(RAMBlock *b, uint64_t first, uint64_t n, GError **errp);
/* Harvests the log into the bitmap. `scratch` has room for the block. Adds the number of pages that
 * became dirty to *new_pages. One thread at a time. */
bool dirty_bitmap_sync(RAMBlock *b, uint64_t *scratch, uint64_t *new_pages, GError **errp);

/*
 * background-sync: harvests [first, first + n) while a pass runs, and leaves the pass alone. What
 * is still to be sent in it will be read later than this and needs no second time (counted in
 * *skipped; of a two-step log only where a chunk was protected since the log last reported of it,
 * other reports may be old); the rest waits in b->next, which the next dirty_bitmap_sync() takes
 * in. `first` is a multiple of 64, scratch has room for n. Not at the same time as a sync.
 */
bool dirty_bitmap_harvest(RAMBlock *b, uint64_t first, uint64_t n, uint64_t *scratch,
                          uint64_t *new_pages, uint64_t *skipped, GError **errp);

/* Recovery: dirty is what was not received. Nobody else changes the bitmap meanwhile. */
void dirty_bitmap_from_received(RAMBlock *b, const uint64_t *received);

/* The number of dirty pages. Any thread; exact when nobody changes the bitmap. */
static inline uint64_t dirty_bitmap_count(const RAMBlock *b)
{
    return __atomic_load_n(&b->dirty_pages, __ATOMIC_RELAXED);
}

#endif
