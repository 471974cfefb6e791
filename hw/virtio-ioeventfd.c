/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's kicks as ioeventfds of the transport's window: a write of the queue's number signals
 * the queue's eventfd, which the device's I/O thread waits on, and no vCPU leaves the guest for it.
 * A queue has one from DRIVER_OK to the reset. A kick that comes otherwise (an accelerator without
 * ioeventfds, ioeventfd=off) ends in the same eventfd.
 *
 * vCPU threads and, in the apply phase of a load, the incoming thread; machine lock. What is set is
 * asked of the region and not noted here, since the map takes edits back by itself.
 */
#include <stdio.h>

#include "memory-region.h"
#include "trace.h"
#include "virtio-internal.h"

bool virtio_postcopy_runs(Machine *m)
{
    MigrationInfo info = { 0 };

    gw_incoming_query(m->migration, &info);

    MigrationStatus s = info.status;

    gw_migration_info_clear(&info);
    return s == MIGRATION_STATUS_POSTCOPY_ACTIVE || s == MIGRATION_STATUS_POSTCOPY_PAUSED ||
           s == MIGRATION_STATUS_POSTCOPY_RECOVER;
}

bool virtio_ioeventfd_apply(VirtIODevice *vdev, GError **errp)
{
    uint64_t offset = 0;
    MemoryRegion *r = vdev->tops ? vdev->tops->kick_region(vdev->transport, &offset) : NULL;
    unsigned set = 0;

    for (unsigned i = 0; r && i < vdev->nr_queues; i++) {
        const VirtQueue *vq = &vdev->vqs[i];
        const MemoryIoeventfd e = {
            .offset = offset, .size = 4, .match_data = true, .data = i, .fd = vq->notifier,
        };
        bool wanted = vdev->started && vq->desc, there = memory_region_has_ioeventfd(r, &e);

        if (wanted && !there && !memory_region_add_ioeventfd(r, &e, errp)) {
            return false;
        }
        if (!wanted && there && !memory_region_del_ioeventfd(r, &e, errp)) {
            return false;
        }
        set += wanted;
    }
    trace_event(virtio_ioeventfd, "%s %s: %u of %u queues", vdev->class->name,
                vdev->id ? vdev->id : "", set, vdev->nr_queues);
    return true;
}

void virtio_ioeventfd_update(VirtIODevice *vdev)
{
    MemoryMap *map = vdev->machine->memory;
    g_autoptr(GError) err = NULL;

    /* KVM may wait until no vCPU is inside the kernel, where one may wait for a page of the source:
     * the machine lock would be held for as long as the peer likes. */
    if (virtio_postcopy_runs(vdev->machine)) {
        return;
    }
    memory_transaction_begin(map);
    virtio_ioeventfd_apply(vdev, &err);
    if (!memory_transaction_commit(map, err ? NULL : &err) || err) {
        fprintf(stderr, "warning: %s%s%s: kicks leave the guest, which is slower: %s\n",
                vdev->class->name, vdev->id ? " " : "", vdev->id ? vdev->id : "", err->message);
    }
}
