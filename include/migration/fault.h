/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fault sources: how the engine learns that somebody waits for a page that has not arrived, and how
 * it puts pages there. The real one is userfaultfd (gw_fault_source_userfaultfd); tests give a
 * fake. One fault source per incoming postcopy. wait() belongs to the fault thread; place, zero and
 * wake may be called by several threads at once, for different pages.
 */
#ifndef MIGRATION_FAULT_H
#define MIGRATION_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

typedef struct MigrationFault {
    void *host; /* the address that was touched, rounded down to 4 KiB */
    int tid;    /* host thread that waits; 0: unknown */
} MigrationFault;

typedef struct MigrationFaultOps {
    size_t size;
    /* NULL with *errp that says what to allow. */
    void *(*open)(void *opaque, GError **errp);
    void (*close)(void *fs);
    /* From now on missing pages of [host, host + len) are reported. page_size is that of the
     * backing. */
    bool (*add_range)(void *fs, void *host, uint64_t len, size_t page_size, GError **errp);
    bool (*remove_range)(void *fs, void *host, uint64_t len, GError **errp);
    /* Up to n faults; 0: timed out (timeout_ms >= 0) or woken by stop; -1 with *errp. */
    int (*wait)(void *fs, MigrationFault *faults, int n, int timeout_ms, GError **errp);
    /* Makes wait() return, now and later. Any thread. */
    void (*stop)(void *fs);
    /* Puts len bytes (a multiple of the range's page size) there and wakes who waits. Pages that
     * are already there are left as they are: *existed counts their bytes. */
    bool (*place)(void *fs, void *host, const void *src, uint64_t len, size_t page_size,
                  uint64_t *existed, GError **errp);
    /* The same with zeros. */
    bool (*zero)(void *fs, void *host, uint64_t len, size_t page_size, uint64_t *existed,
                 GError **errp);
    /* Wakes who waits for these pages although nothing was put there just now. */
    bool (*wake)(void *fs, void *host, uint64_t len, GError **errp);
} MigrationFaultOps;

/* userfaultfd: /dev/userfaultfd first, then the system call. Constant. */
const MigrationFaultOps *gw_fault_source_userfaultfd(void);

#endif
