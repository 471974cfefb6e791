/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's kicks as ioeventfds of the transport's window: a write of the queue's number signals
 * the queue's eventfd, which the device's I/O thread waits on, and no vCPU leaves the guest for it.
 * A queue gets one at DRIVER_OK and keeps it: to take one away costs a grace period of KVM's,
 * milliseconds at times, and a kick while the device is not ready is dropped by the I/O thread. A
 * kick that comes otherwise (an accelerator without ioeventfds, ioeventfd=off) ends in the same
 * eventfd.
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

        if (!vdev->started || !vq->desc || memory_region_has_ioeventfd(r, &e)) {
            continue;
        }
        if (!memory_region_add_ioeventfd(r, &e, errp)) {
            return false;
        }
        set++;
    }
    trace_event(virtio_ioeventfd, "%s %s: %u queues more", vdev->class->name,
                vdev->id ? vdev->id : "", set);
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
