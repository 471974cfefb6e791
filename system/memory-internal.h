/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the memory map share; private to memory*.c and ioport.c.
 * Everything is guarded by the machine lock but the view of an address space, which any thread
 * takes a reference of (memory-view.c), and what is marked atomic.
 */
#ifndef SYSTEM_MEMORY_INTERNAL_H
#define SYSTEM_MEMORY_INTERNAL_H

#include <pthread.h>

#include "memory-region.h"
#include "memory-view.h"

typedef struct IoPortRange {
    uint16_t port;
    unsigned count;
    const MmioOps *ops;
    void *opaque;
    char name[48];
} IoPortRange;

typedef enum MemoryRegionType {
    REGION_RAM,
    REGION_ROM,
    REGION_MMIO,
    REGION_CONTAINER,
    REGION_ALIAS,
} MemoryRegionType;

/* Where and how a region is seen; what an edit can change without moving it among its siblings. */
typedef struct RegionAttrs {
    uint64_t addr;         /* offset in the parent */
    uint64_t size;         /* bytes; container: 0 is 2^64 */
    uint64_t alias_offset;
    bool enabled;
} RegionAttrs;

struct MemoryRegion {
    MemoryMap *map;
    MemoryRegionType type;
    char name[48];
    RegionAttrs at;
    MemoryRegion *parent;
    int priority;
    bool may_overlap;
    RAMBlock *block;
    uint64_t block_offset;
    const MmioOps *ops;
    void *opaque;
    MemoryRegion *target;  /* of an alias */
    unsigned viewers;      /* aliases of it, address spaces of which it is the root */
    GPtrArray *children;   /* container: highest priority first, then the one added last */
    GArray *ioeventfds;    /* of MemoryIoeventfd, sorted; NULL: none */
};

struct AddressSpace {
    MemoryMap *map;
    char *name;
    MemoryRegion *root;
    GArray *listeners;     /* of SpaceListener */
    MemoryView *view;      /* atomic pointer, memory-view.c */
    MemoryView *pending;   /* made for a reader in mid-transaction; NULL: out of date or none */
    unsigned epoch;        /* atomic; which of `readers` new readers count in */
    unsigned readers[2];   /* atomic; readers between loading `view` and holding a reference */
};

typedef struct SpaceListener {
    const MemoryListener *ops;
    void *opaque;
} SpaceListener;

struct MemoryMap {
    AddressSpace *memory;
    GPtrArray *spaces;     /* of AddressSpace, `memory` first */
    GHashTable *regions;   /* set of all MemoryRegion */
    unsigned depth;        /* open transactions */
    GArray *undo;          /* of MemoryEdit: the open transaction's, memory-edit.c */
    GPtrArray *freed;      /* of MemoryRegion: wait for the end of the transaction */
    GPtrArray *dropped;    /* of MemoryRegion, the map's own: they go with the commit, or stay */
    void *editor;          /* atomic: the thread that has edits pending, else NULL */
    void *decoder;         /* atomic: the thread that must not read until it has edited, or NULL */
    const char *misreader; /* who did nevertheless; a string that lasts */
    bool poison;           /* abort when that thread reads */
    uint64_t generation;   /* atomic; counts published views, from 1 */
    GArray *ports;         /* of IoPortRange, sorted */

    /* Set once, before any thread but the main one exists. */
    void (*lock)(void *opaque);
    void (*unlock)(void *opaque);
    void *lock_opaque;
    MemoryWriteHook write_hook;
    void *write_hook_opaque;

    MemoryMapStats stats;  /* relaxed atomics */
};

#define MEMORY_STAT_ADD(m, field, n) \
    __atomic_fetch_add(&(m)->stats.field, (n), __ATOMIC_RELAXED)

/* Something that is this thread's alone, to tell threads apart by. */
void *memory_this_thread(void);

/* memory-edit.c */
GArray *memory_edits_new(void);
/* Takes back all edits of the open transaction, last one first. */
void memory_edits_undo(MemoryMap *m);
/* Forgets how to; frees what memory_region_free() left. */
void memory_edits_done(MemoryMap *m);

/* memory-region.c */
/* The struct itself; nothing leads to it any more. */
void memory_region_destroy(MemoryRegion *r);
/* The same when the whole map goes: touches no other region. */
void memory_region_release(MemoryRegion *r);
/* Offset of the last byte; only for a region of size other than 0, or a container. */
static inline uint64_t region_last(const MemoryRegion *r)
{
    return r->at.size - 1;
}

static inline bool region_is_empty(const MemoryRegion *r)
{
    return r->at.size == 0 && r->type != REGION_CONTAINER;
}

/* memory-flatten.c: what the space's root shows now; a reference for the caller. */
MemoryView *memory_flatten(const MemoryRegion *root);

/* memory-view.c: replaces the view and waits until no reader can be about to take the old one,
 * whose reference passes to the caller. */
MemoryView *address_space_publish(AddressSpace *as, MemoryView *v);

#endif
