/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest physical reads and writes by everything but the guest's own instructions: devices, the
 * monitor, and the accelerator's MMIO exits.
 *
 * Any thread; works on a reference to the present view. Device callbacks run with the machine lock,
 * taken here unless the caller says that it holds it.
 */
#include <string.h>
#include <sys/eventfd.h>

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

static void mmio_write(const MemoryView *v, const MemoryRange *r, uint64_t gpa, uint64_t value,
                       unsigned size)
{
    int fd = memory_view_ioeventfd(v, gpa, value, size);

    if (fd >= 0) {
        /* Where the accelerator has no ioeventfds, or the write is not the guest's. A counter that
         * is full wakes its reader as well. */
        eventfd_write(fd, 1);
    } else if (r->ops->write) {
        r->ops->write(r->opaque, r->region_offset + (gpa - r->gpa), value, size);
    }
}

/* Machine lock held. */
static void mmio_access(const MemoryView *v, const MemoryRange *r, uint64_t gpa, uint8_t *buf,
                        uint64_t len, bool is_write, bool whole)
{
    while (len) {
        uint64_t offset = r->region_offset + (gpa - r->gpa);
        unsigned size = access_size(offset, len, whole);
        uint64_t value = 0;

        if (is_write) {
            memcpy(&value, buf, size);
            mmio_write(v, r, gpa, value, size);
        } else {
            value = r->ops->read ? r->ops->read(r->opaque, offset, size) : UINT64_MAX;
            memcpy(buf, &value, size);
        }
        buf += size;
        gpa += size;
        len -= size;
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

/* One access: what it is, and how far it got. */
typedef struct Access {
    MemoryMap *m;
    uint64_t gpa, len, total;
    uint8_t *buf;
    bool is_write;
    bool locked;
    bool mapped;
    const char *reader;
} Access;

/* The next piece that lies in one range, or in the hole before it. False: it is a device's, and the
 * machine lock is not held. */
static bool access_step(Access *a, const MemoryView *v)
{
    unsigned i = memory_view_lower_bound(v, a->gpa);
    const MemoryRange *r = i < v->n ? &v->ranges[i] : NULL;
    uint64_t n;

    if (!r || r->gpa > a->gpa) {
        n = r ? MIN(a->len, r->gpa - a->gpa) : a->len;
        a->mapped = false;
        if (!a->is_write) {
            memset(a->buf, 0xff, n);
        }
    } else {
        n = MIN(a->len - 1, r->gpa + (r->size - 1) - a->gpa) + 1;
        if (r->type != MEMORY_RANGE_MMIO) {
            ram_access(a->m, r, a->gpa, a->buf, n, a->is_write);
        } else if (a->locked || !a->m->lock) {
            mmio_access(v, r, a->gpa, a->buf, n, a->is_write, n == a->total);
        } else {
            return false;
        }
    }
    a->buf += n;
    a->gpa += n;
    a->len -= n;
    return true;
}

static bool access_all(Access *a)
{
    while (a->len) {
        g_autoptr(MemoryView) v = memory_view_get_by(a->m, a->reader);

        while (a->len && access_step(a, v)) {
        }
        if (a->len) {
            /* Look again with the lock: the device may be gone, and its window with it. */
            g_autoptr(MemoryView) now = NULL;

            a->m->lock(a->m->lock_opaque);
            a->locked = true;
            now = memory_view_get_by(a->m, a->reader);
            access_step(a, now);
            a->locked = false;
            a->m->unlock(a->m->lock_opaque);
        }
    }
    return a->mapped;
}

bool memory_read_by(MemoryMap *m, uint64_t gpa, void *buf, uint64_t len, bool locked,
                    const char *reader)
{
    Access a = { m, gpa, len, len, buf, false, locked, true, reader };

    return access_all(&a);
}

bool memory_write_by(MemoryMap *m, uint64_t gpa, const void *buf, uint64_t len, bool locked,
                     const char *reader)
{
    Access a = { m, gpa, len, len, (uint8_t *)buf, true, locked, true, reader };

    return access_all(&a);
}

uint8_t *memory_host_ptr_by(MemoryMap *m, uint64_t gpa, uint64_t len, const char *reader)
{
    g_autoptr(MemoryView) v = memory_view_get_by(m, reader);
    const MemoryRange *r = memory_view_find(v, gpa);

    /* The mapping itself lives as long as its block, so the address outlives the view. */
    if (!r || r->type == MEMORY_RANGE_MMIO || len > r->size - (gpa - r->gpa)) {
        return NULL;
    }
    return memory_range_host(r, gpa);
}

void memory_mark_dirty_by(MemoryMap *m, uint64_t gpa, uint64_t len, const char *reader)
{
    g_autoptr(MemoryView) v = memory_view_get_by(m, reader);

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
