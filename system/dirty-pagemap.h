/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A dirty log of this process's own memory, without KVM: which pages were written since the last
 * look, by the kernel's asynchronous write protection (userfaultfd WP_ASYNC) and PAGEMAP_SCAN.
 * Independent of any accelerator. Sees writes through this process's mapping only, by its threads
 * and by system calls; not those of another process that maps the same file.
 */
#ifndef SYSTEM_DIRTY_PAGEMAP_H
#define SYSTEM_DIRTY_PAGEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

typedef struct PagemapLog PagemapLog;

/* Opens a log without memory. NULL with *errp, which says what to allow or which kernel it takes.
 * One thread at a time uses a log. */
PagemapLog *pagemap_log_new(GError **errp);
/* Ends tracking of all its memory and frees. NULL is fine. */
void pagemap_log_free(PagemapLog *log);

/* Tracks [host, host + len) from now on; every page counts as not written yet. The range must be
 * one mapping, aligned to page_size, which is that of the mapping (4096, 2 MiB, 1 GiB). `name` is
 * used in errors. */
bool pagemap_log_add(PagemapLog *log, void *host, uint64_t len, size_t page_size,
                     const char *name, GError **errp);
/* Whether pagemap_log_add() was called for that address. */
bool pagemap_log_has(const PagemapLog *log, const void *host);

/*
 * Sets the bits of what was written since it was last reported, and protects it again, in one step:
 * no write is lost or reported twice. `host` is an added range; bit 0 of `bitmap` is its 4 KiB page
 * number `first`. In huge pages a write sets the bits of the whole huge page. Writers may run.
 */
bool pagemap_log_sync(PagemapLog *log, void *host, uint64_t first, uint64_t npages,
                      uint64_t *bitmap, GError **errp);

#endif
