/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory map: which guest physical ranges are RAM, ROM or MMIO, and the I/O ports.
 *
 * Edits of regions (memory-region.h) are made with the machine lock held, between
 * memory_transaction_begin() and _commit() or each by itself; the outermost commit builds new flat
 * views (immutable, sorted, reference counted) and tells the listeners the difference. Readers on
 * any thread take a reference to the present view without a lock.
 *
 * Who has edited inside a transaction must not read before the commit: that thread would not see
 * its own edits. In debug builds such a read aborts, naming the reader; otherwise it gets a view
 * made of the map as edited. Other threads see the map before the commit until it is there.
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
    uint64_t region_offset; /* MMIO: of gpa in the region */
    char name[48];
} MemoryRange;

/* A guest's write that signals an eventfd, in guest physical space. */
typedef struct FlatIoeventfd {
    uint64_t gpa;
    unsigned size;         /* bytes, 0: any */
    bool match_data;
    uint64_t data;
    int fd;
} FlatIoeventfd;

/* Told inside the outermost commit, machine lock held: first all removals, then all additions, of
 * ranges and of ioeventfds. All optional but range_del and range_add. Reading the map shows it as
 * it will be. */
typedef struct MemoryListener {
    void (*range_del)(void *opaque, const MemoryRange *r);
    bool (*range_add)(void *opaque, const MemoryRange *r, GError **errp);
    void (*ioeventfd_del)(void *opaque, const FlatIoeventfd *e);
    bool (*ioeventfd_add)(void *opaque, const FlatIoeventfd *e, GError **errp);
    /* Around what one commit has to tell; not called if that is nothing. */
    void (*begin)(void *opaque);
    void (*end)(void *opaque);
} MemoryListener;

MemoryMap *memory_map_new(void);
void memory_map_free(MemoryMap *m);

void memory_transaction_begin(MemoryMap *m);
/* The outermost commit either makes all edits hold or, when a listener refuses one, none: then the
 * map is what it was before the outermost begin. Inner commits only count. */
bool memory_transaction_commit(MemoryMap *m, GError **errp);
/* Ends the outermost transaction, whatever is open inside it, and takes back every edit since its
 * begin: the map, which nobody has seen change, stays what it was. */
void memory_transaction_abort(MemoryMap *m);
/* On: this thread decodes device state whose edits come later, so that for it the view is out of
 * date. A read aborts in debug builds; otherwise it is noted. */
void memory_map_forbid_reads(MemoryMap *m, bool on);
/* Who read nevertheless, since this was last asked; NULL: nobody. What such a reader made of the
 * map is worth nothing. Machine lock held. */
const char *memory_map_take_misreader(MemoryMap *m);
/* How many are open. */
unsigned memory_transaction_depth(const MemoryMap *m);
/* A region of the map's own for something that is mapped once: memory_region_add() to the root. */
bool memory_map_add(MemoryMap *m, const MemoryRange *r, GError **errp);
/* Takes away the region that was added there, if there is one. */
void memory_map_remove(MemoryMap *m, uint64_t gpa);
/* Whether a read by who has edits pending aborts (debug builds) or is answered from a view made
 * for it. For tests; main thread. */
void memory_map_set_poison(MemoryMap *m, bool poison);
/* For listeners: system calls made on behalf of the map. Any thread. */
void memory_map_count_ioctls(MemoryMap *m, unsigned n);

/* The functions that end in _by take the reader's name, which the macros below fill in. */

/* Guest physical reads and writes, any length, RAM and MMIO; unmapped space reads as 0xff. False
 * if any byte was unmapped. MMIO takes the machine lock itself unless `locked`. */
bool memory_read_by(MemoryMap *m, uint64_t gpa, void *buf, uint64_t len, bool locked,
                    const char *reader);
bool memory_write_by(MemoryMap *m, uint64_t gpa, const void *buf, uint64_t len, bool locked,
                     const char *reader);
/* Host address of [gpa, gpa+len) if that is one piece of RAM or ROM, else NULL. */
uint8_t *memory_host_ptr_by(MemoryMap *m, uint64_t gpa, uint64_t len, const char *reader);
/* Calls fn for every range of the present view, ascending. */
void memory_map_foreach_by(MemoryMap *m, void (*fn)(const MemoryRange *r, void *opaque),
                           void *opaque, const char *reader);

#define memory_read(m, gpa, buf, len, locked) \
    memory_read_by((m), (gpa), (buf), (len), (locked), __func__)
#define memory_write(m, gpa, buf, len, locked) \
    memory_write_by((m), (gpa), (buf), (len), (locked), __func__)
#define memory_host_ptr(m, gpa, len) memory_host_ptr_by((m), (gpa), (len), __func__)
#define memory_map_foreach(m, fn, opaque) memory_map_foreach_by((m), (fn), (opaque), __func__)

/* Told of every write that did not come from the guest itself (devices, DMA), after it was made:
 * the dirty log of the accelerator does not see it. Any thread. */
typedef void (*MemoryWriteHook)(void *opaque, RAMBlock *block, uint64_t offset, uint64_t len);
void memory_map_set_write_hook(MemoryMap *m, MemoryWriteHook fn, void *opaque);
/* For who wrote through memory_host_ptr() while the guest can run. */
void memory_mark_dirty_by(MemoryMap *m, uint64_t gpa, uint64_t len, const char *reader);
#define memory_mark_dirty(m, gpa, len) memory_mark_dirty_by((m), (gpa), (len), __func__)
/* How memory_read() and memory_write() take the machine lock for MMIO. */
void memory_map_set_lock(MemoryMap *m, void (*lock)(void *opaque), void (*unlock)(void *opaque),
                         void *opaque);

/* What transactions cost, since the map was made. */
typedef struct MemoryMapStats {
    uint64_t commits;      /* outermost commits of at least one edit */
    uint64_t edits;        /* changes of regions and ioeventfds asked for */
    uint64_t rebuilds;     /* flat views made */
    uint64_t refreshes;    /* flat views made for a reader in mid-transaction */
    uint64_t listener_calls; /* range_del, range_add, ioeventfd_del and ioeventfd_add */
    uint64_t ioctls;       /* system calls that listeners made for them */
    uint64_t commit_ns;    /* spent in outermost commits */
} MemoryMapStats;
void memory_map_stats(MemoryMap *m, MemoryMapStats *out);

/* ---- I/O ports ---- */

bool ioport_add(MemoryMap *m, uint16_t port, unsigned count, const MmioOps *ops, void *opaque,
                const char *name, GError **errp);
uint64_t ioport_read(MemoryMap *m, uint16_t port, unsigned size);   /* machine lock held */
void ioport_write(MemoryMap *m, uint16_t port, uint64_t value, unsigned size);

#endif
