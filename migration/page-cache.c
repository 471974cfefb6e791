/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page cache of XBZRLE: a table of places and the pages themselves, which the kernel backs as
 * they are written. The migration thread owns it; no lock. Spec: ram 2.6.
 */
#include "page-cache.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "migration/ram.h"

/* Passes for which a page keeps its place against another one. */
#define KEEP_PASSES 2

typedef struct Place {
    uint64_t key_plus_1; /* 0: empty */
    uint64_t used;
} Place;

struct PageCache {
    uint64_t size, places; /* bytes; a power of two */
    Place *table;
    uint8_t *pages;
};

PageCache *page_cache_new(uint64_t bytes, GError **errp)
{
    g_autoptr(PageCache) c = g_new0(PageCache, 1);

    c->size = bytes;
    c->places = bytes >> GW_TARGET_PAGE_BITS;
    c->pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c->pages == MAP_FAILED) {
        c->pages = NULL;
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno,
                      "xbzrle: a cache of %" PRIu64 " bytes; make xbzrle-cache-size smaller",
                      bytes);
        return NULL;
    }
    c->table = g_try_new0(Place, c->places);
    if (!c->table) {
        gw_fail(errp, GW_ERROR_GENERIC,
                "xbzrle: no memory for the table of a cache of %" PRIu64 " bytes; make "
                "xbzrle-cache-size smaller", bytes);
        return NULL;
    }
    return g_steal_pointer(&c);
}

void page_cache_free(PageCache *c)
{
    if (!c) {
        return;
    }
    if (c->pages) {
        munmap(c->pages, c->size);
    }
    g_free(c->table);
    g_free(c);
}

uint64_t page_cache_size(const PageCache *c)
{
    return c->size;
}

static uint8_t *page_at(const PageCache *c, uint64_t place)
{
    return c->pages + (place << GW_TARGET_PAGE_BITS);
}

uint8_t *page_cache_get(PageCache *c, uint64_t key, uint64_t now)
{
    const uint64_t place = key & (c->places - 1);

    if (c->table[place].key_plus_1 != key + 1) {
        return NULL;
    }
    c->table[place].used = now;
    return page_at(c, place);
}

uint8_t *page_cache_claim(PageCache *c, uint64_t key, uint64_t now)
{
    const uint64_t place = key & (c->places - 1);
    Place *p = &c->table[place];

    if (p->key_plus_1 && p->key_plus_1 != key + 1 && p->used + KEEP_PASSES > now) {
        return NULL;
    }
    *p = (Place){key + 1, now};
    return page_at(c, place);
}

void page_cache_copy(PageCache *to, const PageCache *from)
{
    for (uint64_t i = 0; i < from->places; i++) {
        const Place *p = &from->table[i];
        Place *q;
        uint64_t place;

        if (!p->key_plus_1) {
            continue;
        }
        place = (p->key_plus_1 - 1) & (to->places - 1);
        q = &to->table[place];
        if (!q->key_plus_1 || q->used < p->used) {
            *q = *p;
            memcpy(page_at(to, place), page_at(from, i), GW_TARGET_PAGE_SIZE);
        }
    }
}
