/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device load on a real memory map: devices that move their windows and translate their rings,
 * with batch-vmstate-load off and on; errors in the middle and the load after them; devices that
 * look at the map too early, in debug builds and others.
 */
#include <glib.h>

#include "batch-fixture.h"
#include "memory-view.h"
#include "window-device.h"

#define DEVICES 4
#define QUEUES 3

typedef struct Side {
    MachineConfig *config;
    Machine *m;
    WindowDevice *dev[DEVICES];
    MemoryRegion *shade; /* hides the first page of RAM while it is there */
} Side;

static const MmioOps shade_ops = { NULL, NULL };

static void side_init(Side *s, bool batched)
{
    s->config = fixture_config(1);
    s->m = fixture_machine(s->config);
    machine_lock(s->m);
    for (unsigned i = 0; i < DEVICES; i++) {
        s->dev[i] = window_new(s->m, i, QUEUES);
    }
    machine_unlock(s->m);
    batch_setup(s->m, batched);
}

static void side_clear(Side *s)
{
    machine_free(s->m);
    machine_config_free(s->config);
}

/* The devices' sections, each window and ring somewhere else than it is made. */
static GByteArray *stream_of_moved_devices(void)
{
    GByteArray *bytes;
    Side s;

    side_init(&s, false);
    for (unsigned i = 0; i < DEVICES; i++) {
        /* Where the neighbour's was: unbatched, windows cover each other in between. */
        s.dev[i]->base = WINDOW_BASE + ((i + 1) % DEVICES) * WINDOW_SIZE;
        for (unsigned q = 0; q < QUEUES; q++) {
            s.dev[i]->ring[q] = 0x10000 * (i + 1) + WINDOW_RING * q;
        }
    }
    bytes = batch_save(s.m);
    side_clear(&s);
    return bytes;
}

static bool load(Side *s, const GByteArray *bytes, GError **errp)
{
    return batch_load(s->m, bytes, errp);
}

static void check_loaded(Side *s)
{
    g_autoptr(MemoryView) v = memory_view_get(s->m->memory);

    g_assert_cmpuint(v->n_ioeventfds, ==, DEVICES * QUEUES);
    for (unsigned i = 0; i < DEVICES; i++) {
        WindowDevice *d = s->dev[i];
        const MemoryRange *r = memory_view_find(v, d->base);

        g_assert_cmphex(d->base, ==, WINDOW_BASE + ((i + 1) % DEVICES) * WINDOW_SIZE);
        g_assert_true(r && r->opaque == d);
        for (unsigned q = 0; q < QUEUES; q++) {
            g_assert_cmpint(memory_view_ioeventfd(v, d->base + WINDOW_NOTIFY, q, 4), ==, d->fds[q]);
            g_assert_true(memory_cache_ptr(&d->rings[q], 0, WINDOW_RING) ==
                          memory_host_ptr(s->m->memory, d->ring[q], WINDOW_RING));
        }
    }
}

static void test_load(gconstpointer batched)
{
    g_autoptr(GByteArray) bytes = stream_of_moved_devices();
    MemoryMapStats before, after;
    Side s;

    side_init(&s, batched != NULL);
    memory_map_stats(s.m->memory, &before);
    for (int i = 0; i < 2; i++) { /* the second finds the map as it wants it */
        g_autoptr(GError) err = NULL;

        load(&s, bytes, &err);
        g_assert_no_error(err);
        check_loaded(&s);
    }
    memory_map_stats(s.m->memory, &after);
    g_assert_cmpuint(after.edits - before.edits, >, 2 * DEVICES * QUEUES);
    g_assert_cmpuint(after.commits - before.commits, ==,
                     batched ? 2 : after.edits - before.edits);
    side_clear(&s);
}

/* An eventfd that a guest's write signals, where the device is now. */
static void test_writes_arrive(void)
{
    g_autoptr(GByteArray) bytes = stream_of_moved_devices();
    uint32_t queue = 2;
    eventfd_t n = 0;
    Side s;

    side_init(&s, true);
    g_assert_true(load(&s, bytes, NULL));
    memory_write(s.m->memory, s.dev[1]->base + WINDOW_NOTIFY, &queue, 4, false);
    g_assert_cmpint(eventfd_read(s.dev[1]->fds[2], &n), ==, 0);
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpint(eventfd_read(s.dev[1]->fds[1], &n), !=, 0);
    side_clear(&s);
}

/* An error in the middle leaves the map as it was; the next load makes it. */
static void test_error_in_the_middle(void)
{
    g_autoptr(GByteArray) bytes = stream_of_moved_devices();
    g_autoptr(GError) err = NULL;
    MemoryView *before, *after;
    Side s;

    side_init(&s, true);
    before = memory_view_get(s.m->memory);
    s.dev[2]->fails_in_apply = true;
    g_assert_false(load(&s, bytes, &err));
    g_assert_nonnull(strstr(err->message, "section 'window' instance 2: window: window does not"));
    after = memory_view_get(s.m->memory);
    g_assert_true(before == after);
    memory_view_unref(before);
    memory_view_unref(after);
    s.dev[2]->fails_in_apply = false;
    g_assert_true(load(&s, bytes, NULL));
    check_loaded(&s);
    side_clear(&s);
}

/* What a reader that comes too early sees. The first device uncovers page 0x10000, where its ring
 * is; before the load another region hides it. */
static void hide_ring(Side *s)
{
    machine_lock(s->m);
    s->shade = memory_region_new_mmio(s->m->memory, "shade", &shade_ops, NULL, 0x1000);
    g_assert_true(memory_region_add_overlap(memory_map_root(s->m->memory), 0x10000, s->shade, 1,
                                            NULL));
    machine_unlock(s->m);
}

/* Release builds: the reader sees its own edits, never the view from before them. */
static void test_early_reader_is_refreshed(void)
{
    uint8_t byte = 0x5a, stale = 0;
    Side s;

    side_init(&s, true);
    g_assert_true(memory_write(s.m->memory, 0x10000, &byte, 1, false));
    hide_ring(&s);
    machine_lock(s.m);
    s.dev[0]->ring[0] = 0x10000;

    g_autoptr(MemoryView) old = memory_view_get(s.m->memory);

    memory_transaction_begin(s.m->memory);
    g_assert_true(memory_region_remove(s.shade, NULL));
    window_peek(s.dev[0]);
    /* Without the refresh it would have read through this one, which still hides the ring. */
    g_assert_cmpint(memory_view_find(old, 0x10000)->type, ==, MEMORY_RANGE_MMIO);
    g_assert_cmphex(s.dev[0]->seen, ==, byte);
    g_assert_true(memory_cache_init(&s.dev[0]->rings[0], s.m->memory, 0x10000, 1, true, NULL));
    memory_transaction_abort(s.m->memory);
    /* What it kept of a map that never came is translated again. */
    g_assert_null(memory_cache_ptr(&s.dev[0]->rings[0], 0, 1));
    memory_read(s.m->memory, 0x10000, &stale, 1, true);
    g_assert_cmphex(stale, ==, 0xff);
    machine_unlock(s.m);
    side_clear(&s);
}

static void test_reader_in_apply(void)
{
    g_autoptr(GByteArray) bytes = stream_of_moved_devices();
    MemoryMapStats st;
    Side s;

    side_init(&s, true);
    s.dev[1]->reads_in_apply = true;
    g_assert_true(load(&s, bytes, NULL));
    check_loaded(&s);
    memory_map_stats(s.m->memory, &st);
    g_assert_cmpuint(st.refreshes, ==, 1);
    side_clear(&s);
}

/* While decoding no view can be right: the load fails, and says who read. */
static void test_reader_in_post_load(gconstpointer batched)
{
    g_autoptr(GByteArray) bytes = stream_of_moved_devices();
    g_autoptr(GError) err = NULL;
    Side s;

    side_init(&s, batched != NULL);
    s.dev[1]->reads_in_post_load = true;
    g_assert_cmpint(load(&s, bytes, &err), ==, batched == NULL);
    if (batched) {
        g_assert_nonnull(strstr(err->message, "window_peek() read it while device state"));
        s.dev[1]->reads_in_post_load = false;
        g_assert_true(load(&s, bytes, NULL));
    }
    check_loaded(&s);
    side_clear(&s);
}

/* Debug builds end there. */
static void test_poison(gconstpointer in_apply)
{
    if (g_test_subprocess()) {
        g_autoptr(GByteArray) bytes = stream_of_moved_devices();
        Side s;

        side_init(&s, true);
        memory_map_set_poison(s.m->memory, true);
        s.dev[1]->reads_in_apply = in_apply != NULL;
        s.dev[1]->reads_in_post_load = in_apply == NULL;
        load(&s, bytes, NULL);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(in_apply ? "*window_peek() reads it between an edit*"
                                       : "*window_peek() reads it while device state*");
}

int main(int argc, char **argv)
{
    static const int on = 1;

    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/batch-load/off", NULL, test_load);
    g_test_add_data_func("/batch-load/on", &on, test_load);
    g_test_add_func("/batch-load/writes-arrive", test_writes_arrive);
    g_test_add_func("/batch-load/error-in-the-middle", test_error_in_the_middle);
    g_test_add_func("/batch-load/early-reader-is-refreshed", test_early_reader_is_refreshed);
    g_test_add_func("/batch-load/reader-in-apply", test_reader_in_apply);
    g_test_add_data_func("/batch-load/reader-in-post-load/off", NULL, test_reader_in_post_load);
    g_test_add_data_func("/batch-load/reader-in-post-load/on", &on, test_reader_in_post_load);
    g_test_add_data_func("/batch-load/poison/decode", NULL, test_poison);
    g_test_add_data_func("/batch-load/poison/apply", &on, test_poison);
    return g_test_run();
}
