/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory that a device looks at again and again (rings), translated once. Host addresses of
 * RAM blocks stay valid as long as the machine, so that a cache is good until its device maps it
 * anew. Any thread that holds the device's lock.
 */
#ifndef HW_VIRTIO_CACHE_H
#define HW_VIRTIO_CACHE_H

#include <sys/uio.h>

#include "memory.h"

typedef struct MemoryCache {
    MemoryMap *map;
    uint64_t gpa, len;
    uint8_t *host; /* NULL: not RAM */
} MemoryCache;

bool memory_cache_init(MemoryCache *c, MemoryMap *m, uint64_t gpa, uint64_t len, bool is_write,
                       GError **errp);
void memory_cache_clear(MemoryCache *c);
uint8_t *memory_cache_ptr(MemoryCache *c, uint64_t offset, uint64_t len);
void memory_cache_mark_dirty(MemoryCache *c, uint64_t offset, uint64_t len);
unsigned memory_map_iov(MemoryMap *m, uint64_t gpa, uint64_t len, bool is_write,
                        struct iovec *iov, unsigned max, GError **errp);

#endif
