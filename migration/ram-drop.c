/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Gives guest memory back to the kernel, so that it reads as missing or, later, as zeros. Any
 * thread that knows that nobody uses the range.
 */
#include "ram-block.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "error.h"

/* A page of the user's own file, mapped privately, is never missing, and must not be cut out of
 * it. */
bool ram_block_can_drop(const RAMBlock *b, GError **errp)
{
    const uint32_t kind = b->info.flags & (RAM_BLOCK_NAMED_FILE | RAM_BLOCK_SHARED);

    return kind != RAM_BLOCK_NAMED_FILE ||
           gw_fail(errp, GW_ERROR_UNSUPPORTED,
                   "block '%s' is a private mapping of a file: use share=on, "
                   "memory-backend-memfd or memory-backend-ram", b->info.idstr);
}

/* The pages of the backing file and, where the mapping is private, the mapping's own. Only a page
 * that is in neither faults. */
bool ram_block_drop(const RAMBlock *b, uint64_t offset, uint64_t len, GError **errp)
{
    uint8_t *host = b->info.host + offset;

    if (len == 0) {
        return true;
    }
    if (!ram_block_can_drop(b, errp)) {
        g_prefix_error(errp, "postcopy: ");
        return false;
    }
    if (b->info.fd >= 0 &&
        fallocate(b->info.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)(b->info.fd_offset + offset), (off_t)len) < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, errno,
                             "postcopy: cannot empty block '%s': its file has no holes; use "
                             "memory-backend-memfd or memory-backend-ram", b->info.idstr);
    }
    if (!(b->info.fd >= 0 && (b->info.flags & RAM_BLOCK_SHARED)) &&
        madvise(host, len, MADV_DONTNEED) < 0) {
        return gw_fail_errno(errp, GW_ERROR_UNSUPPORTED, errno,
                             "postcopy: cannot empty block '%s' (is it locked or preallocated?)",
                             b->info.idstr);
    }
    return true;
}
