/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The RAM section of the source once the guest has left: no dirty log any more, and an order of
 * sending. What was asked for comes first, then what is hinted and what lies behind it, then what
 * the guest wrote in the last round (it will touch that again soon), then the rest in order.
 * Migration thread. Wire: spec
 * ram 2.8 and 2.9.
 */
#include "bits.h"
#include "dirty-bitmap.h"
#include "postcopy-source.h"

/* The next dirty page of the last round. A page source of the search: hints first, then these. */
static bool recent_next(MigrationState *ms, PageRange *range)
{
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        RAMBlock *b = ram_block_at(ms, i);
        const uint64_t end = ram_block_pages(b);
        uint64_t at;

        if (!b->recent) {
            continue;
        }
        for (at = bits_find_set(b->recent, b->recent_at, end); at < end;
             at = bits_find_set(b->recent, at + 1, end)) {
            if (bits_test(b->dirty, at)) {
                b->recent_at = at + 1;
                *range = postcopy_host_page(b, at);
                return true;
            }
        }
        b->recent_at = end;
    }
    return false;
}

static bool hint_or_recent_next(void *opaque, PageRange *range)
{
    MigrationState *ms = opaque;
    RamSave *rs = ms->ram_save;

    if (hint_next(ms, range) || prefetch_ahead_next(ms, range)) {
        return true;
    }
    /* Where the guest is now is better known than where it was. */
    if (!rs->recent_left || page_search_follows(&rs->search)) {
        return false;
    }
    rs->recent_left = recent_next(ms, range);
    return rs->recent_left;
}

void ram_save_enter_postcopy(MigrationState *ms)
{
    RamSave *rs = ms->ram_save;

    rs->in_postcopy = true;
    rs->populated.block = NULL;
    rs->recent_left = true;
    rs->main.block = NULL; /* the discards come in between: names are told anew */
    if (ms->has_dirty_log) {
        ms->host.lock(ms->host_opaque);
        ms->dirty_log.stop(ms->dirty_log_opaque);
        ms->host.unlock(ms->host_opaque);
    }
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        g_clear_pointer(&ram_block_at(ms, i)->unprotected, g_free);
        ram_block_at(ms, i)->recent_at = 0;
    }
    page_search_set_source(&rs->search, PAGE_SOURCE_URGENT, postcopy_queue_next, ms);
    page_search_set_source(&rs->search, PAGE_SOURCE_HINT, hint_or_recent_next, ms);
}

void ram_save_restart(MigrationState *ms)
{
    RamSave *rs = ms->ram_save;

    ram_sender_clear(&rs->main);
    ram_sender_init(&rs->main);
    if (ram_block_count(ms)) {
        page_search_seek(&rs->search, ram_block_at(ms, 0), 0);
    }
}
