/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers and rings of virtio-mmio; see virtio.h. Each register access leaves the guest,
 * so there are few: a kick for new buffers, unless the device does not want it.
 */
#include "virtio.h"

#include "layout.h"

#define WINDOWS 0xfeb00000ull
#define WINDOW_SIZE 0x200
#define WINDOW_COUNT 32
#define LARGE_PAGE (2ull << 20)
#define UNCACHED_PAGE 0x9f /* large, for ring 3, write through, cache disabled */
#define MAGIC 0x74726976
#define VERSION_1 32
#define IOAPIC 0xfec00000ull
#define IOAPIC2 0xfec10000ull
#define IOAPIC_PINS 24
#define FIRST_ISA_LINE 5
#define ISA_LINES 8
enum { IOAPIC_DATA = 0x10, IOAPIC_VERSION = 1, IOAPIC_TABLE = 0x10, LEVEL = 1 << 15 };

enum {
    R_MAGIC = 0, R_VERSION = 4, R_DEVICE = 8, R_FEATURES = 0x10, R_FEATURES_SEL = 0x14,
    R_DRIVER_FEATURES = 0x20, R_DRIVER_FEATURES_SEL = 0x24, R_PAGE_SIZE = 0x28,
    R_QUEUE_SEL = 0x30, R_QUEUE_MAX = 0x34, R_QUEUE_NUM = 0x38, R_QUEUE_ALIGN = 0x3c,
    R_QUEUE_PFN = 0x40, R_QUEUE_READY = 0x44, R_NOTIFY = 0x50, R_INTERRUPT = 0x60,
    R_ACKNOWLEDGE = 0x64, R_STATUS = 0x70, R_DESC = 0x80, R_AVAIL = 0x90, R_USED = 0xa0,
    R_CONFIG = 0x100,
};
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
enum { NO_NOTIFY = 1 };

static volatile uint32_t *reg(const struct virtio *v, unsigned offset)
{
    return (volatile uint32_t *)(v->registers + offset);
}

static bool is_legacy(const struct virtio *v)
{
    return *reg(v, R_VERSION) == 1;
}

static void map_window(uint64_t address)
{
    uint64_t *directory = (uint64_t *)(PAGE_DIRS + 3 * 4096);
    directory[address >> 21 & 511] = (address & -LARGE_PAGE) | UNCACHED_PAGE;
}

static void ioapic_write(uint64_t chip, uint32_t index, uint32_t value)
{
    *(volatile uint32_t *)chip = index;
    *(volatile uint32_t *)(chip + IOAPIC_DATA) = value;
}

/* A board with a second I/O APIC has the devices there, as levels (ACPI); else they are on ISA
 * lines from 5 on, edges (MP table). Both high when active. */
unsigned virtio_route(const struct virtio *v, uint8_t vector)
{
    unsigned window = (unsigned)(((uint64_t)v->registers - WINDOWS) / WINDOW_SIZE);
    unsigned pin = window % IOAPIC_PINS;
    uint64_t chip = IOAPIC2;
    uint32_t trigger = LEVEL;
    map_window(IOAPIC);
    *(volatile uint32_t *)chip = IOAPIC_VERSION;
    uint32_t version = *(volatile uint32_t *)(chip + IOAPIC_DATA);
    if (version == 0 || version == UINT32_MAX) { /* nobody is there */
        chip = IOAPIC;
        pin = FIRST_ISA_LINE + window % ISA_LINES;
        trigger = 0;
    }
    ioapic_write(chip, IOAPIC_TABLE + 2 * pin + 1, 0);
    ioapic_write(chip, IOAPIC_TABLE + 2 * pin, trigger | vector);
    return chip == IOAPIC2 ? IOAPIC_PINS + pin : pin;
}

bool virtio_find(struct virtio *v, uint32_t id, unsigned n)
{
    map_window(WINDOWS);
    /* From the last to the first, the order in which a board gives them away. */
    for (int i = WINDOW_COUNT - 1; i >= 0; i--) {
        v->registers = (volatile uint8_t *)(WINDOWS + (uint64_t)i * WINDOW_SIZE);
        if (*reg(v, R_MAGIC) == MAGIC && *reg(v, R_DEVICE) == id && n-- == 0)
            return true;
    }
    return false;
}

void virtio_negotiate(struct virtio *v, uint64_t wanted)
{
    bool legacy = is_legacy(v);
    uint64_t offered;
    *reg(v, R_STATUS) = 0;
    *reg(v, R_STATUS) = ACKNOWLEDGE;
    *reg(v, R_STATUS) = ACKNOWLEDGE | DRIVER;
    *reg(v, R_FEATURES_SEL) = 0;
    offered = *reg(v, R_FEATURES);
    if (!legacy) {
        *reg(v, R_FEATURES_SEL) = 1;
        offered |= (uint64_t)*reg(v, R_FEATURES) << 32;
        wanted |= 1ull << VERSION_1;
    }
    v->features = offered & wanted;
    *reg(v, R_DRIVER_FEATURES_SEL) = 0;
    *reg(v, R_DRIVER_FEATURES) = (uint32_t)v->features;
    if (legacy) {
        *reg(v, R_PAGE_SIZE) = 4096;
    } else {
        *reg(v, R_DRIVER_FEATURES_SEL) = 1;
        *reg(v, R_DRIVER_FEATURES) = (uint32_t)(v->features >> 32);
        *reg(v, R_STATUS) = ACKNOWLEDGE | DRIVER | FEATURES_OK;
    }
}

void virtio_ready(struct virtio *v)
{
    *reg(v, R_STATUS) = *reg(v, R_STATUS) | DRIVER_OK;
}

bool virtio_has(const struct virtio *v, unsigned bit)
{
    return v->features >> bit & 1;
}

uint32_t virtio_config(const struct virtio *v, unsigned offset, unsigned size)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)v->registers[R_CONFIG + offset + i] << (8 * i);
    return value;
}

uint32_t virtio_interrupts(struct virtio *v)
{
    uint32_t bits = *reg(v, R_INTERRUPT);
    if (bits)
        *reg(v, R_ACKNOWLEDGE) = bits;
    return bits;
}

static void set_address(struct virtio *v, unsigned offset, const volatile void *at)
{
    *reg(v, offset) = (uint32_t)(uint64_t)at;
    *reg(v, offset + 4) = (uint64_t)at >> 32;
}

void virtqueue_setup(struct virtio *v, struct virtqueue *q, struct vring *ring, uint16_t index)
{
    q->ring = ring;
    q->index = index;
    q->last_used = 0;
    *reg(v, R_QUEUE_SEL) = index;
    *reg(v, R_QUEUE_NUM) = RING;
    if (is_legacy(v)) {
        *reg(v, R_QUEUE_ALIGN) = 4096;
        *reg(v, R_QUEUE_PFN) = (uint64_t)ring / 4096;
    } else {
        set_address(v, R_DESC, ring->desc);
        set_address(v, R_AVAIL, &ring->avail);
        set_address(v, R_USED, &ring->used);
        *reg(v, R_QUEUE_READY) = 1;
    }
}

void virtqueue_add(struct virtqueue *q, uint16_t head)
{
    uint16_t index = q->ring->avail.index;
    q->ring->avail.ring[index % RING] = head;
    __atomic_store_n(&q->ring->avail.index, (uint16_t)(index + 1), __ATOMIC_RELEASE);
}

void virtqueue_kick(struct virtio *v, struct virtqueue *q)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!(__atomic_load_n(&q->ring->used.flags, __ATOMIC_RELAXED) & NO_NOTIFY))
        *reg(v, R_NOTIFY) = q->index;
}

bool virtqueue_done(struct virtqueue *q, uint16_t *head, uint32_t *length)
{
    if (__atomic_load_n(&q->ring->used.index, __ATOMIC_ACQUIRE) == q->last_used)
        return false;
    *head = (uint16_t)q->ring->used.ring[q->last_used % RING].id;
    *length = q->ring->used.ring[q->last_used % RING].length;
    q->last_used++;
    return true;
}
