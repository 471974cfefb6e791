/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory map: which guest physical ranges are RAM, ROM or MMIO, and the I/O ports.
 *
 * Edits are made with the machine lock held, between memory_transaction_begin() and _commit(); the
 * outermost commit builds a new flat view (immutable, sorted, reference counted) and tells the
 * listeners the difference. Readers on any thread take a reference to the present view.
 */
#ifndef SYSTEM_MEMORY_H
#define SYSTEM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "migration/migration.h"

typedef struct MemoryMap MemoryMap;

typedef uint64_t (*MmioRead)(void *opaque, uint64_t offset, unsigned size);
typedef void (*MmioWrite)(void *opaque, uint64_t offset, uint64_t value, unsigned size);

/* Device access; called with the machine lock held. */
typedef struct MmioOps {
    MmioRead read;
    MmioWrite write;
} MmioOps;

typedef enum MemoryRangeType {
    MEMORY_RANGE_RAM,
    MEMORY_RANGE_ROM,
    MEMORY_RANGE_MMIO,
} MemoryRangeType;

/* One contiguous piece of guest physical space. */
typedef struct MemoryRange {
    MemoryRangeType type;
    uint64_t gpa, size;
    RAMBlock *block;       /* RAM, ROM */
    uint64_t block_offset;
    const MmioOps *ops;    /* MMIO */
    void *opaque;
    char name[48];
} MemoryRange;

/* Told inside the outermost commit, machine lock held: first all removals, then all additions. */
typedef struct MemoryListener {
    void (*range_del)(void *opaque, const MemoryRange *r);
    bool (*range_add)(void *opaque, const MemoryRange *r, GError **errp);
} MemoryListener;

MemoryMap *memory_map_new(void);
void memory_map_free(MemoryMap *m);
void memory_map_set_listener(MemoryMap *m, const MemoryListener *l, void *opaque);

void memory_transaction_begin(MemoryMap *m);
/* The outermost commit either makes all edits hold or, when a listener refuses one, none: then the
 * map is what it was before the outermost begin. Inner commits only count. */
bool memory_transaction_commit(MemoryMap *m, GError **errp);
/* Overlapping an existing range is an error. The range is copied. */
bool memory_map_add(MemoryMap *m, const MemoryRange *r, GError **errp);
void memory_map_remove(MemoryMap *m, uint64_t gpa);

/* Guest physical reads and writes, any length, RAM and MMIO; unmapped space reads as 0xff. False
 * if any byte was unmapped. MMIO takes the machine lock itself unless `locked`. */
bool memory_read(MemoryMap *m, uint64_t gpa, void *buf, uint64_t len, bool locked);
bool memory_write(MemoryMap *m, uint64_t gpa, const void *buf, uint64_t len, bool locked);
/* Host address of [gpa, gpa+len) if that is one piece of RAM or ROM, else NULL. */
uint8_t *memory_host_ptr(MemoryMap *m, uint64_t gpa, uint64_t len);
/* Calls fn for every range of the present view, ascending. */
void memory_map_foreach(MemoryMap *m, void (*fn)(const MemoryRange *r, void *opaque),
                        void *opaque);

/* Told of every write that did not come from the guest itself (devices, DMA), after it was made:
 * the dirty log of the accelerator does not see it. Any thread. */
typedef void (*MemoryWriteHook)(void *opaque, RAMBlock *block, uint64_t offset, uint64_t len);
void memory_map_set_write_hook(MemoryMap *m, MemoryWriteHook fn, void *opaque);
/* For who wrote through memory_host_ptr() while the guest can run. */
void memory_mark_dirty(MemoryMap *m, uint64_t gpa, uint64_t len);
/* How memory_read() and memory_write() take the machine lock for MMIO. */
void memory_map_set_lock(MemoryMap *m, void (*lock)(void *opaque), void (*unlock)(void *opaque),
                         void *opaque);

/* What transactions cost, since the map was made. */
typedef struct MemoryMapStats {
    uint64_t commits;      /* outermost commits */
    uint64_t edits;        /* adds and removes asked for */
    uint64_t rebuilds;     /* flat views made */
    uint64_t listener_calls; /* range_del and range_add */
    uint64_t commit_ns;    /* spent in outermost commits */
} MemoryMapStats;
void memory_map_stats(MemoryMap *m, MemoryMapStats *out);

/* ---- I/O ports ---- */

bool ioport_add(MemoryMap *m, uint16_t port, unsigned count, const MmioOps *ops, void *opaque,
                const char *name, GError **errp);
uint64_t ioport_read(MemoryMap *m, uint16_t port, unsigned size);   /* machine lock held */
void ioport_write(MemoryMap *m, uint16_t port, uint64_t value, unsigned size);

#endif
