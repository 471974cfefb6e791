/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XBZRLE at the source: a page that was sent before goes out as the bytes that changed, if its last
 * version is still in the cache. Migration thread only: never in postcopy, and not in the first
 * pass, in which nothing was sent before. Wire: spec ram 2.2 and 2.6.
 */
#ifndef MIGRATION_RAM_XBZRLE_H
#define MIGRATION_RAM_XBZRLE_H

#include "ram-save.h"

/* Makes rs->xbzrle if the capability is on. */
bool ram_xbzrle_setup(RamSave *rs, GError **errp);
void ram_xbzrle_free(RamSave *rs);
/* Whether the pages that are put now go through it. */
bool ram_xbzrle_active(const RamSave *rs);
/* Puts a page that is not zero; false: the caller puts it as it is, as a reference. *normal: it was
 * put here, but as a whole page. */
bool ram_xbzrle_put(RamSave *rs, RamSender *s, StreamWriter *w, const RAMBlock *b, uint64_t page,
                    bool *normal);
/* The page was put as a zero page. */
void ram_xbzrle_note_zero(RamSave *rs, const RAMBlock *b, uint64_t page);
/* Between two PARTs: follows xbzrle-cache-size. */
void ram_xbzrle_follow_size(RamSave *rs);
/* At the end of a pass: the rates of query-migrate. */
void ram_xbzrle_measure(RamSave *rs);

#endif
