/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Translations that are kept: see memory-cache.h. A cache is its owner's thread's; the generation
 * of the map, which every published view counts up, says whether what it holds is still right.
 */
#include "memory-cache.h"

#include <inttypes.h>

#include "error.h"
#include "memory-internal.h"

/* The RAM behind [gpa, gpa+len), or NULL. */
static const MemoryRange *find_ram(const MemoryView *v, uint64_t gpa, uint64_t len, bool is_write)
{
    const MemoryRange *r = memory_view_find(v, gpa);

    if (!r || r->type == MEMORY_RANGE_MMIO || (is_write && r->type == MEMORY_RANGE_ROM) ||
        len > r->size - (gpa - r->gpa)) {
        return NULL;
    }
    return r;
}

static void translate(MemoryCache *c, const char *reader)
{
    MemoryMap *m = c->map;
    /* Before the view: if a commit comes in between, the cache is out of date at once. */
    uint64_t generation = __atomic_load_n(&m->generation, __ATOMIC_ACQUIRE);
    bool pending = __atomic_load_n(&m->editor, __ATOMIC_RELAXED) == memory_this_thread();
    g_autoptr(MemoryView) v = memory_view_get_by(m, reader);
    const MemoryRange *r = find_ram(v, c->gpa, c->len, c->is_write);

    /* Of a view that was made for this reader alone nothing is kept. */
    c->generation = pending ? 0 : generation;
    c->host = r ? memory_range_host(r, c->gpa) : NULL;
    c->block = r ? r->block : NULL;
    c->block_offset = r ? r->block_offset + (c->gpa - r->gpa) : 0;
}

bool memory_cache_init_by(MemoryCache *c, MemoryMap *m, uint64_t gpa, uint64_t len, bool is_write,
                          const char *reader, GError **errp)
{
    *c = (MemoryCache){ .map = m, .gpa = gpa, .len = len, .is_write = is_write };
    translate(c, reader);
    if (!c->host) {
        memory_cache_clear(c);
        return gw_fail(errp, GW_ERROR_GENERIC, "guest address 0x%" PRIx64 ", %" PRIu64 " bytes, "
                       "is not one piece of %s", gpa, len, is_write ? "RAM" : "RAM or ROM");
    }
    return true;
}

void memory_cache_clear(MemoryCache *c)
{
    *c = (MemoryCache){ 0 };
}

uint8_t *memory_cache_ptr_by(MemoryCache *c, uint64_t offset, uint64_t len, const char *reader)
{
    if (!c->map) {
        return NULL;
    }
    if (G_UNLIKELY(c->generation != __atomic_load_n(&c->map->generation, __ATOMIC_ACQUIRE) ||
                   __atomic_load_n(&c->map->editor, __ATOMIC_RELAXED) == memory_this_thread())) {
        translate(c, reader);
    }
    return c->host && offset <= c->len && len <= c->len - offset ? c->host + offset : NULL;
}

void memory_cache_mark_dirty(MemoryCache *c, uint64_t offset, uint64_t len)
{
    if (c->block && c->map->write_hook) {
        c->map->write_hook(c->map->write_hook_opaque, c->block, c->block_offset + offset, len);
    }
}

unsigned memory_map_iov_by(MemoryMap *m, uint64_t gpa, uint64_t len, bool is_write,
                           struct iovec *iov, unsigned max, const char *reader, GError **errp)
{
    g_autoptr(MemoryView) v = memory_view_get_by(m, reader);
    unsigned n = 0;

    while (len) {
        const MemoryRange *r = find_ram(v, gpa, 1, is_write);

        if (!r || n == max) {
            gw_fail(errp, GW_ERROR_GENERIC, "guest buffer at 0x%" PRIx64 ", %" PRIu64 " bytes to "
                    "go: %s", gpa, len, r ? "too many pieces" : "no RAM is there");
            return 0;
        }
        uint64_t here = MIN(len, r->size - (gpa - r->gpa));

        iov[n++] = (struct iovec){ memory_range_host(r, gpa), here };
        gpa += here;
        len -= here;
    }
    return n;
}
