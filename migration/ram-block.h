/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RAMBlocks inside the engine: sizes in pages, the list, and freeing. The list changes under the
 * machine lock only, and not while a migration runs. */
#ifndef MIGRATION_RAM_BLOCK_H
#define MIGRATION_RAM_BLOCK_H

#include "state.h"

/* Target pages in use, and at most. */
static inline uint64_t ram_block_pages(const RAMBlock *b)
{
    return b->info.used_length >> GW_TARGET_PAGE_BITS;
}

static inline uint64_t ram_block_max_pages(const RAMBlock *b)
{
    return b->info.max_length >> GW_TARGET_PAGE_BITS;
}

static inline uint8_t *ram_block_page(const RAMBlock *b, uint64_t page)
{
    return b->info.host + (page << GW_TARGET_PAGE_BITS);
}

/* Memory that reads as zeros until it is first written, and that nobody else maps. */
static inline bool ram_block_is_private_anonymous(const RAMBlock *b)
{
    return b->info.fd < 0 && !(b->info.flags & (RAM_BLOCK_SHARED | RAM_BLOCK_NAMED_FILE));
}

/* Notes for one migration which blocks x-ignore-shared leaves to the file that both ends map. */
static inline void ram_block_set_ignored(RAMBlock *b)
{
    const uint32_t shared_file = RAM_BLOCK_SHARED | RAM_BLOCK_NAMED_FILE;

    b->ignored = (b->info.flags & shared_file) == shared_file &&
                 gw_capability_get(b->ms, MIGRATION_CAP_X_IGNORE_SHARED);
}

static inline unsigned ram_block_count(const MigrationState *ms)
{
    return ms->ram_blocks ? ms->ram_blocks->len : 0;
}

static inline RAMBlock *ram_block_at(const MigrationState *ms, unsigned i)
{
    return g_ptr_array_index(ms->ram_blocks, i);
}

static inline unsigned ram_block_index(const RAMBlock *b)
{
    return b->index;
}

/* ram-drop.c: gives [offset, offset + len) bytes back to the kernel, whole host pages; false with
 * *errp where that cannot be. */
bool ram_block_can_drop(const RAMBlock *b, GError **errp);
bool ram_block_drop(const RAMBlock *b, uint64_t offset, uint64_t len, GError **errp);

/* The list's free function; the array may also be freed with blocks in it. */
void ram_block_free(gpointer block);

#endif
