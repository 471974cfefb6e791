/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The search: sources by rank, and the linear walk over blocks and pages, a word of the bitmap at a
 * time. It looks and does not take: whoever sends takes the bits. Migration thread.
 */
#include "page-search.h"

#include "bits.h"
#include "dirty-bitmap.h"

#define FOLLOW_PAGES UINT64_C(8192) /* 32 MiB */

static bool linear_next(void *opaque, PageRange *range)
{
    PageSearch *ps = opaque;
    const unsigned n = ram_block_count(ps->ms);

    /* Once around, and the part of the first block that lies before the cursor. */
    for (unsigned looked = 0; n && looked <= n; looked++) {
        if (ps->block >= n) {
            ps->block = 0;
            ps->page = 0;
            __atomic_fetch_add(&ps->passes, 1, __ATOMIC_RELAXED);
        }
        RAMBlock *b = ram_block_at(ps->ms, ps->block);
        const uint64_t end = ram_block_pages(b);
        const uint64_t at = dirty_bitmap_count(b) ? bits_find_set(b->dirty, ps->page, end) : end;

        if (at < end) {
            const uint64_t window = (at / PAGE_SEARCH_WINDOW + 1) * PAGE_SEARCH_WINDOW;

            range->block = b;
            range->first = at;
            range->npages = MIN(window, end) - at;
            return true;
        }
        ps->block++;
        ps->page = 0;
    }
    return false;
}

void page_search_init(PageSearch *ps, MigrationState *ms)
{
    *ps = (PageSearch){.ms = ms};
    page_search_set_source(ps, PAGE_SOURCE_LINEAR, linear_next, ps);
}

void page_search_set_source(PageSearch *ps, PageSourceId id, PageSourceFn next, void *opaque)
{
    ps->sources[id].next = next;
    ps->sources[id].opaque = opaque;
}

bool page_search_next(PageSearch *ps, uint64_t max_pages, PageRange *range)
{
    for (int id = 0; id < PAGE_SOURCE__COUNT; id++) {
        if (ps->sources[id].next && ps->sources[id].next(ps->sources[id].opaque, range)) {
            range->source = id;
            range->npages = MIN(range->npages, MAX(max_pages, 1));
            if (id == PAGE_SOURCE_LINEAR) {
                ps->page = range->first + range->npages;
            }
            return true;
        }
    }
    return false;
}

void page_search_seek(PageSearch *ps, const RAMBlock *block, uint64_t page)
{
    for (unsigned i = 0; i < ram_block_count(ps->ms); i++) {
        if (ram_block_at(ps->ms, i) == block) {
            ps->block = i;
            ps->page = page;
            return;
        }
    }
}

void page_search_follow(PageSearch *ps, const RAMBlock *block, uint64_t page)
{
    page_search_seek(ps, block, page);
    ps->follow_block = ps->block;
    ps->follow_from = page;
    ps->follow_to = page + FOLLOW_PAGES;
}

void page_search_follow_on(PageSearch *ps, const RAMBlock *block, uint64_t page)
{
    if (page_search_follows(ps) && ps->block == ram_block_index(block) && page < ps->page &&
        page >= ps->follow_from) {
        ps->follow_to = MAX(ps->follow_to, page + FOLLOW_PAGES);
    } else {
        page_search_follow(ps, block, page);
    }
}

bool page_search_follows(const PageSearch *ps)
{
    return ps->block == ps->follow_block && ps->page >= ps->follow_from &&
           ps->page < ps->follow_to;
}
