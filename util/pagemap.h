/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pages of this process have memory behind them, asked of the kernel without touching one:
 * the PAGEMAP_SCAN ioctl (Linux 6.7), or else a read of /proc/self/pagemap.
 *
 * The answer is about the moment of the call. A Pagemap holds a descriptor and no other state; any
 * thread may use it.
 */
#ifndef UTIL_PAGEMAP_H
#define UTIL_PAGEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGEMAP_PAGE_SIZE ((size_t)4096)

typedef struct Pagemap {
    int fd;    /* -1: not available */
    bool scan; /* PAGEMAP_SCAN works */
} Pagemap;

/* Never fails: without /proc every query answers "unknown". */
void pagemap_init(Pagemap *pm);
void pagemap_clear(Pagemap *pm);

/*
 * Sets bit k of `populated` if page k after `addr` may hold data, and clears it if the page was
 * never touched or is the kernel's zero page. False (map unchanged or incomplete) if the kernel
 * does not tell. `addr` is page aligned. What an unpopulated page reads as depends on the mapping:
 * zeros if it is private and anonymous.
 */
bool pagemap_populated(const Pagemap *pm, const void *addr, uint64_t npages, uint64_t *populated);

#endif
