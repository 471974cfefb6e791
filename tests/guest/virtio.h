/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtio over mmio from the driver's side: the registers of version 1 (legacy) and 2, and
 * split rings of RING entries (virtio 1.2, 2.7 and 4.2). One vCPU drives a device.
 */
#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include "cpu.h"

#define RING 32

struct vring_desc {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};
enum { DESC_NEXT = 1, DESC_WRITE = 2 };

/* A whole ring, in the layout that legacy devices want. */
struct vring {
    struct vring_desc desc[RING];
    struct {
        uint16_t flags, index, ring[RING], used_event;
    } avail;
    struct {
        uint16_t flags, index;
        struct { uint32_t id, length; } ring[RING];
        uint16_t avail_event;
    } used __attribute__((aligned(4096)));
} __attribute__((aligned(4096)));

struct virtqueue {
    struct vring *ring;
    uint16_t index;     /* of the queue */
    uint16_t last_used; /* entries of `used` that were looked at */
};

struct virtio {
    volatile uint8_t *registers;
    uint64_t features;
};

/* Leads the device's interrupt line to that vector of the first vCPU, as the firmware's tables say
 * it is wired; returns the line's number. */
unsigned virtio_route(const struct virtio *v, uint8_t vector);
/* Maps the windows and finds the n-th device of that id; false: there is none. */
bool virtio_find(struct virtio *v, uint32_t id, unsigned n);
/* Reset, acknowledge, and as many of `wanted` as the device offers. */
void virtio_negotiate(struct virtio *v, uint64_t wanted);
void virtio_ready(struct virtio *v);
bool virtio_has(const struct virtio *v, unsigned bit);
uint32_t virtio_config(const struct virtio *v, unsigned offset, unsigned size);
/* Returns and acknowledges the interrupt bits. */
uint32_t virtio_interrupts(struct virtio *v);

void virtqueue_setup(struct virtio *v, struct virtqueue *q, struct vring *ring, uint16_t index);
/* Makes the chain that begins at descriptor `head` available; virtqueue_kick() tells of it. */
void virtqueue_add(struct virtqueue *q, uint16_t head);
void virtqueue_kick(struct virtio *v, struct virtqueue *q);
/* The next chain that the device is done with; false: none. */
bool virtqueue_done(struct virtqueue *q, uint16_t *head, uint32_t *length);

#endif
