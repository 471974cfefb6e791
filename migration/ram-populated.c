/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds untouched memory: PAGEMAP_SCAN for private anonymous memory, SEEK_DATA for shared memory
 * files. A read of an untouched page would cost a page fault, on shared memory even an allocation.
 * Any thread.
 */
#include "ram-populated.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bits.h"

/* A hole may only be believed where a write through a mapping fills it at once: in page cache that
 * is the file itself. */
static bool holes_are_exact(const RAMBlock *b)
{
    struct statfs fs;

    return (b->info.flags & RAM_BLOCK_SHARED) && b->info.fd >= 0 &&
           fstatfs(b->info.fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

static bool seek_data(const RAMBlock *b, uint64_t first, uint64_t n, uint64_t *map)
{
    const off_t start = (off_t)(b->info.fd_offset + (first << GW_TARGET_PAGE_BITS));
    const off_t end = start + (off_t)(n << GW_TARGET_PAGE_BITS);

    bits_clear_range(map, 0, n);
    for (off_t at = start; at < end;) {
        off_t data = lseek(b->info.fd, at, SEEK_DATA);
        off_t hole;

        if (data < 0) {
            return errno == ENXIO; /* holes up to the end of the file */
        }
        if (data >= end) {
            return true;
        }
        hole = lseek(b->info.fd, data, SEEK_HOLE);
        if (hole <= data) {
            return false;
        }
        hole = MIN(hole, end);
        data = MAX(data, at);
        bits_set_range(map, (uint64_t)(data - start) >> GW_TARGET_PAGE_BITS,
                       ((uint64_t)(hole - data) + GW_TARGET_PAGE_SIZE - 1) >> GW_TARGET_PAGE_BITS);
        at = hole;
    }
    return true;
}

void ram_block_populated(const Pagemap *pm, const RAMBlock *b, uint64_t first, uint64_t n,
                         uint64_t *map)
{
    bool known = false;

    if (ram_block_is_private_anonymous(b)) {
        known = pagemap_populated(pm, ram_block_page(b, first), n, map);
    } else if (holes_are_exact(b)) {
        known = seek_data(b, first, n, map);
    }
    if (!known) {
        bits_set_range(map, 0, n);
    }
}
