/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attach=1: brings every disk and network card up as a driver does, rings and all, and then leaves
 * them alone: an idle guest whose devices are nevertheless in use, for benchmarks of the device
 * load. Not together with disk= or net=. The first vCPU, before it works.
 */
#include "guest.h"
#include "virtio.h"

#define NET 1
#define DISK 2
#define CARD_QUEUES 3
#define BUFFER 2048

enum { F_MAC = 5, F_FLUSH = 9, F_MRG = 15, F_STATUS = 16, F_CTRL = 17 };

uint64_t attached;

static void attach(uint32_t id, uint64_t features, unsigned queues)
{
    static struct vring *ring = (struct vring *)ATTACH_RINGS;
    struct virtio device;
    struct virtqueue queue[CARD_QUEUES];
    for (unsigned n = 0; ring + queues <= (struct vring *)ATTACH_BUFFER &&
                         virtio_find(&device, id, n); n++) {
        virtio_negotiate(&device, features);
        for (uint16_t i = 0; i < queues; i++)
            virtqueue_setup(&device, &queue[i], ring++, i);
        virtio_ready(&device);
        /* Nobody looks at what comes, so one buffer does for all. */
        for (uint16_t i = 0; id == NET && i < RING; i++) {
            queue[0].ring->desc[i] = (struct vring_desc){ATTACH_BUFFER, BUFFER, DESC_WRITE, 0};
            virtqueue_add(&queue[0], i);
        }
        attached++;
    }
}

void attach_setup(void)
{
    if (!options.attach)
        return;
    attach(DISK, 1ull << F_FLUSH, 1);
    attach(NET, 1ull << F_MAC | 1ull << F_MRG | 1ull << F_STATUS | 1ull << F_CTRL, CARD_QUEUES);
}
