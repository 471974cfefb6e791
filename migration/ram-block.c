/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of RAM blocks, largest first: that is the order in which they are announced and sent.
 * Machine lock for changes; fixed while a migration runs, so that its threads read it without one.
 */
#include "ram-block.h"

#include <inttypes.h>
#include <string.h>

#include "error.h"

static bool check_info(MigrationState *ms, const RAMBlockInfo *info, GError **errp)
{
    const uint64_t mask = GW_TARGET_PAGE_SIZE - 1;
    const size_t len = info->idstr ? strlen(info->idstr) : 0;

    if (len < 1 || len > 255) {
        return gw_fail(errp, GW_ERROR_GENERIC, "RAM block name of %zu bytes: 1 to 255 are possible",
                       len);
    }
    if (gw_ram_block_find(ms, info->idstr)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "RAM block '%s' exists already", info->idstr);
    }
    if (!info->host || ((uintptr_t)info->host & mask) ||
        ((info->used_length | info->max_length) & mask)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "RAM block '%s': its memory and lengths must be multiples of %zu bytes",
                       info->idstr, GW_TARGET_PAGE_SIZE);
    }
    if (info->used_length > info->max_length ||
        (info->used_length != info->max_length && !(info->flags & RAM_BLOCK_RESIZABLE))) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "RAM block '%s': length 0x%" PRIx64 " does not fit its maximum 0x%" PRIx64,
                       info->idstr, info->used_length, info->max_length);
    }
    return true;
}

void ram_block_free(gpointer block)
{
    RAMBlock *b = block;

    if (!b) {
        return;
    }
    g_free((char *)b->info.idstr);
    g_free(b->dirty);
    g_free(b->unprotected);
    g_free(b->received);
    g_free(b->known_zero);
    g_free(b->recent);
    g_free(b->next);
    g_free(b->news);
    g_free(b->news_seen);
    g_free(b);
}

static void renumber(MigrationState *ms)
{
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        ram_block_at(ms, i)->index = i;
    }
}

RAMBlock *gw_ram_block_add(MigrationState *ms, const RAMBlockInfo *info, GError **errp)
{
    RAMBlock *b;
    unsigned at = 0;

    if (!check_info(ms, info, errp)) {
        return NULL;
    }
    b = g_new0(RAMBlock, 1);
    b->info = *info;
    b->info.idstr = g_strdup(info->idstr);
    b->ms = ms;
    if (!ms->ram_blocks) {
        ms->ram_blocks = g_ptr_array_new();
    }
    g_ptr_array_set_free_func(ms->ram_blocks, ram_block_free);
    while (at < ms->ram_blocks->len &&
           ram_block_at(ms, at)->info.max_length >= b->info.max_length) {
        at++;
    }
    g_ptr_array_insert(ms->ram_blocks, (gint)at, b);
    renumber(ms);
    return b;
}

void gw_ram_block_remove(MigrationState *ms, RAMBlock *block)
{
    g_ptr_array_remove(ms->ram_blocks, block); /* frees it */
    renumber(ms);
}

const RAMBlockInfo *gw_ram_block_info(const RAMBlock *block)
{
    return &block->info;
}

RAMBlock *gw_ram_block_find(MigrationState *ms, const char *idstr)
{
    for (unsigned i = 0; i < ram_block_count(ms); i++) {
        if (strcmp(ram_block_at(ms, i)->info.idstr, idstr) == 0) {
            return ram_block_at(ms, i);
        }
    }
    return NULL;
}
