/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Free-page hints: clears pages from the dirty bitmap that the guest says it does not use, safely.
 * The window is opened and closed by the migration thread; hints come on a device's thread.
 * FreePage.lock guards `is_open` and makes closing wait for the hint that is being taken; leaf.
 *
 * Why no write is lost. Let O be the opening, W a write to a hinted page after O, H the moment the
 * hint clears the page's bit, S the first harvest of the log.
 *   - Every page is protected before O: W is in the log.
 *   - The window is closed before S: H < S. So S finds W and sets the bit again, whether W came
 *     before H or after.
 * A write before O does not count: the guest answers a question that it was asked after O. Without
 * the first rule a two-step log, which reports what is not protected yet whether it was written or
 * not, would report nothing new; without the second a hint could clear what S has just found.
 *
 * With postcopy-ram there is no window: a page that was neither sent nor is dirty would be waited
 * for at the destination for ever.
 */
#include "free-page.h"

#include "dirty-bitmap.h"
#include "error.h"
#include "migration/free-page.h"
#include "trace.h"

void free_page_init(MigrationState *ms)
{
    pthread_mutex_init(&ms->free_page.lock, NULL);
}

void free_page_destroy(MigrationState *ms)
{
    pthread_mutex_destroy(&ms->free_page.lock);
}

bool gw_free_page_register(MigrationState *ms, const MigrationFreePageOps *ops, void *opaque,
                           GError **errp)
{
    LOCK_GUARD(&ms->free_page.lock);

    if (ms->free_page.ops) {
        return gw_fail(errp, GW_ERROR_GENERIC, "free-page hints come from one device only");
    }
    ms->free_page.ops = ops;
    ms->free_page.opaque = opaque;
    return true;
}

void gw_free_page_unregister(MigrationState *ms, void *opaque)
{
    LOCK_GUARD(&ms->free_page.lock);

    if (ms->free_page.opaque == opaque) {
        ms->free_page.ops = NULL;
        ms->free_page.opaque = NULL;
        ms->free_page.is_open = false;
    }
}

static bool set_open(MigrationState *ms, bool open)
{
    LOCK_GUARD(&ms->free_page.lock);
    const bool was = ms->free_page.is_open;

    ms->free_page.is_open = open;
    return was;
}

static bool protect_all(MigrationState *ms, GError **errp)
{
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        RAMBlock *b = ram_block_at(ms, i);

        if (!b->ignored && !dirty_bitmap_protect(b, 0, ram_block_pages(b), errp)) {
            return false;
        }
    }
    return true;
}

bool free_page_open(MigrationState *ms, GError **errp)
{
    const MigrationFreePageOps *ops = ms->free_page.ops;

    if (!ops || !ms->has_dirty_log || gw_capability_get(ms, MIGRATION_CAP_POSTCOPY_RAM)) {
        return true;
    }
    if (!protect_all(ms, errp)) {
        return false;
    }
    set_open(ms, true);
    STAT_ADD(ms->free_page.counters.windows, 1);
    trace_event(migration_free_page_open, "%" G_GUINT64_FORMAT " bytes to send",
                ram_bytes_remaining(ms));
    ops->open(ms->free_page.opaque);
    return true;
}

void free_page_close(MigrationState *ms)
{
    const FreePageCounters *c = &ms->free_page.counters;

    if (!set_open(ms, false)) {
        return;
    }
    trace_event(migration_free_page_close, "%" G_GUINT64_FORMAT " hints, %" G_GUINT64_FORMAT
                " bytes left out", STAT_GET(c->hints), STAT_GET(c->skipped_bytes));
    ms->free_page.ops->close(ms->free_page.opaque);
}

uint64_t gw_free_page_hint(MigrationState *ms, RAMBlock *block, uint64_t offset, uint64_t length)
{
    FreePageCounters *c = &ms->free_page.counters;
    const uint64_t used = block->info.used_length;
    uint64_t first, end, dropped = 0;

    if (offset >= used) {
        return 0;
    }
    length = MIN(length, used - offset);
    first = (offset + GW_TARGET_PAGE_SIZE - 1) >> GW_TARGET_PAGE_BITS;
    end = (offset + length) >> GW_TARGET_PAGE_BITS;

    LOCK_GUARD(&ms->free_page.lock);
    if (!ms->free_page.is_open || block->ignored) {
        STAT_ADD(c->late_hints, !ms->free_page.is_open);
        return 0;
    }
    if (first < end) {
        dropped = dirty_bitmap_drop(block, first, end - first) << GW_TARGET_PAGE_BITS;
    }
    STAT_ADD(c->hints, 1);
    STAT_ADD(c->skipped_bytes, dropped);
    return dropped;
}
