/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of virtio devices: queues, the I/O thread, what the section's wire form needs. For
 * virtio*.c of the core and the transport; devices use virtio.h.
 */
#ifndef HW_VIRTIO_INTERNAL_H
#define HW_VIRTIO_INTERNAL_H

#include <linux/virtio_ring.h>

#include "memory-cache.h"
#include "virtio.h"

#define VIRTIO_ISR_QUEUE 1u
#define VIRTIO_ISR_CONFIG 2u
#define VIRTIO_LEGACY_ALIGN 4096u

struct VirtQueue {
    VirtIODevice *vdev;
    unsigned index;
    int notifier;              /* eventfd: the guest's kick, and virtio_queue_kick() */
    uint32_t num, num_default; /* entries; 0 < num <= num_default */
    uint32_t num_max;          /* what the guest may ask for */
    uint32_t align;            /* legacy: of the used ring, bytes */
    uint64_t desc, avail, used; /* guest addresses; desc 0: not set up */
    bool enabled;              /* modern: QueueReady */
    bool mapped;               /* the caches below hold */
    bool fresh;                /* used_idx is to be read from the guest's ring first */
    MemoryCache desc_cache, avail_cache, used_cache;
    uint16_t last_avail_idx, shadow_avail_idx, used_idx;
    uint16_t signalled_used;
    bool signalled_used_valid;
    bool notification;         /* the guest is to kick */
    unsigned inuse;
    /* Modern: what the guest wrote, which QueueReady makes hold. */
    struct {
        uint32_t num, desc[2], avail[2], used[2];
    } pending;
};

/* virtio.c */
void virtio_set_status(VirtIODevice *vdev, uint8_t status); /* lock held */
void virtio_reset(VirtIODevice *vdev); /* lock held; waits for I/O in flight */
/* False: the guest accepted what was not offered. Lock held. */
bool virtio_set_features(VirtIODevice *vdev, uint64_t features);
void virtio_raise(VirtIODevice *vdev, uint32_t isr_bits);

/* virtio-queue.c; lock held */
void virtqueue_reset(VirtQueue *vq);
/* Translates the rings' addresses. False: they are not RAM (the device is broken then, unless
 * errp, which gets the reason). Machine lock held as well. */
bool virtqueue_map(VirtQueue *vq, GError **errp);
void virtqueue_unmap(VirtQueue *vq);
/* Legacy: addresses of available and used ring from that of the descriptors. */
void virtqueue_layout_legacy(VirtQueue *vq);
/* Reads used->idx after a load and checks it against last_avail_idx, once. May wait for a page.
 * False: they do not go together; the device is broken then, unless errp, which gets the reason. */
bool virtqueue_refresh(VirtQueue *vq, GError **errp);

/* virtio-thread.c */
bool virtio_thread_start(VirtIODevice *vdev, GError **errp);
void virtio_thread_stop(VirtIODevice *vdev);
/* Has the I/O thread, if it runs, write back: write_back_due until it is done. Lock held. */
void virtio_thread_write_back(VirtIODevice *vdev);
VirtIOThread *virtio_thread_new(void);
void virtio_thread_free(VirtIOThread *t);

/* virtio-ioeventfd.c; machine lock */
/* Adds what the device's status and queues ask for and is not there; in the caller's transaction,
 * or one commit for each. False: refused. */
bool virtio_ioeventfd_apply(VirtIODevice *vdev, GError **errp);
/* The same in one transaction, while the guest runs. Kicks reach the device either way. */
void virtio_ioeventfd_update(VirtIODevice *vdev);

/* virtio-vmstate.c */
void virtio_wire_free(VirtIODevice *vdev);

#endif
