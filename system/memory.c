/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory map: its address spaces, its settings, its counters, and the short way to map one
 * range. Machine lock held, or the main thread before others exist; counters from any thread.
 * Edits are memory-edit.c's, commits memory-transaction.c's, what readers see memory-view.c's.
 */
#include "memory.h"

#include <inttypes.h>

#include "error.h"
#include "memory-internal.h"

#ifdef GODWIT_DEBUG
#define POISON true
#else
#define POISON false
#endif

MemoryMap *memory_map_new(void)
{
    MemoryMap *m = g_new0(MemoryMap, 1);

    m->spaces = g_ptr_array_new();
    m->regions = g_hash_table_new(NULL, NULL);
    m->undo = memory_edits_new();
    m->freed = g_ptr_array_new();
    m->dropped = g_ptr_array_new();
    m->ports = g_array_new(FALSE, FALSE, sizeof(IoPortRange));
    m->poison = POISON;
    m->memory = address_space_new(m, "memory", memory_region_new_container(m, "memory", 0));
    return m;
}

void memory_map_free(MemoryMap *m)
{
    GHashTableIter it;
    gpointer r;

    if (!m) {
        return;
    }
    while (m->spaces->len) {
        address_space_free(g_ptr_array_index(m->spaces, m->spaces->len - 1));
    }
    g_hash_table_iter_init(&it, m->regions);
    while (g_hash_table_iter_next(&it, &r, NULL)) {
        g_hash_table_iter_steal(&it);
        memory_region_release(r);
    }
    g_hash_table_unref(m->regions);
    g_ptr_array_unref(m->spaces);
    g_array_unref(m->undo);
    g_ptr_array_unref(m->freed);
    g_ptr_array_unref(m->dropped);
    g_array_free(m->ports, TRUE);
    g_free(m);
}

MemoryRegion *memory_map_root(MemoryMap *m)
{
    return m->memory->root;
}

AddressSpace *memory_map_space(MemoryMap *m)
{
    return m->memory;
}

void memory_map_set_lock(MemoryMap *m, void (*lock)(void *opaque), void (*unlock)(void *opaque),
                         void *opaque)
{
    m->lock = lock;
    m->unlock = unlock;
    m->lock_opaque = opaque;
}

void memory_map_set_write_hook(MemoryMap *m, MemoryWriteHook fn, void *opaque)
{
    m->write_hook = fn;
    m->write_hook_opaque = opaque;
}

void memory_map_set_poison(MemoryMap *m, bool poison)
{
    m->poison = poison;
}

void memory_map_count_ioctls(MemoryMap *m, unsigned n)
{
    MEMORY_STAT_ADD(m, ioctls, n);
}

void memory_map_stats(MemoryMap *m, MemoryMapStats *out)
{
    out->commits = __atomic_load_n(&m->stats.commits, __ATOMIC_RELAXED);
    out->edits = __atomic_load_n(&m->stats.edits, __ATOMIC_RELAXED);
    out->rebuilds = __atomic_load_n(&m->stats.rebuilds, __ATOMIC_RELAXED);
    out->refreshes = __atomic_load_n(&m->stats.refreshes, __ATOMIC_RELAXED);
    out->listener_calls = __atomic_load_n(&m->stats.listener_calls, __ATOMIC_RELAXED);
    out->ioctls = __atomic_load_n(&m->stats.ioctls, __ATOMIC_RELAXED);
    out->commit_ns = __atomic_load_n(&m->stats.commit_ns, __ATOMIC_RELAXED);
}

/* ---- one range, one region ---- */

static MemoryRegion *region_of(MemoryMap *m, const MemoryRange *r)
{
    switch (r->type) {
    case MEMORY_RANGE_RAM:
        return memory_region_new_ram(m, r->name, r->block, r->block_offset, r->size);
    case MEMORY_RANGE_ROM:
        return memory_region_new_rom(m, r->name, r->block, r->block_offset, r->size);
    default:
        return memory_region_new_mmio(m, r->name, r->ops, r->opaque, r->size);
    }
}

bool memory_map_add(MemoryMap *m, const MemoryRange *r, GError **errp)
{
    if (r->size == 0) {
        return gw_fail(errp, GW_ERROR_GENERIC, "memory region '%s' at 0x%" PRIx64 " has an "
                       "impossible size 0", r->name, r->gpa);
    }
    if (r->type == MEMORY_RANGE_MMIO ? !r->ops : !r->block) {
        return gw_fail(errp, GW_ERROR_GENERIC, "memory region '%s' has nothing behind it",
                       r->name);
    }

    MemoryRegion *region = region_of(m, r);

    if (!memory_region_add(m->memory->root, r->gpa, region, errp)) {
        memory_region_free(region);
        return false;
    }
    return true;
}

void memory_map_remove(MemoryMap *m, uint64_t gpa)
{
    GPtrArray *children = m->memory->root->children;

    for (guint i = 0; i < children->len; i++) {
        MemoryRegion *r = g_ptr_array_index(children, i);

        if (r->at.addr == gpa && !r->may_overlap) {
            memory_transaction_begin(m);
            memory_region_remove(r, NULL);
            g_ptr_array_add(m->dropped, r);
            /* A removal that uncovers nothing cannot be refused. */
            memory_transaction_commit(m, NULL);
            return;
        }
    }
}
