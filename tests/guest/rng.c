/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rng=1: takes random bytes from virtio-rng, one request at a time, and goes by interrupts alone:
 * the ring is looked at when the handler (interrupt.S) has been called, never to see whether there
 * is something in it. A lost interrupt stops it for good, and is counted once the answer has been
 * in the ring for so long that the interrupt cannot still be on its way. First vCPU only.
 */
#include "guest.h"
#include "virtio.h"

#define RNG_DEVICE 4
#define BYTES 64
#define LOST_US 300000
#define UNTOUCHED 0xa5
#define QUEUE_BIT 1

extern volatile uint64_t virtio_irq_window;
extern volatile uint32_t virtio_irq_bits, virtio_irq_count;

static struct vring ring;
static struct virtio device;
static struct virtqueue queue;
static uint8_t bytes[BYTES];
static bool present;
static uint32_t seen;         /* interrupts that were looked at */
static uint64_t answered_at;  /* when the answer was first seen in the ring; 0: not yet */
struct rng_counters rng;

static void ask(void)
{
    for (unsigned i = 0; i < BYTES; i++)
        bytes[i] = UNTOUCHED;
    ring.desc[0] = (struct vring_desc){(uint64_t)bytes, BYTES, DESC_WRITE, 0};
    answered_at = 0;
    rng.requests++;
    virtqueue_add(&queue, 0);
    virtqueue_kick(&device, &queue);
}

/* 64 random bytes that are all the same do not happen. */
static void check(uint16_t head, uint32_t length)
{
    unsigned changed = 0;
    for (unsigned i = 0; i < BYTES; i++)
        changed += bytes[i] != UNTOUCHED;
    if (head || length != BYTES || !changed)
        rng.wrong++;
}

void rng_setup(struct work *w)
{
    if (!options.rng || !virtio_find(&device, RNG_DEVICE, 0))
        return;
    virtio_negotiate(&device, 0);
    virtqueue_setup(&device, &queue, &ring, 0);
    virtio_irq_window = (uint64_t)device.registers;
    rng.gsi = virtio_route(&device, VECTOR_VIRTIO);
    virtio_ready(&device);
    present = true;
    ask();
}

/* Whether the answer has been there for long without a word. */
static bool is_lost(struct work *w)
{
    if (__atomic_load_n(&ring.used.index, __ATOMIC_ACQUIRE) == queue.last_used)
        return false;
    if (!answered_at)
        answered_at = clock_now(w);
    return clock_now(w) - answered_at > clock_from_us(LOST_US);
}

void rng_step(struct work *w)
{
    uint16_t head;
    uint32_t length;
    if (!present)
        return;
    if (virtio_irq_count == seen) {
        rng.lost = is_lost(w);
        return;
    }
    seen = virtio_irq_count;
    rng.interrupts = seen;
    if (!(virtio_irq_bits & QUEUE_BIT) || !virtqueue_done(&queue, &head, &length)) {
        rng.empty++;
        return;
    }
    rng.answered++;
    check(head, length);
    ask();
}
