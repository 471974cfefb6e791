/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The block list of the START section: every block of the source must exist here with the same
 * length, or be resizable to it. A local block that is not listed keeps its contents.
 * Incoming thread. Wire: spec ram 2.3.
 */
#include <inttypes.h>

#include "error.h"
#include "postcopy.h"
#include "ram-load.h"
#include "skip-zero.h"

static bool load_length(RAMBlock *b, uint64_t length, GError **errp)
{
    if (length == b->info.used_length) {
        return true;
    }
    if (!(b->info.flags & RAM_BLOCK_RESIZABLE)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "Size mismatch: %s: 0x%" PRIx64 " != 0x%" PRIx64
                       ": give both sides the same memory size and firmware",
                       b->info.idstr, length, b->info.used_length);
    }
    if (length > b->info.max_length) {
        return gw_fail(errp, GW_ERROR_PROTOCOL,
                       "Size mismatch: %s: 0x%" PRIx64 " is more than this block's maximum 0x%"
                       PRIx64, b->info.idstr, length, b->info.max_length);
    }
    b->info.used_length = length;
    return true;
}

/* Only in a stream that may become a postcopy, and only for blocks of huge pages. */
static bool load_page_size(MigrationState *ms, const RAMBlock *b, StreamReader *r, GError **errp)
{
    uint64_t size;

    if (b->info.page_size == GW_TARGET_PAGE_SIZE || postcopy_state(ms) == POSTCOPY_NONE) {
        return true;
    }
    if (!stream_get_be64(r, &size, errp)) {
        return false;
    }
    return size == b->info.page_size ||
           gw_fail(errp, GW_ERROR_PROTOCOL,
                   "Mismatched RAM page size %s (local) %zu != %" PRIu64 ": give both sides the "
                   "same memory backend", b->info.idstr, b->info.page_size, size);
}

/* Only with x-ignore-shared; it says something only where the memory is not sent. */
static bool load_gpa(MigrationState *ms, const RAMBlock *b, StreamReader *r, GError **errp)
{
    uint64_t gpa;

    if (!gw_capability_get(ms, MIGRATION_CAP_X_IGNORE_SHARED)) {
        return true;
    }
    if (!stream_get_be64(r, &gpa, errp)) {
        return false;
    }
    return !b->ignored || gpa == b->info.gpa ||
           gw_fail(errp, GW_ERROR_PROTOCOL,
                   "Mismatched GPAs for block %s: 0x%" PRIx64 " != 0x%" PRIx64
                   ": the machines differ", b->info.idstr, gpa, b->info.gpa);
}

bool ram_load_block_list(RamLoad *ld, StreamReader *r, uint64_t total, GError **errp)
{
    const bool postcopy = postcopy_state(ld->ms) != POSTCOPY_NONE;
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    while (total > 0) {
        char id[256];
        uint64_t length;
        RAMBlock *b;

        if (!stream_get_str8(r, id, errp) || !stream_get_be64(r, &length, errp)) {
            g_prefix_error(errp, "RAM block list: ");
            return false;
        }
        b = gw_ram_block_find(ld->ms, id);
        if (!b) {
            return gw_fail(errp, GW_ERROR_PROTOCOL,
                           "Unknown ramblock \"%s\", cannot accept migration: the machines differ",
                           id);
        }
        if (!g_hash_table_add(seen, b) || (postcopy && b->listed)) {
            return gw_fail(errp, GW_ERROR_PROTOCOL, "RAM block '%s' is listed twice", id);
        }
        if (length > total || length % GW_TARGET_PAGE_SIZE) {
            return gw_fail(errp, GW_ERROR_PROTOCOL,
                           "RAM block '%s': length 0x%" PRIx64
                           " is not a number of pages within the 0x%" PRIx64 " bytes left of the "
                           "total", id, length, total);
        }
        if (!load_length(b, length, errp) || !load_page_size(ld->ms, b, r, errp) ||
            !load_gpa(ld->ms, b, r, errp)) {
            return false;
        }
        if (postcopy &&
            !postcopy_ram_discard(ld->ms, b, 0, b->info.max_length, errp)) {
            return false;
        }
        b->listed = true;
        total -= length;
    }
    return skip_zero_keep_promise(ld->ms, errp);
}
