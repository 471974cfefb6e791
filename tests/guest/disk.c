/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk=N: traffic on every virtio-blk disk, N requests at a time, spread over its queues. The disk
 * is a row of blocks of 4 KiB; what block b contains follows from its number, its generation and
 * the seed, as with the pages of memory (page.c), and the generations are kept in memory: a block
 * that is lost, stale, torn or misplaced on either side of a move is found by the next read.
 *
 * Reads go round the disk, so that `passes` tells how often all of each disk was verified; writes,
 * zeroes and flushes come in between at random. The first vCPU alone, polled. The table of the
 * generations is read from outside as well, to compare an image with what the guest wrote:
 * tests/qtest/godwit/disk.py.
 */
#include "guest.h"
#include "virtio.h"

#define DISKS 3
#define QUEUES 4
#define SLOTS 8
#define BLOCKS 1024
#define BLOCK_WORDS 512
#define BLOCK_SECTORS 8
#define DEVICE_ID 2
#define STUCK_US 20000000
#define STILL_US 1000000

enum { F_FLUSH = 9, F_MQ = 12, F_WRITE_ZEROES = 14, F_RO = 5 };
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_WRITE_ZEROES = 13 };
enum { C_CAPACITY = 0, C_QUEUES = 34 };
enum { ZEROED = 0x80000000u }; /* in a generation: the block was zeroed since */

struct slot {
    struct { uint32_t type, priority; uint64_t sector; } header;
    struct { uint64_t sector; uint32_t sectors, flags; } segment;
    uint64_t data[BLOCK_WORDS];
    uint64_t since;
    uint32_t block;
    volatile uint8_t status;
    bool busy, late;
};

/* What the guest knows of a disk. */
static struct table {
    uint32_t generation[BLOCKS];
    uint8_t in_flight[BLOCKS]; /* a request that is not answered yet */
} tables[DISKS];

static struct disk {
    struct virtio device;
    struct virtqueue queue[QUEUES];
    struct slot slot[SLOTS];
    struct table *table;
    uint64_t passes;
    uint32_t blocks, queues, next_read;
} disks[DISKS];

static struct vring rings[DISKS][QUEUES];
struct disk_counters disk;

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static uint64_t word(uint64_t start, unsigned i)
{
    return (start + i) * 0x9e3779b97f4a7c15ull;
}

static uint64_t content(const struct disk *d, uint32_t block, uint32_t generation)
{
    return mix(options.seed + ((uint64_t)(d - disks) << 56 | (uint64_t)generation << 24 | block));
}

static uint64_t next_random(struct work *w)
{
    static uint64_t state = 88172645463325252ull;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state + w->cpu;
}

static void fill(const struct disk *d, struct slot *s)
{
    uint64_t start = content(d, s->block, d->table->generation[s->block]);
    for (unsigned i = 0; i < BLOCK_WORDS; i++)
        s->data[i] = word(start, i);
}

static void verify(const struct disk *d, const struct slot *s)
{
    uint32_t generation = d->table->generation[s->block];
    uint64_t start = content(d, s->block, generation), difference = 0;
    for (unsigned i = 0; i < BLOCK_WORDS; i++)
        difference |= s->data[i] ^ (generation & ZEROED ? 0 : word(start, i));
    disk.verified++;
    if (difference && disk.wrong++ == 0)
        disk.first = s->block;
}

static void chain(struct vring_desc *desc, unsigned at, const volatile void *address,
                  uint32_t length, unsigned flags)
{
    desc[at].address = (uint64_t)address;
    desc[at].length = length;
    desc[at].flags = (uint16_t)flags;
    desc[at].next = (uint16_t)(at + 1);
}

/* Three descriptors of the slot's own: header, data, status. */
static void submit(struct disk *d, unsigned n, uint32_t type)
{
    struct slot *s = &d->slot[n];
    struct virtqueue *q = &d->queue[n % d->queues];
    unsigned at = n * 3;
    bool zero = type == T_WRITE_ZEROES, bare = type == T_FLUSH;
    s->header.type = type;
    s->header.sector = bare || zero ? 0 : (uint64_t)s->block * BLOCK_SECTORS;
    s->segment.sector = (uint64_t)s->block * BLOCK_SECTORS;
    s->segment.sectors = BLOCK_SECTORS;
    s->segment.flags = 0;
    s->status = 0xff;
    s->busy = true;
    s->late = false;
    s->since = rdtsc();
    chain(q->ring->desc, at, &s->header, 16, DESC_NEXT);
    if (zero)
        chain(q->ring->desc, at + 1, &s->segment, 16, DESC_NEXT);
    else if (!bare)
        chain(q->ring->desc, at + 1, s->data, sizeof(s->data),
              DESC_NEXT | (type == T_OUT ? 0 : DESC_WRITE));
    else
        q->ring->desc[at].next = (uint16_t)(at + 2);
    chain(q->ring->desc, at + 2, &s->status, 1, DESC_WRITE);
    virtqueue_add(q, (uint16_t)at);
    virtqueue_kick(&d->device, q);
}

static void begin(struct work *w, struct disk *d, unsigned n)
{
    struct slot *s = &d->slot[n];
    uint64_t dice = next_random(w);
    uint32_t type = T_IN, *generation;
    if (dice % 64 == 0 && virtio_has(&d->device, F_FLUSH)) {
        s->block = BLOCKS;
        submit(d, n, T_FLUSH);
        return;
    }
    if (dice % 2) {
        s->block = d->next_read;
    } else {
        s->block = (uint32_t)((dice >> 8) % d->blocks);
        type = dice % 32 == 2 && virtio_has(&d->device, F_WRITE_ZEROES) ? T_WRITE_ZEROES : T_OUT;
    }
    if (d->table->in_flight[s->block])
        return;
    if (dice % 2 && ++d->next_read == d->blocks) {
        d->next_read = 0;
        d->passes++;
    }
    generation = &d->table->generation[s->block];
    if (type == T_IN && !*generation)
        type = T_OUT; /* nobody knows what is there */
    if (virtio_has(&d->device, F_RO))
        type = T_IN;
    /* In this order for who looks at the table while the guest stands still. */
    __atomic_store_n(&d->table->in_flight[s->block], true, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (type != T_IN)
        *generation = ((*generation & ~ZEROED) + 1) | (type == T_WRITE_ZEROES ? ZEROED : 0);
    if (type == T_OUT)
        fill(d, s);
    submit(d, n, type);
}

static void finish(struct disk *d, unsigned n)
{
    struct slot *s = &d->slot[n];
    s->busy = false;
    disk.operations++;
    if (s->status)
        disk.errors++;
    if (s->block < BLOCKS) {
        d->table->in_flight[s->block] = false;
        if (s->header.type == T_IN && d->table->generation[s->block])
            verify(d, s);
        disk.writes += s->header.type != T_IN;
    }
    if (disk.operations % 32 == 0 && virtio_interrupts(&d->device))
        disk.interrupts++;
}

static void step(struct work *w, struct disk *d)
{
    uint16_t head;
    uint32_t length;
    for (unsigned i = 0; i < d->queues; i++) {
        while (virtqueue_done(&d->queue[i], &head, &length)) {
            if (head % 3 || head / 3 >= SLOTS || !d->slot[head / 3].busy)
                disk.strange++;
            else
                finish(d, head / 3);
        }
    }
    for (unsigned n = 0; n < SLOTS && n < options.disk; n++) {
        struct slot *s = &d->slot[n];
        if (!s->busy) {
            begin(w, d, n);
        } else if (!s->late && rdtsc() - s->since > clock_from_us(STUCK_US)) {
            s->late = true;
            disk.late = s->header.type;
            disk.stuck++;
        }
    }
}

uint64_t disk_table_address(void)
{
    return (uint64_t)tables;
}

uint64_t disk_passes(void)
{
    uint64_t least = disk.disks ? UINT64_MAX : 0;
    for (unsigned i = 0; i < disk.disks; i++)
        least = disks[i].passes < least ? disks[i].passes : least;
    return least;
}

/* While the guest itself stood still nobody owed it an answer. */
static void forgive(void)
{
    for (unsigned i = 0; i < disk.disks; i++)
        for (unsigned n = 0; n < SLOTS; n++)
            disks[i].slot[n].since = rdtsc();
}

void disk_step(struct work *w)
{
    static uint64_t last;
    uint64_t now = rdtsc();
    if (last && now - last > clock_from_us(STILL_US))
        forgive();
    last = now;
    for (unsigned i = 0; i < disk.disks; i++)
        step(w, &disks[i]);
}

/* Asks for the serial number, and waits for it. */
static void read_id(struct disk *d)
{
    uint16_t head;
    uint32_t length;
    uint64_t end = rdtsc() + clock_from_us(STUCK_US);
    d->slot[0].block = BLOCKS;
    submit(d, 0, T_GET_ID);
    while (!virtqueue_done(&d->queue[0], &head, &length)) {
        if (rdtsc() > end) {
            disk.stuck++;
            return;
        }
        pause_cpu();
    }
    d->slot[0].busy = false;
    if (d == disks)
        for (unsigned i = 0; i < sizeof(disk.id) - 1; i++)
            disk.id[i] = ((const char *)d->slot[0].data)[i];
}

void disk_setup(struct work *w)
{
    while (options.disk && disk.disks < DISKS) {
        struct disk *d = &disks[disk.disks];
        d->table = &tables[disk.disks];
        if (!virtio_find(&d->device, DEVICE_ID, disk.disks))
            break;
        virtio_negotiate(&d->device, 1ull << F_FLUSH | 1ull << F_MQ | 1ull << F_WRITE_ZEROES |
                                     1ull << F_RO);
        d->queues = virtio_has(&d->device, F_MQ) ? virtio_config(&d->device, C_QUEUES, 2) : 1;
        d->queues = d->queues < QUEUES ? d->queues : QUEUES;
        for (unsigned i = 0; i < d->queues; i++)
            virtqueue_setup(&d->device, &d->queue[i], &rings[disk.disks][i], (uint16_t)i);
        virtio_ready(&d->device);
        d->blocks = virtio_config(&d->device, C_CAPACITY, 4) / BLOCK_SECTORS;
        d->blocks = d->blocks < BLOCKS ? d->blocks : BLOCKS;
        disk.queues = d->queues;
        disk.disks++;
        read_id(d);
        if (!d->blocks)
            disk.disks--;
    }
}
