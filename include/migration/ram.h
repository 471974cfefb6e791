/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory as the engine sees it: RAMBlocks, and the operations by which the machine tells what
 * the guest has written since (the dirty log).
 * Wire: the RAM section, docs/devel/migration/ram.
 */
#ifndef MIGRATION_RAM_H
#define MIGRATION_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#define GW_TARGET_PAGE_BITS 12
#define GW_TARGET_PAGE_SIZE ((size_t)1 << GW_TARGET_PAGE_BITS)

typedef struct MigrationState MigrationState;
typedef struct RAMBlock RAMBlock;

typedef enum RAMBlockFlags {
    RAM_BLOCK_SHARED = 1 << 0,     /* mapped MAP_SHARED */
    RAM_BLOCK_NAMED_FILE = 1 << 1, /* backed by a file that has a path (x-ignore-shared skips it) */
    RAM_BLOCK_RESIZABLE = 1 << 2,  /* the stream may change used_length up to max_length; while it
                                      is 0 the block is absent: not announced to a peer */
    RAM_BLOCK_ROM = 1 << 3,        /* not written by the guest; migrates as RAM does */
} RAMBlockFlags;

/* What the machine says about a block. Lengths in bytes, multiples of page_size. */
typedef struct RAMBlockInfo {
    const char *idstr;    /* 1..255 bytes, unique: "microvm.ram", "pc.bios", a backend's id */
    uint8_t *host;        /* the mapping; stays valid until the block is removed */
    uint64_t used_length;
    uint64_t max_length;  /* == used_length unless RESIZABLE */
    size_t page_size;     /* of the backing: 4096, 2 MiB, 1 GiB */
    uint64_t gpa;         /* guest physical address of the block's first byte */
    int fd;               /* of the backing, -1 for anonymous memory */
    uint64_t fd_offset;
    uint32_t flags;       /* RAMBlockFlags */
    void *opaque;         /* the machine's own */
} RAMBlockInfo;

/* Adds a block; idstr is copied. Before the first migration, machine lock held. */
RAMBlock *gw_ram_block_add(MigrationState *ms, const RAMBlockInfo *info, GError **errp);
void gw_ram_block_remove(MigrationState *ms, RAMBlock *block);
const RAMBlockInfo *gw_ram_block_info(const RAMBlock *block);
/* The block of that name or NULL. */
RAMBlock *gw_ram_block_find(MigrationState *ms, const char *idstr);

/*
 * The dirty log. Bit k of a bitmap stands for target page (first + k) of the block, LSB first in
 * words of 64 bits.
 *
 * Two-step logs (KVM with manual protect) report pages in sync() and protect them again only in
 * clear(); one-step logs do both in sync() and leave `clear` NULL. The engine calls clear() for a
 * range before it reads any page of that range that sync() reported, so that a write in between
 * is never lost. clear() acts on pages that sync() has reported and no others: one that was written
 * since is not in the engine's bitmap yet and must stay in the log.
 */
typedef struct MigrationDirtyLogOps {
    size_t size;      /* sizeof of the caller's struct */
    const char *name; /* "kvm-log", "kvm-ring", "pagemap-scan", "software" */
    /* Starts logging. Everything counts as dirty at that moment (the engine sets its own bitmap).
     * Caller holds the machine lock. */
    bool (*start)(void *opaque, GError **errp);
    /* Stops logging. Machine lock held; may be called without start. */
    void (*stop)(void *opaque);
    /* ORs what was written since the last sync into `bitmap`, for pages [first, first + npages).
     * `first` and `npages` are multiples of 64 or reach to the end of the block. Not under the
     * machine lock; may run while vCPUs run; never called by two threads at once. */
    bool (*sync)(void *opaque, RAMBlock *block, uint64_t first, uint64_t npages, uint64_t *bitmap,
                 GError **errp);
    /* Optional, see above. */
    bool (*clear)(void *opaque, RAMBlock *block, uint64_t first, uint64_t npages, GError **errp);
    /* Optional: per-vCPU blame, pages written by each vCPU since the last call. */
    unsigned (*vcpu_dirty_pages)(void *opaque, uint64_t *pages, unsigned n);
    /* Optional: pages that each vCPU has written so far, as well as the log can tell; only
     * differences mean something, and only while the log is on. Returns for how many vCPUs, 0 if it
     * cannot. Any thread. */
    unsigned (*vcpu_writes)(void *opaque, uint64_t *pages, unsigned n);
    /* Optional, for accelerators that can do it exactly: limits one vCPU (or all: -1) to that many
     * MB/s (2^20 bytes); 0 lifts the limit. Any thread. */
    void (*vcpu_dirty_limit)(void *opaque, int vcpu, uint64_t mb_per_s);
} MigrationDirtyLogOps;

#endif
