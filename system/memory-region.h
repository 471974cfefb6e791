/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory regions: what devices and boards put into guest physical space. Regions form a tree under
 * memory_map_root(): containers hold others, leaves are RAM, ROM or MMIO, an alias shows a part of
 * another region at a second place. Where regions overlap, the one of higher priority is seen; of
 * equal priority, the one added last.
 *
 * Every edit is made with the machine lock held. Outside a transaction (memory.h) it commits by
 * itself; inside one nothing is seen before the outermost commit. An edit returns false with *errp
 * when it makes no sense or when, committing by itself, it was refused (an accelerator out of
 * slots): then nothing has changed.
 *
 * During a device load edits belong into `apply`, and whoever wants to look at guest memory waits
 * for `post_commit`: docs/devel/migration/device-load.
 */
#ifndef SYSTEM_MEMORY_REGION_H
#define SYSTEM_MEMORY_REGION_H

#include "memory.h"

typedef struct MemoryRegion MemoryRegion;

/* The container of 2^64 bytes behind the address space "memory". Owned by the map. */
MemoryRegion *memory_map_root(MemoryMap *m);

/* ---- making and freeing; the name is copied ---- */

/* `size` bytes, 0 means all 2^64. */
MemoryRegion *memory_region_new_container(MemoryMap *m, const char *name, uint64_t size);
/* `size` bytes of the block from block_offset; all three multiples of the page size. */
MemoryRegion *memory_region_new_ram(MemoryMap *m, const char *name, RAMBlock *block,
                                    uint64_t block_offset, uint64_t size);
/* The same, which the guest can read and not write. */
MemoryRegion *memory_region_new_rom(MemoryMap *m, const char *name, RAMBlock *block,
                                    uint64_t block_offset, uint64_t size);
/* `ops` must stay valid; its callbacks get `opaque` and the offset in the region, and run with the
 * machine lock held. */
MemoryRegion *memory_region_new_mmio(MemoryMap *m, const char *name, const MmioOps *ops,
                                     void *opaque, uint64_t size);
/* `size` bytes of `target` from `offset`, wherever target itself is or is not. */
MemoryRegion *memory_region_new_alias(MemoryMap *m, const char *name, MemoryRegion *target,
                                      uint64_t offset, uint64_t size);
/* Removes it from its parent if it has one, its children and ioeventfds from it, and frees it;
 * inside a transaction the memory goes with the outermost commit. No alias of it may be left. */
void memory_region_free(MemoryRegion *r);

/* ---- edits ---- */

/* Puts r, which has no parent, at `offset` of a container with priority 0; an overlap with another
 * region that was added in this way is an error. */
bool memory_region_add(MemoryRegion *parent, uint64_t offset, MemoryRegion *r, GError **errp);
/* The same where overlaps are meant. */
bool memory_region_add_overlap(MemoryRegion *parent, uint64_t offset, MemoryRegion *r,
                               int priority, GError **errp);
/* Fine if it has no parent. */
bool memory_region_remove(MemoryRegion *r, GError **errp);
/* A region that is not enabled is as if it were not there; new ones are enabled. */
bool memory_region_set_enabled(MemoryRegion *r, bool enabled, GError **errp);
/* Moves it inside its container. */
bool memory_region_set_address(MemoryRegion *r, uint64_t offset, GError **errp);
/* Bytes; of a leaf or alias 0 shows nothing. */
bool memory_region_set_size(MemoryRegion *r, uint64_t size, GError **errp);
bool memory_region_set_priority(MemoryRegion *r, int priority, GError **errp);
/* Which part of its target an alias shows. */
bool memory_region_set_alias_offset(MemoryRegion *r, uint64_t offset, GError **errp);

const char *memory_region_name(const MemoryRegion *r);
uint64_t memory_region_size(const MemoryRegion *r);
bool memory_region_is_enabled(const MemoryRegion *r);
/* Has a parent. */
bool memory_region_is_mapped(const MemoryRegion *r);

/* ---- ioeventfds ---- */

/* A guest's write at `offset` of an MMIO region that signals an eventfd instead of leaving the
 * guest. It goes where the region goes and holds while that part of it is seen. */
typedef struct MemoryIoeventfd {
    uint64_t offset;
    unsigned size;     /* bytes of the write: 1, 2, 4, 8, or 0 for any */
    bool match_data;   /* only a write of the value `data`; needs a size */
    uint64_t data;
    int fd;            /* eventfd, the caller's; open until its removal was committed. A device had
                          best keep its eventfds as long as it lives. */
} MemoryIoeventfd;

/* Two that the same write would signal are an error. */
bool memory_region_add_ioeventfd(MemoryRegion *r, const MemoryIoeventfd *e, GError **errp);
/* The one with the same offset, size, match_data, data and fd; an error if there is none. */
bool memory_region_del_ioeventfd(MemoryRegion *r, const MemoryIoeventfd *e, GError **errp);
bool memory_region_has_ioeventfd(const MemoryRegion *r, const MemoryIoeventfd *e);
unsigned memory_region_n_ioeventfds(const MemoryRegion *r);

/* ---- address spaces ---- */

/* Another way to see regions: what `root` holds, flattened on its own, with listeners of its own.
 * Edits of regions that several spaces see commit in all of them or in none. */
typedef struct AddressSpace AddressSpace;

AddressSpace *address_space_new(MemoryMap *m, const char *name, MemoryRegion *root);
/* No transaction open, no reader left. */
void address_space_free(AddressSpace *as);
/* Tells the listener of what is there now and from then on of every change. The ops must stay
 * valid. False: it refused something, and it is not added. */
bool address_space_add_listener(AddressSpace *as, const MemoryListener *l, void *opaque,
                                GError **errp);
/* The space "memory", which memory_read() and its like use. */
AddressSpace *memory_map_space(MemoryMap *m);

#endif
