/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 64 Ki I/O ports. Machine lock held for everything here. An access that no device claims reads
 * as all ones; one that only fits a device in part is split into bytes, as on a bus of 8 bits.
 */
#include "error.h"
#include "memory-internal.h"

static IoPortRange *find(MemoryMap *m, unsigned port)
{
    unsigned lo = 0, hi = m->ports->len;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        IoPortRange *r = &g_array_index(m->ports, IoPortRange, mid);

        if (port < r->port) {
            hi = mid;
        } else if (port >= r->port + r->count) {
            lo = mid + 1;
        } else {
            return r;
        }
    }
    return NULL;
}

bool ioport_add(MemoryMap *m, uint16_t port, unsigned count, const MmioOps *ops, void *opaque,
                const char *name, GError **errp)
{
    IoPortRange r = { .port = port, .count = count, .ops = ops, .opaque = opaque };
    unsigned at = 0;

    if (count == 0 || port + count > 0x10000) {
        return gw_fail(errp, GW_ERROR_GENERIC, "I/O ports 0x%x+%u of '%s' are out of range", port,
                       count, name);
    }
    for (; at < m->ports->len; at++) {
        IoPortRange *other = &g_array_index(m->ports, IoPortRange, at);

        if (other->port >= port + count) {
            break;
        }
        if (other->port + other->count > port) {
            return gw_fail(errp, GW_ERROR_GENERIC, "I/O port 0x%x of '%s' is in use by '%s'",
                           MAX(port, other->port), name, other->name);
        }
    }
    g_strlcpy(r.name, name, sizeof(r.name));
    g_array_insert_val(m->ports, at, r);
    return true;
}

uint64_t ioport_read(MemoryMap *m, uint16_t port, unsigned size)
{
    IoPortRange *r = find(m, port);
    uint64_t v = 0;

    if (r && port + size <= r->port + r->count) {
        return r->ops->read ? r->ops->read(r->opaque, port - r->port, size) : UINT64_MAX;
    }
    for (unsigned i = 0; i < size; i++) {
        IoPortRange *b = find(m, port + i);
        uint64_t byte = b && b->ops->read ? b->ops->read(b->opaque, port + i - b->port, 1) : 0xff;

        v |= (byte & 0xff) << (8 * i);
    }
    return v;
}

void ioport_write(MemoryMap *m, uint16_t port, uint64_t value, unsigned size)
{
    IoPortRange *r = find(m, port);

    if (r && port + size <= r->port + r->count) {
        if (r->ops->write) {
            r->ops->write(r->opaque, port - r->port, value, size);
        }
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        IoPortRange *b = find(m, port + i);

        if (b && b->ops->write) {
            b->ops->write(b->opaque, port + i - b->port, (value >> (8 * i)) & 0xff, 1);
        }
    }
}
