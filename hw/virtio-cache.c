/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Translation of guest addresses for rings and buffers, over memory_host_ptr(). Any thread; the
 * host address of a piece of RAM does not change while the machine lives.
 */
#include "virtio-cache.h"

#include <inttypes.h>

#include "error.h"

bool memory_cache_init(MemoryCache *c, MemoryMap *m, uint64_t gpa, uint64_t len, bool is_write,
                       GError **errp)
{
    *c = (MemoryCache){ m, gpa, len, memory_host_ptr(m, gpa, len) };
    return c->host || gw_fail(errp, GW_ERROR_GENERIC, "0x%" PRIx64 "+0x%" PRIx64 " is not RAM",
                              gpa, len);
}

void memory_cache_clear(MemoryCache *c)
{
    *c = (MemoryCache){ 0 };
}

uint8_t *memory_cache_ptr(MemoryCache *c, uint64_t offset, uint64_t len)
{
    return c->host && offset <= c->len && len <= c->len - offset ? c->host + offset : NULL;
}

void memory_cache_mark_dirty(MemoryCache *c, uint64_t offset, uint64_t len)
{
    memory_mark_dirty(c->map, c->gpa + offset, len);
}

unsigned memory_map_iov(MemoryMap *m, uint64_t gpa, uint64_t len, bool is_write,
                        struct iovec *iov, unsigned max, GError **errp)
{
    uint8_t *host = max ? memory_host_ptr(m, gpa, len) : NULL;

    if (!host) {
        gw_fail(errp, GW_ERROR_GENERIC, "0x%" PRIx64 "+0x%" PRIx64 " is not RAM", gpa, len);
        return 0;
    }
    iov[0] = (struct iovec){ host, len };
    return 1;
}
