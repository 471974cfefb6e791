/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PAGEMAP_SCAN and its fallback. The ioctl's constants are those of the kernel's documentation,
 * admin-guide/mm/pagemap; Debian 12's headers are older than it. No state but the descriptor.
 */
#include "pagemap.h"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bits.h"

enum {
    SCAN_IS_PRESENT = 1 << 3,
    SCAN_IS_SWAPPED = 1 << 4,
    SCAN_IS_PFNZERO = 1 << 5,
};

typedef struct ScanRegion {
    uint64_t start, end, categories;
} ScanRegion;

typedef struct ScanArg {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
} ScanArg;

#define SCAN_IOCTL _IOWR('f', 16, ScanArg)

G_STATIC_ASSERT(sizeof(ScanRegion) == 24);
G_STATIC_ASSERT(sizeof(ScanArg) == 96);

/* Of an entry of /proc/self/pagemap. */
#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_SWAPPED (UINT64_C(1) << 62)

static bool scan(const Pagemap *pm, uintptr_t start, uintptr_t end, uint64_t *populated)
{
    ScanRegion regions[64];

    for (uintptr_t at = start; at < end;) {
        ScanArg arg = {
            .size = sizeof(arg),
            .start = at,
            .end = end,
            .vec = (uintptr_t)regions,
            .vec_len = G_N_ELEMENTS(regions),
            /* Pages that are (present or swapped out) and not the zero page. */
            .category_inverted = SCAN_IS_PFNZERO,
            .category_mask = SCAN_IS_PFNZERO,
            .category_anyof_mask = SCAN_IS_PRESENT | SCAN_IS_SWAPPED,
            .return_mask = SCAN_IS_PRESENT | SCAN_IS_SWAPPED,
        };
        const int n = ioctl(pm->fd, SCAN_IOCTL, &arg);

        if (n < 0 || arg.walk_end <= at) {
            return false;
        }
        for (int i = 0; i < n; i++) {
            bits_set_range(populated, (regions[i].start - start) / PAGEMAP_PAGE_SIZE,
                           (regions[i].end - regions[i].start) / PAGEMAP_PAGE_SIZE);
        }
        at = arg.walk_end;
    }
    return true;
}

/* The slow way. It cannot tell the zero page from data; so that counts as data. */
static bool read_entries(const Pagemap *pm, uintptr_t start, uint64_t npages, uint64_t *populated)
{
    uint64_t entries[512];

    for (uint64_t done = 0; done < npages;) {
        const size_t n = MIN(npages - done, G_N_ELEMENTS(entries));
        const off_t at = (off_t)((start / PAGEMAP_PAGE_SIZE + done) * sizeof(entries[0]));
        const ssize_t got = pread(pm->fd, entries, n * sizeof(entries[0]), at);

        if (got < (ssize_t)sizeof(entries[0])) {
            return false;
        }
        for (size_t i = 0; i < (size_t)got / sizeof(entries[0]); i++, done++) {
            if (entries[i] & (ENTRY_PRESENT | ENTRY_SWAPPED)) {
                bits_set(populated, done);
            }
        }
    }
    return true;
}

void pagemap_init(Pagemap *pm)
{
    uint64_t map = 0;
    void *self = (void *)((uintptr_t)&map & ~(PAGEMAP_PAGE_SIZE - 1));

    pm->fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    /* The stack's own page is populated: a kernel that says so knows the ioctl. */
    pm->scan = pm->fd >= 0 &&
               scan(pm, (uintptr_t)self, (uintptr_t)self + PAGEMAP_PAGE_SIZE, &map) && map == 1;
}

void pagemap_clear(Pagemap *pm)
{
    if (pm->fd >= 0) {
        close(pm->fd);
    }
    pm->fd = -1;
}

bool pagemap_populated(const Pagemap *pm, const void *addr, uint64_t npages, uint64_t *populated)
{
    const uintptr_t start = (uintptr_t)addr;

    if (pm->fd < 0) {
        return false;
    }
    bits_clear_range(populated, 0, npages);
    return pm->scan ? scan(pm, start, start + npages * PAGEMAP_PAGE_SIZE, populated)
                    : read_entries(pm, start, npages, populated);
}
