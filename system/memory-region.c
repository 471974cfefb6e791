/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory regions: making, freeing, asking. The map owns whatever nobody freed before it goes.
 * Machine lock held. Edits are memory-edit.c's.
 */
#include "memory-region.h"

#include "memory-internal.h"

static MemoryRegion *region_new(MemoryMap *m, MemoryRegionType type, const char *name,
                                uint64_t size)
{
    MemoryRegion *r = g_new0(MemoryRegion, 1);

    r->map = m;
    r->type = type;
    g_strlcpy(r->name, name, sizeof(r->name));
    r->at.size = size;
    r->at.enabled = true;
    g_hash_table_add(m->regions, r);
    return r;
}

MemoryRegion *memory_region_new_container(MemoryMap *m, const char *name, uint64_t size)
{
    MemoryRegion *r = region_new(m, REGION_CONTAINER, name, size);

    r->children = g_ptr_array_new();
    return r;
}

MemoryRegion *memory_region_new_ram(MemoryMap *m, const char *name, RAMBlock *block,
                                    uint64_t block_offset, uint64_t size)
{
    MemoryRegion *r = region_new(m, REGION_RAM, name, size);

    r->block = block;
    r->block_offset = block_offset;
    return r;
}

MemoryRegion *memory_region_new_rom(MemoryMap *m, const char *name, RAMBlock *block,
                                    uint64_t block_offset, uint64_t size)
{
    MemoryRegion *r = memory_region_new_ram(m, name, block, block_offset, size);

    r->type = REGION_ROM;
    return r;
}

MemoryRegion *memory_region_new_mmio(MemoryMap *m, const char *name, const MmioOps *ops,
                                     void *opaque, uint64_t size)
{
    MemoryRegion *r = region_new(m, REGION_MMIO, name, size);

    r->ops = ops;
    r->opaque = opaque;
    return r;
}

MemoryRegion *memory_region_new_alias(MemoryMap *m, const char *name, MemoryRegion *target,
                                      uint64_t offset, uint64_t size)
{
    MemoryRegion *r = region_new(m, REGION_ALIAS, name, size);

    r->target = target;
    r->at.alias_offset = offset;
    target->viewers++;
    return r;
}

void memory_region_free(MemoryRegion *r)
{
    if (!r) {
        return;
    }
    MemoryMap *m = r->map;
    g_autoptr(GError) err = NULL;

    memory_transaction_begin(m);
    memory_region_remove(r, NULL);
    while (r->children && r->children->len) {
        memory_region_remove(g_ptr_array_index(r->children, 0), NULL);
    }
    g_ptr_array_add(m->freed, r);
    if (!memory_transaction_commit(m, &err)) {
        g_printerr("warning: memory region '%s': %s\n", r->name, err->message);
    }
}

void memory_region_release(MemoryRegion *r)
{
    g_clear_pointer(&r->children, g_ptr_array_unref);
    g_clear_pointer(&r->ioeventfds, g_array_unref);
    g_free(r);
}

void memory_region_destroy(MemoryRegion *r)
{
    g_hash_table_remove(r->map->regions, r);
    if (r->target) {
        r->target->viewers--;
    }
    memory_region_release(r);
}

const char *memory_region_name(const MemoryRegion *r)
{
    return r->name;
}

uint64_t memory_region_size(const MemoryRegion *r)
{
    return r->at.size;
}

bool memory_region_is_enabled(const MemoryRegion *r)
{
    return r->at.enabled;
}

bool memory_region_is_mapped(const MemoryRegion *r)
{
    return r->parent != NULL;
}

unsigned memory_region_n_ioeventfds(const MemoryRegion *r)
{
    return r->ioeventfds ? r->ioeventfds->len : 0;
}
