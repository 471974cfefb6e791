/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The balloon as its driver sees it: memory is given away and comes back, the host's wish and the
 * guest's answer, statistics, and the protocol of free-page hints (virtio 1.2, 5.5) up to the
 * engine's dirty bitmap. What a move makes of hints is tested in test-ram-dirty.c and qtest.
 */
#include <linux/virtio_balloon.h>
#include <sys/mman.h>

#include "dirty-bitmap.h"
#include "migration/free-page.h"
#include "state.h"
#include "virtio-fixture.h"

enum { INFLATE, DEFLATE, STATS, HINT, REPORT };
#define ID_BUFFER BUFFERS
#define GIVEN (BUFFERS + 0x10000u)
#define CONFIG_ID offsetof(struct virtio_balloon_config, free_page_hint_cmd_id)
#define PAGE 4096u

static void start(Bench *b, bool modern)
{
    bench_config(b, modern);
    bench_device(b, "virtio-balloon-device", "free-page-hint", "on", "free-page-reporting", "on",
                 "page-poison", "off", NULL);
    bench_start(b);
    drive(b, UINT64_MAX & ~(1ull << VIRTIO_RING_F_EVENT_IDX), 5);
}

static uint32_t config(Bench *b, size_t at)
{
    return reg(b, VIRTIO_MMIO_CONFIG + at);
}

/* One buffer, and until it comes back. */
static void give(Bench *b, unsigned queue, uint64_t addr, uint32_t len, uint16_t flags)
{
    set_desc(b, queue, 0, addr, len, flags);
    offer(b, queue, 0);
    wait_used(b, queue);
}

static void put_pfns(Bench *b, uint32_t first, uint32_t n)
{
    uint32_t *p = (uint32_t *)ram(b, ID_BUFFER);

    for (uint32_t i = 0; i < n; i++) {
        p[i] = first + i;
    }
}

static void test_inflate(gconstpointer modern)
{
    Bench b;

    start(&b, GPOINTER_TO_INT(modern));
    memset(ram(&b, GIVEN - PAGE), 0x55, 4 * PAGE);
    put_pfns(&b, GIVEN / PAGE, 2);
    give(&b, INFLATE, ID_BUFFER, 8, 0);
    g_assert_cmphex(*ram(&b, GIVEN - 1), ==, 0x55);
    g_assert_cmphex(*ram(&b, GIVEN), ==, 0);
    g_assert_cmphex(*ram(&b, GIVEN + 2 * PAGE - 1), ==, 0);
    g_assert_cmphex(*ram(&b, GIVEN + 2 * PAGE), ==, 0x55);
    give(&b, DEFLATE, ID_BUFFER, 8, 0);
    /* Nothing that is not there is given away, and half a number is none. */
    put_pfns(&b, 0xfffffff0, 4);
    give(&b, INFLATE, ID_BUFFER, 14, 0);
    g_assert_false(needs_reset(&b));
    bench_end(&b);
}

static void on_change(void *opaque, uint64_t actual)
{
    *(uint64_t *)opaque = actual;
}

static void test_target(void)
{
    uint64_t told = 0;
    Bench b;

    start(&b, true);
    b.m->balloon->changed = on_change;
    b.m->balloon->changed_opaque = &told;
    g_assert_cmpuint(b.m->balloon->actual(b.m->balloon->opaque), ==, 4 << 20);
    b.m->balloon->set_target(b.m->balloon->opaque, 3 << 20);
    g_assert_cmpuint(config(&b, 0), ==, (1 << 20) / PAGE);
    g_assert_cmphex(reg(&b, VIRTIO_MMIO_INTERRUPT_STATUS) & 2, ==, 2);
    set_reg(&b, VIRTIO_MMIO_CONFIG + 4, 256); /* the guest's answer */
    g_assert_cmpuint(told, ==, 3 << 20);
    set_reg(&b, VIRTIO_MMIO_CONFIG + 4, UINT32_MAX); /* more than there is */
    g_assert_cmpuint(told, ==, 0);
    b.m->balloon->set_target(b.m->balloon->opaque, UINT64_MAX);
    g_assert_cmpuint(config(&b, 0), ==, 0);
    bench_end(&b);
}

static void test_stats(void)
{
    struct virtio_balloon_stat stat[] = {
        { VIRTIO_BALLOON_S_MEMTOT, 12345 }, { 60000, 1 }, { VIRTIO_BALLOON_S_SWAP_IN, 7 },
    };
    uint64_t values[MACHINE_BALLOON_STATS];
    const MachineBalloon *m;
    Bench b;

    start(&b, true);
    m = b.m->balloon;
    g_assert_cmpint(m->stats(m->opaque, values), ==, 0);
    memcpy(ram(&b, ID_BUFFER), stat, sizeof(stat));
    set_desc(&b, STATS, 0, ID_BUFFER, sizeof(stat), 0);
    offer(&b, STATS, 0);
    kick(&b, STATS);
    WAIT_FOR(m->stats(m->opaque, values) > 0);
    g_assert_cmpuint(values[VIRTIO_BALLOON_S_MEMTOT], ==, 12345);
    g_assert_cmpuint(values[VIRTIO_BALLOON_S_SWAP_IN], ==, 7);
    g_assert_cmpuint(values[VIRTIO_BALLOON_S_MEMFREE], ==, UINT64_MAX);
    g_assert_cmpuint(used_idx(&b, STATS), ==, 0); /* held */
    /* A stop puts it back, a start takes it again. */
    runstate_stop(b.m->run_state, RUN_STATE_PAUSED);
    ((struct virtio_balloon_stat *)ram(&b, ID_BUFFER))->val = 54321;
    runstate_start(b.m->run_state, NULL);
    WAIT_FOR(m->stats(m->opaque, values) > 0 && values[VIRTIO_BALLOON_S_MEMTOT] == 54321);
    m->set_stats_interval(m->opaque, 5);
    g_assert_cmpuint(m->stats_interval(m->opaque), ==, 5);
    m->set_stats_interval(m->opaque, 0);
    bench_end(&b);
}

static void send_id(Bench *b, uint32_t id)
{
    *(uint32_t *)ram(b, ID_BUFFER) = id;
    give(b, HINT, ID_BUFFER, 4, 0);
}

static void set_window(Bench *b, bool open)
{
    FreePage *f = &b->m->migration->free_page;

    pthread_mutex_lock(&f->lock);
    f->is_open = open;
    pthread_mutex_unlock(&f->lock);
    (open ? f->ops->open : f->ops->close)(f->opaque);
}

/* How many pages a hint of four took out of the bitmap. */
static uint64_t hint(Bench *b)
{
    uint64_t before;

    dirty_bitmap_set(b->m->ram_block, 0, (4 << 20) / PAGE);
    before = dirty_bitmap_count(b->m->ram_block);
    give(b, HINT, GIVEN, 4 * PAGE, VRING_DESC_F_WRITE);
    return before - dirty_bitmap_count(b->m->ram_block);
}

static void test_hints(gconstpointer modern)
{
    uint32_t id;
    Bench b;

    start(&b, GPOINTER_TO_INT(modern));
    dirty_bitmap_init(b.m->ram_block);
    g_assert_cmphex(config(&b, CONFIG_ID), ==, VIRTIO_BALLOON_CMD_ID_STOP);
    set_window(&b, true);
    WAIT_FOR((id = config(&b, CONFIG_ID)) >= 0x80000000);
    g_assert_cmphex(reg(&b, VIRTIO_MMIO_INTERRUPT_STATUS) & 2, ==, 2);
    g_assert_cmpuint(hint(&b), ==, 0); /* of whom was it an answer? */
    send_id(&b, id - 1);
    g_assert_cmpuint(hint(&b), ==, 0);
    send_id(&b, id);
    g_assert_cmpuint(hint(&b), ==, 4);
    send_id(&b, VIRTIO_BALLOON_CMD_ID_STOP);
    g_assert_cmpuint(hint(&b), ==, 0);
    set_window(&b, false);
    WAIT_FOR(config(&b, CONFIG_ID) == VIRTIO_BALLOON_CMD_ID_DONE);
    send_id(&b, id); /* the question is over */
    g_assert_cmpuint(hint(&b), ==, 0);
    set_window(&b, true);
    WAIT_FOR(config(&b, CONFIG_ID) == id + 1);
    send_id(&b, id + 1);
    set_window(&b, false); /* what still comes has no effect, and is returned */
    g_assert_cmpuint(hint(&b), ==, 0);
    dirty_bitmap_free(b.m->ram_block);
    bench_end(&b);
}

/* A guest whose free pages must keep what they hold is not asked. */
static void test_poison(void)
{
    Bench b;

    bench_config(&b, true);
    bench_device(&b, "virtio-balloon-device", "free-page-hint", "on", NULL);
    bench_start(&b);
    drive(&b, UINT64_MAX & ~(1ull << VIRTIO_RING_F_EVENT_IDX), 4);
    set_window(&b, true);
    runstate_stop(b.m->run_state, RUN_STATE_PAUSED); /* the device has looked at it by then */
    g_assert_cmphex(config(&b, CONFIG_ID), ==, VIRTIO_BALLOON_CMD_ID_STOP);
    set_window(&b, false);
    bench_end(&b);
}

static void test_report(void)
{
    Bench b;

    start(&b, true);
    memset(ram(&b, GIVEN), 0x55, 3 * PAGE);
    give(&b, REPORT, GIVEN, 2 * PAGE, VRING_DESC_F_WRITE);
    g_assert_cmphex(*ram(&b, GIVEN), ==, 0);
    g_assert_cmphex(*ram(&b, GIVEN + 2 * PAGE), ==, 0x55);
    bench_end(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/virtio-balloon/inflate/legacy", GINT_TO_POINTER(0), test_inflate);
    g_test_add_data_func("/virtio-balloon/inflate/modern", GINT_TO_POINTER(1), test_inflate);
    g_test_add_func("/virtio-balloon/target", test_target);
    g_test_add_func("/virtio-balloon/stats", test_stats);
    g_test_add_data_func("/virtio-balloon/hints/legacy", GINT_TO_POINTER(0), test_hints);
    g_test_add_data_func("/virtio-balloon/hints/modern", GINT_TO_POINTER(1), test_hints);
    g_test_add_func("/virtio-balloon/poison", test_poison);
    g_test_add_func("/virtio-balloon/report", test_report);
    return g_test_run();
}
