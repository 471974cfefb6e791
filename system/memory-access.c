/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest physical reads and writes by everything but the guest's own instructions: devices, the
 * monitor, and the accelerator's MMIO exits.
 *
 * Any thread; works on a reference to the present view. Device callbacks run with the machine lock,
 * taken here unless the caller says that it holds it.
 */
#include <string.h>

#include "memory-internal.h"

/* The largest access of 1, 2, 4 or 8 bytes at this offset, naturally aligned unless it is the whole
 * of what was asked for: a guest's own access reaches the device as it was made. */
static unsigned access_size(uint64_t offset, uint64_t len, bool whole)
{
    if (whole && len <= 8 && (len & (len - 1)) == 0) {
        return len;
    }
    unsigned size = 8;

    while (size > len || (offset & (size - 1))) {
        size >>= 1;
    }
    return size;
}

static void mmio_access(MemoryMap *m, const MemoryRange *r, uint64_t gpa, uint8_t *buf,
                        uint64_t len, bool is_write, bool whole, bool locked)
{
    if (!locked && m->lock) {
        m->lock(m->lock_opaque);
    }
    while (len) {
        uint64_t offset = gpa - r->gpa;
        unsigned size = access_size(offset, len, whole);

        if (is_write) {
            uint64_t v = 0;

            memcpy(&v, buf, size);
            if (r->ops->write) {
                r->ops->write(r->opaque, offset, v, size);
            }
        } else {
            uint64_t v = r->ops->read ? r->ops->read(r->opaque, offset, size) : UINT64_MAX;

            memcpy(buf, &v, size);
        }
        buf += size;
        gpa += size;
        len -= size;
    }
    if (!locked && m->lock) {
        m->unlock(m->lock_opaque);
    }
}

static void ram_access(MemoryMap *m, const MemoryRange *r, uint64_t gpa, uint8_t *buf,
                       uint64_t len, bool is_write)
{
    uint8_t *host = memory_range_host(r, gpa);

    if (!is_write) {
        memcpy(buf, host, len);
    } else if (r->type == MEMORY_RANGE_RAM) {
        memcpy(host, buf, len);
        /* After the bytes are there: a sync in between would otherwise take the mark and miss
         * them. */
        if (m->write_hook) {
            m->write_hook(m->write_hook_opaque, r->block, r->block_offset + (gpa - r->gpa), len);
        }
    }
}

static bool access_all(MemoryMap *m, uint64_t gpa, uint8_t *buf, uint64_t len, bool is_write,
                       bool locked)
{
    g_autoptr(MemoryView) v = memory_view_get(m);
    const uint64_t total = len;
    bool mapped = true;

    while (len) {
        unsigned i = memory_view_lower_bound(v, gpa);
        const MemoryRange *r = i < v->n ? &v->ranges[i] : NULL;
        uint64_t n;

        if (!r || r->gpa > gpa) {
            n = r ? MIN(len, r->gpa - gpa) : len;
            mapped = false;
            if (!is_write) {
                memset(buf, 0xff, n);
            }
        } else {
            n = MIN(len - 1, r->gpa + (r->size - 1) - gpa) + 1;
            if (r->type == MEMORY_RANGE_MMIO) {
                mmio_access(m, r, gpa, buf, n, is_write, n == total, locked);
            } else {
                ram_access(m, r, gpa, buf, n, is_write);
            }
        }
        buf += n;
        gpa += n;
        len -= n;
    }
    return mapped;
}

bool memory_read(MemoryMap *m, uint64_t gpa, void *buf, uint64_t len, bool locked)
{
    return access_all(m, gpa, buf, len, false, locked);
}

bool memory_write(MemoryMap *m, uint64_t gpa, const void *buf, uint64_t len, bool locked)
{
    return access_all(m, gpa, (uint8_t *)buf, len, true, locked);
}

uint8_t *memory_host_ptr(MemoryMap *m, uint64_t gpa, uint64_t len)
{
    g_autoptr(MemoryView) v = memory_view_get(m);
    const MemoryRange *r = memory_view_find(v, gpa);

    /* The mapping itself lives as long as its block, so the address outlives the view. */
    if (!r || r->type == MEMORY_RANGE_MMIO || len > r->size - (gpa - r->gpa)) {
        return NULL;
    }
    return memory_range_host(r, gpa);
}

void memory_mark_dirty(MemoryMap *m, uint64_t gpa, uint64_t len)
{
    g_autoptr(MemoryView) v = memory_view_get(m);

    while (len && m->write_hook) {
        const MemoryRange *r = memory_view_find(v, gpa);
        uint64_t n = r ? MIN(len, r->size - (gpa - r->gpa)) : 1;

        if (r && r->type == MEMORY_RANGE_RAM) {
            m->write_hook(m->write_hook_opaque, r->block, r->block_offset + (gpa - r->gpa), n);
        }
        gpa += n;
        len -= n;
    }
}
