/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device for tests and benchmarks of device loads: a window of registers with an ioeventfd for
 * each queue, and a ring in guest memory for each. Its state says where the window and the rings
 * are. Loading takes the window away and puts it and the ioeventfds where the source had them, as a
 * bus does that was configured anew, and translates the rings when the map holds.
 */
#ifndef TESTS_WINDOW_DEVICE_H
#define TESTS_WINDOW_DEVICE_H

#include <sys/eventfd.h>
#include <unistd.h>

#include "error.h"
#include "machine.h"
#include "memory-cache.h"
#include "memory-region.h"

#define WINDOW_SIZE 0x200
#define WINDOW_BASE UINT64_C(0xfeb00000)
#define WINDOW_NOTIFY 0x50
#define WINDOW_QUEUES 16
#define WINDOW_RING 256 /* bytes */

typedef struct WindowDevice {
    Machine *machine;
    MemoryRegion *window;
    unsigned nr_queues;
    int fds[WINDOW_QUEUES];
    MemoryCache rings[WINDOW_QUEUES];
    /* state */
    uint64_t base;
    uint64_t ring[WINDOW_QUEUES]; /* guest addresses, 0: none */
    /* mistakes to make */
    bool reads_in_post_load, reads_in_apply, fails_in_apply;
    uint8_t seen; /* by those reads: the first byte of the first ring */
} WindowDevice;

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    return ((WindowDevice *)opaque)->base + offset;
}

static const MmioOps window_ops = { window_read, NULL };

static inline MemoryIoeventfd window_event(const WindowDevice *d, unsigned queue)
{
    return (MemoryIoeventfd){ WINDOW_NOTIFY, 4, true, queue, d->fds[queue] };
}

static inline bool window_set_events(WindowDevice *d, bool on, GError **errp)
{
    bool ok = true;

    for (unsigned i = 0; ok && i < d->nr_queues; i++) {
        MemoryIoeventfd e = window_event(d, i);

        ok = on ? memory_region_add_ioeventfd(d->window, &e, errp)
                : memory_region_del_ioeventfd(d->window, &e, errp);
    }
    return ok;
}

static inline bool window_make_rings(WindowDevice *d, GError **errp)
{
    for (unsigned i = 0; i < d->nr_queues; i++) {
        if (d->ring[i] && !memory_cache_init(&d->rings[i], d->machine->memory, d->ring[i],
                                             WINDOW_RING, true, errp)) {
            return false;
        }
    }
    return true;
}

static inline void window_peek(WindowDevice *d)
{
    memory_read(d->machine->memory, d->ring[0], &d->seen, 1, true);
}

static inline bool window_post_load(void *opaque, int version_id, GError **errp)
{
    WindowDevice *d = opaque;

    if (d->reads_in_post_load) {
        window_peek(d);
    }
    return d->base % WINDOW_SIZE == 0 ||
           gw_fail(errp, GW_ERROR_PROTOCOL, "window at 0x%llx", (unsigned long long)d->base);
}

static inline bool window_apply(void *opaque, GError **errp)
{
    WindowDevice *d = opaque;
    MemoryRegion *root = memory_map_root(d->machine->memory);

    if (d->fails_in_apply) {
        return gw_fail(errp, GW_ERROR_GENERIC, "window does not fit");
    }
    if (!window_set_events(d, false, errp) || !memory_region_remove(d->window, errp) ||
        !memory_region_add_overlap(root, d->base, d->window, 0, errp) ||
        !window_set_events(d, true, errp)) {
        return false;
    }
    if (d->reads_in_apply) {
        window_peek(d);
    }
    return true;
}

static inline bool window_post_commit(void *opaque, GError **errp)
{
    return window_make_rings(opaque, errp);
}

static const VMStateDescription window_vmstate = {
    .name = "window",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = window_post_load,
    .apply = window_apply,
    .post_commit = window_post_commit,
    .fields = (const VMStateField[]){
        VMSTATE_UINT64(base, WindowDevice), VMSTATE_UINT64_ARRAY(ring, WindowDevice, WINDOW_QUEUES),
        VMSTATE_END,
    },
};

static inline void window_free(gpointer opaque)
{
    WindowDevice *d = opaque;

    memory_region_free(d->window);
    for (unsigned i = 0; i < d->nr_queues; i++) {
        close(d->fds[i]);
    }
    g_free(d);
}

/* At its place by index. Machine lock held; the machine owns it. */
static inline WindowDevice *window_new(Machine *m, unsigned index, unsigned nr_queues)
{
    WindowDevice *d = g_new0(WindowDevice, 1);
    g_autofree char *name = g_strdup_printf("window%u", index);
    GError *err = NULL;

    d->machine = m;
    d->nr_queues = nr_queues;
    d->base = WINDOW_BASE + index * WINDOW_SIZE;
    d->window = memory_region_new_mmio(m->memory, name, &window_ops, d, WINDOW_SIZE);
    for (unsigned i = 0; i < nr_queues; i++) {
        d->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (window_set_events(d, true, &err)) {
        memory_region_add_overlap(memory_map_root(m->memory), d->base, d->window, 0, &err);
    }
    g_assert_no_error(err);
    gw_vmstate_register(m->migration, NULL, index, &window_vmstate, d, MIGRATION_PRIORITY_DEFAULT,
                        &err);
    g_assert_no_error(err);
    machine_add_device(m, d, window_free, NULL);
    return d;
}

#endif
