/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An interrupt line and the transports that share it. It is high while one of them has a bit of
 * its interrupt status set.
 *
 * Boards wire these lines as edges (MP table) or as levels (ACPI) of an I/O APIC that does not hear
 * of the end of an interrupt: either way nobody interrupts the guest again for a line that stays
 * high. So when the guest has acknowledged something and a bit is left, of this transport or
 * another, the line goes low and high once more.
 *
 * Any thread; `lock` is a leaf and makes status bit and line one step, for a device raises it on
 * its own thread while the guest acknowledges on another.
 */
#include "virtio-line.h"

#include "lock.h"

struct VirtIOLine {
    Machine *machine;
    unsigned gsi;
    pthread_mutex_t lock;
    unsigned high; /* how many transports hold it */
};

static void line_free(void *opaque)
{
    VirtIOLine *l = opaque;

    pthread_mutex_destroy(&l->lock);
    g_free(l);
}

VirtIOLine *virtio_line_new(Machine *m, unsigned gsi)
{
    VirtIOLine *l = g_new0(VirtIOLine, 1);

    l->machine = m;
    l->gsi = gsi;
    pthread_mutex_init(&l->lock, NULL);
    machine_add_device(m, l, line_free, NULL);
    return l;
}

void virtio_line_update(VirtIOLine *l, bool *holds, const uint32_t *isr, bool acked)
{
    LOCK_GUARD(&l->lock);
    const bool was = *holds, before = l->high;

    *holds = __atomic_load_n(isr, __ATOMIC_SEQ_CST) != 0;
    l->high += *holds;
    l->high -= was;

    const bool again = before && l->high && (acked || (was && !*holds));

    if (before && (again || !l->high)) {
        machine_set_irq(l->machine, l->gsi, 0);
    }
    if (l->high && (again || !before)) {
        machine_set_irq(l->machine, l->gsi, 1);
    }
}
