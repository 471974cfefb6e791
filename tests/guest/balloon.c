/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * free=N: N MiB behind the memory under test, full of noise, that the guest does not use. When a
 * balloon device asks which pages are free (free-page-hint) it is told of them, block by block, and
 * some are taken into use again at the worst moments: one page of each block while its buffer is
 * still in the ring, one right after it was returned, one when the device says "done". What is
 * written then counts as the guest's data and is verified at every report, on either side of a
 * move. Also keeps the device's statistics buffer filled. The first vCPU alone, polled.
 */
#include "guest.h"
#include "virtio.h"

#define BALLOON_DEVICE 5
#define BLOCK_PAGES 64
#define FIRST_ID 0x80000000u
#define STATS_QUEUE 2
#define HINT_QUEUE 3
#define C_ID 8
#define INTERRUPT_CONFIG 2
#define SLOT_ID (RING - 1) /* the descriptor of ids; the others are blocks */
#define POLL_US 500

enum { F_STATS = 1, F_HINT = 3 };
enum { TAG_SWAP_IN = 0, TAG_FREE = 4, TAG_TOTAL = 5 };
enum { IN_RING = 1, RETURNED = 2, DONE = 3 }; /* which page of a block is used again, and when */

static struct vring rings[2];
static struct virtio device;
static struct virtqueue stats, hints;
static struct __attribute__((packed)) { uint16_t tag; uint64_t value; } numbers[3];
static uint32_t id_sent, id, generation;
static uint64_t block, end; /* the next block to tell of; how many there are */
static uint64_t block_of[RING];
static bool busy[RING], present, asked, ended;
struct balloon_counters balloon;

static uint64_t first_page(uint64_t b)
{
    return memory.pages + b * BLOCK_PAGES;
}

static void use_again(uint64_t b, unsigned which)
{
    uint64_t index = first_page(b) + which;
    memory.generation[index] = ++generation;
    page_fill(index, generation);
    balloon.used++;
}

static void give_stats(void)
{
    numbers[0].tag = TAG_SWAP_IN; /* how often we were asked */
    numbers[0].value = balloon.stats;
    numbers[1].tag = TAG_FREE;
    numbers[1].value = memory.free_pages * PAGE_SIZE;
    numbers[2].tag = TAG_TOTAL;
    numbers[2].value = (memory.pages + memory.free_pages) * PAGE_SIZE;
    stats.ring->desc[0] = (struct vring_desc){(uint64_t)numbers, sizeof(numbers), 0, 0};
    virtqueue_add(&stats, 0);
    virtqueue_kick(&device, &stats);
}

static void send_id(uint32_t value)
{
    id_sent = value;
    hints.ring->desc[SLOT_ID] = (struct vring_desc){(uint64_t)&id_sent, 4, 0, 0};
    busy[SLOT_ID] = true;
    virtqueue_add(&hints, SLOT_ID);
    virtqueue_kick(&device, &hints);
}

/* Everything is free again, whatever it was used for. */
static void begin(void)
{
    for (uint64_t i = 0; i < memory.free_pages; i++)
        memory.generation[memory.pages + i] = 0;
    block = 0;
    asked = ended = false;
    balloon.asked++;
    send_id(id);
}

static void take_done(void)
{
    uint16_t head;
    uint32_t length;
    while (virtqueue_done(&hints, &head, &length)) {
        busy[head] = false;
        if (head != SLOT_ID) {
            balloon.hinted++;
            use_again(block_of[head], RETURNED);
        }
    }
}

static void tell_more(void)
{
    bool added = false;
    for (uint16_t i = 0; i < SLOT_ID && block < end; i++) {
        if (busy[i])
            continue;
        hints.ring->desc[i] = (struct vring_desc){(uint64_t)memory_page(first_page(block)),
                                                  BLOCK_PAGES * PAGE_SIZE, DESC_WRITE, 0};
        block_of[i] = block++;
        busy[i] = added = true;
        virtqueue_add(&hints, i);
        use_again(block_of[i], IN_RING);
    }
    if (added)
        virtqueue_kick(&device, &hints);
}

static void look_at_config(void)
{
    uint32_t now = virtio_config(&device, C_ID, 4);
    if (now == 1 && id >= FIRST_ID) {
        for (uint64_t b = 0; b < end; b++)
            use_again(b, DONE);
        balloon.done++;
    } else if (now >= FIRST_ID && now != id) {
        asked = true;
    }
    id = now;
}

static void verify(void)
{
    for (uint64_t i = memory.pages; i < memory.pages + memory.free_pages; i++) {
        if (!memory.generation[i])
            continue;
        balloon.verified++;
        if (page_verify(i, memory.generation[i]) != RIGHT)
            balloon.wrong++;
    }
}

void balloon_setup(struct work *w)
{
    for (uint64_t i = 0; i < memory.free_pages; i++)
        page_fill(memory.pages + i, 1);
    generation = 1;
    end = memory.free_pages / BLOCK_PAGES;
    if (!options.free || !virtio_find(&device, BALLOON_DEVICE, 0))
        return;
    virtio_negotiate(&device, 1ull << F_STATS | 1ull << F_HINT);
    virtqueue_setup(&device, &stats, &rings[0], STATS_QUEUE);
    if (virtio_has(&device, F_HINT))
        virtqueue_setup(&device, &hints, &rings[1], HINT_QUEUE);
    virtio_ready(&device);
    present = true;
    balloon.hinting = virtio_has(&device, F_HINT);
    give_stats();
}

void balloon_step(struct work *w)
{
    static uint64_t next;
    uint64_t now = rdtsc();
    uint16_t head;
    uint32_t length;
    if (!present || now < next)
        return;
    next = now + clock_from_us(POLL_US);
    if (virtqueue_done(&stats, &head, &length)) {
        balloon.stats++;
        give_stats();
    }
    if (!balloon.hinting)
        return;
    take_done();
    if (virtio_interrupts(&device) & INTERRUPT_CONFIG)
        look_at_config();
    if (id < FIRST_ID || busy[SLOT_ID])
        return;
    if (asked) {
        begin();
    } else if (block < end) {
        tell_more();
    } else if (!ended) {
        ended = true;
        send_id(0);
    }
}

void balloon_housekeeping(struct work *w)
{
    if (options.free)
        verify();
}
