/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtio from the guest's side: registers of both versions, negotiation, rings with indirect
 * tables and event indices, every way in which a guest can get a ring wrong, and what stopping the
 * guest does. The device behind is virtio-rng, the simplest one. */
#include "virtio-fixture.h"

#define INDIRECT (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define W VRING_DESC_F_WRITE
#define NEXT VRING_DESC_F_NEXT

static void rng_bench(Bench *b, gconstpointer modern, uint64_t features)
{
    bench_config(b, GPOINTER_TO_INT(modern));
    bench_device(b, "virtio-rng-device", NULL);
    bench_start(b);
    drive(b, features, 1);
}

static bool is_random(Bench *b, uint64_t gpa, size_t len)
{
    unsigned sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum |= *ram(b, gpa + i);
    }
    return sum != 0; /* 64 zero bytes in a row do not happen */
}

static void test_registers(gconstpointer modern)
{
    Bench b;

    rng_bench(&b, modern, 0);
    g_assert_cmphex(reg(&b, VIRTIO_MMIO_MAGIC_VALUE), ==, 0x74726976);
    g_assert_cmpuint(reg(&b, VIRTIO_MMIO_VERSION), ==, b.modern ? 2 : 1);
    g_assert_cmpuint(reg(&b, VIRTIO_MMIO_DEVICE_ID), ==, 4);
    set_reg(&b, VIRTIO_MMIO_QUEUE_SEL, 0);
    g_assert_cmpuint(reg(&b, VIRTIO_MMIO_QUEUE_NUM_MAX), ==, 1024);
    set_reg(&b, VIRTIO_MMIO_QUEUE_SEL, 1);
    g_assert_cmpuint(reg(&b, VIRTIO_MMIO_QUEUE_NUM_MAX), ==, 0);
    /* The transport before it is empty. */
    g_assert_cmphex(reg(&b, VIRTIO_MMIO_MAGIC_VALUE - 0x200), ==, 0x74726976);
    g_assert_cmpuint(reg(&b, VIRTIO_MMIO_DEVICE_ID - 0x200), ==, 0);
    bench_end(&b);
}

static void test_features(void)
{
    Bench b;

    bench_config(&b, true);
    bench_device(&b, "virtio-rng-device", NULL);
    bench_start(&b);
    set_reg(&b, VIRTIO_MMIO_STATUS, 3);
    set_features(&b, INDIRECT); /* without VERSION_1 */
    set_reg(&b, VIRTIO_MMIO_STATUS, 11);
    g_assert_cmphex(reg(&b, VIRTIO_MMIO_STATUS), ==, 3);
    set_features(&b, 1ull << VIRTIO_F_VERSION_1 | 1); /* what was not offered */
    set_reg(&b, VIRTIO_MMIO_STATUS, 11);
    g_assert_cmphex(reg(&b, VIRTIO_MMIO_STATUS), ==, 3);
    set_features(&b, 1ull << VIRTIO_F_VERSION_1);
    set_reg(&b, VIRTIO_MMIO_STATUS, 11);
    g_assert_cmphex(reg(&b, VIRTIO_MMIO_STATUS), ==, 11);
    bench_end(&b);
}

static void test_request(gconstpointer modern)
{
    Bench b;
    struct vring_used_elem u;

    rng_bench(&b, modern, 0);
    set_desc(&b, 0, 2, BUFFERS, 64, W);
    offer(&b, 0, 2);
    u = wait_used(&b, 0);
    g_assert_cmpuint(u.id, ==, 2);
    g_assert_cmpuint(u.len, ==, 64);
    g_assert_true(is_random(&b, BUFFERS, 64));
    WAIT_FOR(reg(&b, VIRTIO_MMIO_INTERRUPT_STATUS) == 1);
    set_reg(&b, VIRTIO_MMIO_INTERRUPT_ACK, 1);
    g_assert_cmpuint(reg(&b, VIRTIO_MMIO_INTERRUPT_STATUS), ==, 0);

    /* Round the ring a few times, two buffers for each request. */
    for (int i = 0; i < 3 * RING_NUM; i++) {
        set_desc(&b, 0, 4, BUFFERS, 8, W | NEXT);
        set_desc(&b, 0, 5, BUFFERS + 4096, 8, W);
        offer(&b, 0, 4);
        g_assert_cmpuint(wait_used(&b, 0).len, ==, 16);
    }
    bench_end(&b);
}

static void test_indirect(gconstpointer modern)
{
    Bench b;
    struct vring_desc *table;

    rng_bench(&b, modern, INDIRECT);
    table = (struct vring_desc *)ram(&b, BUFFERS);
    table[0] = (struct vring_desc){ BUFFERS + 4096, 32, W | NEXT, 1 };
    table[1] = (struct vring_desc){ BUFFERS + 8192, 32, W, 0 };
    set_desc(&b, 0, 0, BUFFERS, 2 * sizeof(*table), VRING_DESC_F_INDIRECT);
    offer(&b, 0, 0);
    g_assert_cmpuint(wait_used(&b, 0).len, ==, 64);
    g_assert_true(is_random(&b, BUFFERS + 8192, 32));
    bench_end(&b);
}

static void test_event_index(gconstpointer modern)
{
    Bench b;
    uint16_t *used_event, *avail_event;

    rng_bench(&b, modern, EVENT_IDX);
    used_event = (uint16_t *)ram(&b, RING_AT + AVAIL_AT) + 2 + RING_NUM;
    avail_event = (uint16_t *)ram(&b, RING_AT + USED_AT + 4 + 8 * RING_NUM);
    *used_event = 1; /* interrupt at the second */
    set_desc(&b, 0, 0, BUFFERS, 8, W);
    offer(&b, 0, 0);
    wait_used(&b, 0);
    WAIT_FOR(*avail_event == 1);
    WAIT_FOR(reg(&b, VIRTIO_MMIO_INTERRUPT_STATUS) == 1); /* the first ever is always told */
    set_reg(&b, VIRTIO_MMIO_INTERRUPT_ACK, 1);
    *used_event = 2;
    offer(&b, 0, 0);
    wait_used(&b, 0); /* the second: not wanted */
    offer(&b, 0, 0);
    wait_used(&b, 0); /* the third: wanted */
    WAIT_FOR(reg(&b, VIRTIO_MMIO_INTERRUPT_STATUS) == 1);
    g_assert_cmpuint(*avail_event, ==, 3);
    bench_end(&b);
}

typedef struct Nonsense {
    const char *name;
    struct vring_desc d[3];
    uint16_t head;
} Nonsense;

static const Nonsense nonsense[] = {
    { "no bytes", { { BUFFERS, 0, W, 0 } }, 0 },
    { "not RAM", { { 0xfee00000, 8, W, 0 } }, 0 },
    { "past the end of RAM", { { (4 << 20) - 4, 8, W, 0 } }, 0 },
    { "wraps", { { UINT64_MAX - 3, 8, W, 0 } }, 0 },
    { "loop", { { BUFFERS, 8, W | NEXT, 1 }, { BUFFERS, 8, W | NEXT, 0 } }, 0 },
    { "next outside", { { BUFFERS, 8, W | NEXT, RING_NUM } }, 0 },
    { "head outside", { { BUFFERS, 8, W, 0 } }, 0xffff },
    { "read after write", { { BUFFERS, 8, W | NEXT, 1 }, { BUFFERS, 8, 0, 0 } }, 0 },
    { "empty indirect", { { BUFFERS, 0, VRING_DESC_F_INDIRECT, 0 } }, 0 },
    { "odd indirect", { { BUFFERS, 17, VRING_DESC_F_INDIRECT, 0 } }, 0 },
    { "huge indirect", { { BUFFERS, 0x40000, VRING_DESC_F_INDIRECT, 0 } }, 0 },
    { "indirect not RAM", { { 0xfee00000, 16, VRING_DESC_F_INDIRECT, 0 } }, 0 },
    { "indirect in a chain", { { BUFFERS, 16, VRING_DESC_F_INDIRECT | NEXT, 1 },
                               { BUFFERS, 8, W, 0 } }, 0 },
    { "indirect in indirect", { { RING_AT, 16, VRING_DESC_F_INDIRECT, 0 } }, 0 },
};

/* Each breaks the device, which a reset heals. */
static void test_nonsense(gconstpointer modern)
{
    Bench b;

    rng_bench(&b, modern, INDIRECT);
    for (size_t i = 0; i < G_N_ELEMENTS(nonsense); i++) {
        drive(&b, INDIRECT, 1);
        memcpy(desc(&b, 0, 0), nonsense[i].d, sizeof(nonsense[i].d));
        offer(&b, 0, nonsense[i].head);
        kick(&b, 0);
        if (b.modern) {
            WAIT_FOR(needs_reset(&b));
            g_assert_cmpuint(reg(&b, VIRTIO_MMIO_INTERRUPT_STATUS) & 2, ==, 2);
        }
        set_desc(&b, 0, 3, BUFFERS, 8, W);
        offer(&b, 0, 3);
        kick(&b, 0);
        g_assert_cmpuint(used_idx(&b, 0), ==, 0);
    }
    drive(&b, INDIRECT, 1);
    set_desc(&b, 0, 0, BUFFERS, 8, W);
    offer(&b, 0, 0);
    g_assert_cmpuint(wait_used(&b, 0).len, ==, 8);
    bench_end(&b);
}

static void test_too_many_available(void)
{
    Bench b;

    rng_bench(&b, GINT_TO_POINTER(1), 0);
    b.avail[0] = RING_NUM;
    offer(&b, 0, 0); /* an index of RING_NUM + 1 at once */
    kick(&b, 0);
    WAIT_FOR(needs_reset(&b));
    bench_end(&b);
}

static void test_rings_not_ram(void)
{
    Bench b;

    rng_bench(&b, GINT_TO_POINTER(1), 0);
    set_reg(&b, VIRTIO_MMIO_QUEUE_READY, 0);
    set_reg(&b, VIRTIO_MMIO_QUEUE_USED_LOW, 0xfee00000);
    set_reg(&b, VIRTIO_MMIO_QUEUE_READY, 1);
    g_assert_cmpuint(reg(&b, VIRTIO_MMIO_QUEUE_READY), ==, 0);
    g_assert_true(needs_reset(&b));
    bench_end(&b);
}

/* Nothing happens while the guest is stopped; what it asked for is done when it runs again. */
static void test_stop(gconstpointer modern)
{
    Bench b;

    rng_bench(&b, modern, 0);
    runstate_stop(b.m->run_state, RUN_STATE_PAUSED);
    set_desc(&b, 0, 0, BUFFERS, 8, W);
    offer(&b, 0, 0);
    kick(&b, 0);
    for (int i = 0; i < 1000; i++) {
        sched_yield();
    }
    g_assert_cmpuint(used_idx(&b, 0), ==, 0);
    runstate_start(b.m->run_state, NULL);
    WAIT_FOR(used_idx(&b, 0) == 1);
    bench_end(&b);
}

static void test_interrupt_suppressed(gconstpointer modern)
{
    Bench b;

    rng_bench(&b, modern, 0);
    *(uint16_t *)ram(&b, RING_AT + AVAIL_AT) = VRING_AVAIL_F_NO_INTERRUPT;
    set_desc(&b, 0, 0, BUFFERS, 8, W);
    offer(&b, 0, 0);
    wait_used(&b, 0);
    runstate_stop(b.m->run_state, RUN_STATE_PAUSED); /* whatever was under way is over */
    g_assert_cmpuint(reg(&b, VIRTIO_MMIO_INTERRUPT_STATUS), ==, 0);
    bench_end(&b);
}

static void add_both(const char *name, GTestDataFunc fn)
{
    g_autofree char *legacy = g_strdup_printf("/virtio/%s/legacy", name);
    g_autofree char *modern = g_strdup_printf("/virtio/%s/modern", name);

    g_test_add_data_func(legacy, GINT_TO_POINTER(0), fn);
    g_test_add_data_func(modern, GINT_TO_POINTER(1), fn);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_both("registers", test_registers);
    g_test_add_func("/virtio/features", test_features);
    add_both("request", test_request);
    add_both("indirect", test_indirect);
    add_both("event-index", test_event_index);
    add_both("nonsense", test_nonsense);
    g_test_add_func("/virtio/too-many-available", test_too_many_available);
    g_test_add_func("/virtio/rings-not-ram", test_rings_not_ram);
    add_both("stop", test_stop);
    add_both("interrupt-suppressed", test_interrupt_suppressed);
    return g_test_run();
}
