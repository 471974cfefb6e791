/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtio devices as a guest sees them: a microvm without a real guest, whose registers and rings
 * the test drives itself. Rings lie at RING_AT + index * RING_STEP, in the layout of legacy
 * devices; buffers are the test's own from BUFFERS on. The I/O thread works meanwhile: who expects
 * something of it waits with wait_used().
 */
#ifndef TESTS_VIRTIO_FIXTURE_H
#define TESTS_VIRTIO_FIXTURE_H

#include <glib.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "boards.h"
#include "machine-fixture.h"

#define RING_AT 0x100000u
#define RING_STEP 0x4000u
#define RING_NUM 8
#define AVAIL_AT (RING_NUM * 16)
#define USED_AT 0x1000
#define BUFFERS 0x200000u
#define FIRST_DEVICE UINT64_C(0xfeb00e00) /* -machine acpi=off: eight transports */

typedef struct Bench {
    MachineConfig *config;
    Machine *m;
    bool modern;
    unsigned device;    /* whose registers and rings: 0 is the first of the command line */
    uint16_t avail[64]; /* per queue: what was made available */
} Bench;

static inline void bench_device(Bench *b, const char *driver, ...)
{
    DeviceConfig *d = g_new0(DeviceConfig, 1);
    va_list ap;
    const char *key;

    d->driver = g_strdup(driver);
    d->props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    va_start(ap, driver);
    while ((key = va_arg(ap, const char *))) {
        g_hash_table_insert(d->props, g_strdup(key), g_strdup(va_arg(ap, const char *)));
    }
    va_end(ap);
    g_ptr_array_add(b->config->devices, d);
}

static inline void bench_config(Bench *b, bool modern)
{
    *b = (Bench){ .config = fixture_config(1), .modern = modern };
    machine_set_boards(hw_boards);
    g_free(b->config->machine_type);
    b->config->machine_type = g_strdup("microvm");
    b->config->ram_size = 4 << 20;
    g_hash_table_insert(b->config->machine_props, g_strdup("acpi"), g_strdup("off"));
    g_ptr_array_add(b->config->globals, g_strdup_printf("virtio-mmio.force-legacy=%s",
                                                        modern ? "off" : "on"));
}

static inline void bench_start(Bench *b)
{
    GError *err = NULL;

    b->m = fixture_machine(b->config);
    runstate_start(b->m->run_state, &err);
    g_assert_no_error(err);
}

static inline void bench_end(Bench *b)
{
    machine_free(b->m);
    machine_config_free(b->config);
}

static inline uint8_t *ram(Bench *b, uint64_t gpa)
{
    return gw_ram_block_info(b->m->ram_block)->host + gpa;
}

/* Guest address of the rings of that queue. */
static inline uint32_t ring_at(const Bench *b, unsigned queue)
{
    return RING_AT + (b->device * 8 + queue) * RING_STEP;
}

static inline uint32_t reg(Bench *b, uint64_t at)
{
    uint32_t v = 0;

    memory_read(b->m->memory, FIRST_DEVICE - 0x200 * b->device + at, &v, 4, false);
    return v;
}

static inline void set_reg(Bench *b, uint64_t at, uint32_t v)
{
    memory_write(b->m->memory, FIRST_DEVICE - 0x200 * b->device + at, &v, 4, false);
}

static inline uint64_t offered(Bench *b)
{
    uint64_t low, high;

    set_reg(b, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    low = reg(b, VIRTIO_MMIO_DEVICE_FEATURES);
    set_reg(b, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    high = reg(b, VIRTIO_MMIO_DEVICE_FEATURES);
    return high << 32 | low;
}

static inline void set_features(Bench *b, uint64_t features)
{
    for (int i = 0; i < 2; i++) {
        set_reg(b, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
        set_reg(b, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32 * i));
    }
}

static inline void set_ring(Bench *b, unsigned i)
{
    uint32_t at = ring_at(b, i);

    memset(ram(b, at), 0, RING_STEP);
    b->avail[i] = 0;
    set_reg(b, VIRTIO_MMIO_QUEUE_SEL, i);
    set_reg(b, VIRTIO_MMIO_QUEUE_NUM, RING_NUM);
    if (!b->modern) {
        set_reg(b, VIRTIO_MMIO_QUEUE_ALIGN, 4096);
        set_reg(b, VIRTIO_MMIO_QUEUE_PFN, at >> 12);
        return;
    }
    set_reg(b, VIRTIO_MMIO_QUEUE_DESC_LOW, at);
    set_reg(b, VIRTIO_MMIO_QUEUE_AVAIL_LOW, at + AVAIL_AT);
    set_reg(b, VIRTIO_MMIO_QUEUE_USED_LOW, at + USED_AT);
    set_reg(b, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* Reset to DRIVER_OK with as much of `wanted` as is offered and `queues` rings. */
static inline void drive(Bench *b, uint64_t wanted, unsigned queues)
{
    uint64_t features = offered(b) & (wanted | (uint64_t)b->modern << VIRTIO_F_VERSION_1);

    set_reg(b, VIRTIO_MMIO_STATUS, 0);
    set_reg(b, VIRTIO_MMIO_STATUS, 3);
    set_features(b, features);
    if (b->modern) {
        set_reg(b, VIRTIO_MMIO_STATUS, 11);
        g_assert_cmphex(reg(b, VIRTIO_MMIO_STATUS), ==, 11);
    } else {
        set_reg(b, VIRTIO_MMIO_GUEST_PAGE_SIZE, 4096);
    }
    for (unsigned i = 0; i < queues; i++) {
        set_ring(b, i);
    }
    set_reg(b, VIRTIO_MMIO_STATUS, reg(b, VIRTIO_MMIO_STATUS) | 4);
}

static inline struct vring_desc *desc(Bench *b, unsigned queue, unsigned i)
{
    return (struct vring_desc *)ram(b, ring_at(b, queue)) + i;
}

static inline void set_desc(Bench *b, unsigned queue, unsigned i, uint64_t addr, uint32_t len,
                            uint16_t flags)
{
    *desc(b, queue, i) = (struct vring_desc){ addr, len, flags, (uint16_t)(i + 1) };
}

static inline uint16_t used_idx(Bench *b, unsigned queue)
{
    return __atomic_load_n((uint16_t *)ram(b, ring_at(b, queue) + USED_AT + 2),
                           __ATOMIC_ACQUIRE);
}

static inline struct vring_used_elem *used_elem(Bench *b, unsigned queue, unsigned i)
{
    return (struct vring_used_elem *)ram(b, ring_at(b, queue) + USED_AT + 4) +
           i % RING_NUM;
}

/* Makes the chain at `head` available without a kick. */
static inline void offer(Bench *b, unsigned queue, uint16_t head)
{
    uint16_t *avail = (uint16_t *)ram(b, ring_at(b, queue) + AVAIL_AT);

    avail[2 + b->avail[queue]++ % RING_NUM] = head;
    __atomic_store_n(&avail[1], b->avail[queue], __ATOMIC_RELEASE);
}

static inline void kick(Bench *b, unsigned queue)
{
    set_reg(b, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

/* Until `done` holds; a device that does not get there fails the test. */
#define WAIT_FOR(done) \
    do { \
        gint64 end_ = g_get_monotonic_time() + G_TIME_SPAN_MINUTE; \
        while (!(done)) { \
            g_assert_cmpint(g_get_monotonic_time(), <, end_); \
            sched_yield(); \
        } \
    } while (0)

/* Until everything that was made available is used; the last element. */
static inline struct vring_used_elem wait_used(Bench *b, unsigned queue)
{
    kick(b, queue);
    WAIT_FOR(used_idx(b, queue) == b->avail[queue]);
    return *used_elem(b, queue, b->avail[queue] - 1);
}

static inline bool needs_reset(Bench *b)
{
    return reg(b, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

#endif
