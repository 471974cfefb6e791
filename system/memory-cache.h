/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory that a device looks at again and again (rings): translated once, and again after the
 * map has changed. A cache is used by one thread at a time and costs one atomic load per access.
 *
 * It is made in `post_commit` or later: a translation of a map that has edits pending is a mistake
 * which debug builds stop at, naming the caller (docs/devel/migration/device-load). A commit makes
 * every cache translate again at its next use, so none is ever stale. The host address stays
 * mapped as long as the machine lives: an access that races with a commit reads the old place, as
 * a device that was a moment earlier.
 */
#ifndef SYSTEM_MEMORY_CACHE_H
#define SYSTEM_MEMORY_CACHE_H

#include <sys/uio.h>

#include "memory.h"

/* Zeroed: no memory behind it. The fields are memory-cache.c's. */
typedef struct MemoryCache {
    MemoryMap *map;
    uint64_t gpa, len;
    uint64_t generation;   /* of the map, when it was translated; 0: never */
    uint8_t *host;         /* NULL: not RAM */
    RAMBlock *block;
    uint64_t block_offset;
    bool is_write;
} MemoryCache;

/* [gpa, gpa+len) must be one piece of RAM (or of ROM, unless is_write); if it is not: false, and
 * the cache has no memory behind it. */
bool memory_cache_init_by(MemoryCache *c, MemoryMap *m, uint64_t gpa, uint64_t len,
                          bool is_write, const char *reader, GError **errp);
#define memory_cache_init(c, m, gpa, len, is_write, errp) \
    memory_cache_init_by((c), (m), (gpa), (len), (is_write), __func__, (errp))
void memory_cache_clear(MemoryCache *c);
/* Host address of `len` bytes at `offset`; NULL when they are outside, or no longer RAM. Do not
 * keep it across a point where the map may change. */
uint8_t *memory_cache_ptr_by(MemoryCache *c, uint64_t offset, uint64_t len, const char *reader);
#define memory_cache_ptr(c, offset, len) memory_cache_ptr_by((c), (offset), (len), __func__)
/* After writing through memory_cache_ptr(): tells the dirty log. */
void memory_cache_mark_dirty(MemoryCache *c, uint64_t offset, uint64_t len);

/* Host addresses of a buffer, which may lie in several pieces of RAM. Returns how many iov[] were
 * filled, at most `max`; 0 when some of it is no RAM (read-only with is_write) or does not fit in
 * max, with *errp. Any thread. After a write: memory_mark_dirty(). */
unsigned memory_map_iov_by(MemoryMap *m, uint64_t gpa, uint64_t len, bool is_write,
                           struct iovec *iov, unsigned max, const char *reader, GError **errp);
#define memory_map_iov(m, gpa, len, is_write, iov, max, errp) \
    memory_map_iov_by((m), (gpa), (len), (is_write), (iov), (max), __func__, (errp))

#endif
