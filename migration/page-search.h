/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is sent next: urgent > hinted > linear. Each source is asked in that order for a range of
 * pages in which something may be dirty; the first that has one wins. The linear walk is built in;
 * the other two are whoever sets them (requests and hints of a postcopy).
 * Migration thread, unless a source says otherwise.
 */
#ifndef MIGRATION_PAGE_SEARCH_H
#define MIGRATION_PAGE_SEARCH_H

#include "ram-block.h"

typedef enum PageSourceId {
    PAGE_SOURCE_URGENT, /* a page that the destination waits for */
    PAGE_SOURCE_HINT,   /* a page that it will probably want soon */
    PAGE_SOURCE_LINEAR,
    PAGE_SOURCE__COUNT,
} PageSourceId;

/* Ranges of the linear walk end at multiples of this: 2 MiB, a transparent huge page. */
#define PAGE_SEARCH_WINDOW UINT64_C(512)

typedef struct PageRange {
    RAMBlock *block;
    uint64_t first, npages; /* `first` itself is dirty for the linear walk */
    PageSourceId source;
} PageRange;

/* Fills *range; false if it has nothing. `source` is set by the caller. */
typedef bool (*PageSourceFn)(void *opaque, PageRange *range);

typedef struct PageSearch {
    MigrationState *ms;
    struct {
        PageSourceFn next;
        void *opaque;
    } sources[PAGE_SOURCE__COUNT];
    unsigned block;   /* the linear walk stands here */
    uint64_t page;
    unsigned follow_block; /* page_search_follow(): the walk is where the guest is... */
    uint64_t follow_from, follow_to; /* ...while it is within these pages */
    uint64_t passes;  /* atomic: how often the linear walk went past the last block */
} PageSearch;

void page_search_init(PageSearch *ps, MigrationState *ms);
/* NULL takes the source away. */
void page_search_set_source(PageSearch *ps, PageSourceId id, PageSourceFn next, void *opaque);
/* The next range of at most max_pages pages; false if no source has anything. */
bool page_search_next(PageSearch *ps, uint64_t max_pages, PageRange *range);
/* The linear walk goes on from that page. */
void page_search_seek(PageSearch *ps, const RAMBlock *block, uint64_t page);
/* The same after a page that the destination asked for: the guest is there. */
void page_search_follow(PageSearch *ps, const RAMBlock *block, uint64_t page);
/* The same, unless the linear walk is in front of that page because of an earlier one. */
void page_search_follow_on(PageSearch *ps, const RAMBlock *block, uint64_t page);
/* Whether the linear walk is still close behind the last page_search_follow(). */
bool page_search_follows(const PageSearch *ps);

#endif
