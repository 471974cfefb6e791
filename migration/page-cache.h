/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last sent versions of some pages, for XBZRLE. Direct mapped: a page has one place, by its
 * number, and shares it with others; who is there and was used lately stays. One thread.
 * Spec: ram 2.6.
 */
#ifndef MIGRATION_PAGE_CACHE_H
#define MIGRATION_PAGE_CACHE_H

#include <stdint.h>

#include <glib.h>

typedef struct PageCache PageCache;

/* `bytes` is a power of two, at least a page; memory is taken as pages are put in. NULL with *errp
 * if the address space or the table of places is not to be had. */
PageCache *page_cache_new(uint64_t bytes, GError **errp);
void page_cache_free(PageCache *c);
/* Bytes, as given. */
uint64_t page_cache_size(const PageCache *c);
/* The version of page `key` that is kept, to be read and overwritten, or NULL. `now` is a clock
 * that counts passes. */
uint8_t *page_cache_get(PageCache *c, uint64_t key, uint64_t now);
/* Room for page `key`, which is not kept; NULL if its place belongs to a page that was used in this
 * pass or the one before. The caller fills it. */
uint8_t *page_cache_claim(PageCache *c, uint64_t key, uint64_t now);
/* Copies what fits; where two pages meet, the one used last stays. */
void page_cache_copy(PageCache *to, const PageCache *from);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PageCache, page_cache_free)

#endif
