/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory map: random edits against a naive model, refused commits, views that readers hold
 * while the map changes, and accesses across RAM, devices and holes. */
#include <glib.h>
#include <string.h>

#include "machine-fixture.h"
#include "memory-view.h"

#define SLOTS 64
#define SLOT_SIZE 0x1000

static uint64_t dev_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0x1122334455667788 + offset;
}

static uint64_t last_offset, last_value;
static unsigned last_size;

static void dev_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    last_offset = offset;
    last_value = value;
    last_size = size;
}

static const MmioOps dev_ops = { dev_read, dev_write };

/* What the listener was told, one owner for each slot: 0 is free. */
typedef struct Follower {
    int owner[SLOTS];
    int refuse_in; /* refuse the n-th addition from now; 0: never */
} Follower;

static void follow_del(void *opaque, const MemoryRange *r)
{
    Follower *f = opaque;

    for (uint64_t i = r->gpa / SLOT_SIZE; i < (r->gpa + r->size) / SLOT_SIZE; i++) {
        g_assert_cmpint(f->owner[i], ==, GPOINTER_TO_INT(r->opaque));
        f->owner[i] = 0;
    }
}

static bool follow_add(void *opaque, const MemoryRange *r, GError **errp)
{
    Follower *f = opaque;

    if (f->refuse_in && --f->refuse_in == 0) {
        g_set_error_literal(errp, GW_ERROR, GW_ERROR_GENERIC, "refused");
        return false;
    }
    for (uint64_t i = r->gpa / SLOT_SIZE; i < (r->gpa + r->size) / SLOT_SIZE; i++) {
        g_assert_cmpint(f->owner[i], ==, 0);
        f->owner[i] = GPOINTER_TO_INT(r->opaque);
    }
    return true;
}

static const MemoryListener follower_ops = { follow_del, follow_add };

static MemoryRange device_range(unsigned first, unsigned n, int owner)
{
    MemoryRange r = { .type = MEMORY_RANGE_MMIO, .gpa = (uint64_t)first * SLOT_SIZE,
                      .size = (uint64_t)n * SLOT_SIZE, .ops = &dev_ops,
                      .opaque = GINT_TO_POINTER(owner) };

    g_snprintf(r.name, sizeof(r.name), "dev%d", owner);
    return r;
}

static void paint(const MemoryRange *r, void *opaque)
{
    int *owner = opaque;

    for (uint64_t i = r->gpa / SLOT_SIZE; i < (r->gpa + r->size) / SLOT_SIZE; i++) {
        owner[i] = GPOINTER_TO_INT(r->opaque);
    }
}

typedef struct Expected {
    MemoryMap *map;
    const int *model;
} Expected;

static void *check_thread(void *opaque)
{
    Expected *e = opaque;
    int owner[SLOTS] = { 0 };

    memory_map_foreach(e->map, paint, owner);
    g_assert_cmpmem(owner, sizeof(owner), e->model, sizeof(owner));
    return NULL;
}

static void check_view(MemoryMap *map, const int *model)
{
    check_thread(&(Expected){ map, model });
}

/* As a thread sees it that has no edits pending. */
static void check_others(MemoryMap *map, const int *model)
{
    Expected e = { map, model };

    g_thread_join(g_thread_new("other", check_thread, &e));
}

/* One random edit on map and model alike. */
static void random_edit(MemoryMap *map, int *model, int id)
{
    unsigned first = g_test_rand_int_range(0, SLOTS);

    if (g_test_rand_int_range(0, 3) == 0) {
        int owner = model[first];

        while (owner && first && model[first - 1] == owner) {
            first--;
        }
        memory_map_remove(map, (uint64_t)first * SLOT_SIZE);
        for (unsigned i = first; owner && i < SLOTS && model[i] == owner; i++) {
            model[i] = 0;
        }
        return;
    }
    unsigned n = g_test_rand_int_range(1, MIN(8, SLOTS - first) + 1);
    bool is_free = true;

    for (unsigned i = first; i < first + n; i++) {
        is_free = is_free && model[i] == 0;
    }
    MemoryRange r = device_range(first, n, id);
    g_autoptr(GError) err = NULL;
    bool ok = memory_map_add(map, &r, &err);

    g_assert_cmpint(ok, ==, is_free);
    g_assert_true(ok || strstr(err->message, "overlaps"));
    for (unsigned i = first; ok && i < first + n; i++) {
        model[i] = id;
    }
}

static void test_random_edits(void)
{
    MemoryMap *map = memory_map_new();
    int model[SLOTS] = { 0 }, id = 1;
    Follower f = { { 0 } };

    g_assert_true(address_space_add_listener(memory_map_space(map), &follower_ops, &f, NULL));
    for (int round = 0; round < 1000; round++) {
        int before[SLOTS];
        unsigned depth = g_test_rand_int_range(0, 4);
        unsigned edits = depth ? g_test_rand_int_range(0, 12) : 1;

        memcpy(before, model, sizeof(model));
        for (unsigned i = 0; i < depth; i++) {
            memory_transaction_begin(map);
        }
        for (unsigned i = 0; i < edits; i++) {
            random_edit(map, model, id++);
        }
        if (depth) {
            check_others(map, before); /* nothing shows before the outermost commit */
        }
        f.refuse_in = depth && g_test_rand_int_range(0, 4) == 0 ? g_test_rand_int_range(1, 4) : 0;

        bool armed = f.refuse_in > 0, ok = true;

        for (unsigned i = 0; i < depth; i++) {
            ok = memory_transaction_commit(map, NULL);
        }
        g_assert_true(ok || armed);
        if (!ok) {
            memcpy(model, before, sizeof(model));
        }
        f.refuse_in = 0;
        check_view(map, model);
        g_assert_cmpmem(f.owner, sizeof(f.owner), model, sizeof(model));
    }
    memory_map_free(map);
}

static void test_counters(void)
{
    MemoryMap *map = memory_map_new();
    MemoryMapStats st;

    memory_transaction_begin(map);
    for (unsigned i = 0; i < 10; i++) {
        MemoryRange r = device_range(i, 1, i + 1);

        g_assert_true(memory_map_add(map, &r, NULL));
    }
    g_assert_true(memory_transaction_commit(map, NULL));
    memory_map_stats(map, &st);
    g_assert_cmpuint(st.edits, ==, 10);
    g_assert_cmpuint(st.rebuilds, ==, 1);
    g_assert_cmpuint(st.commits, ==, 1);
    g_assert_false(memory_transaction_commit(map, NULL)); /* never begun */
    memory_map_free(map);
}

/* ---- readers on other threads ---- */

typedef struct Readers {
    MemoryMap *map;
    bool stop; /* atomic */
} Readers;

static void *reader_main(void *opaque)
{
    Readers *rd = opaque;

    while (!__atomic_load_n(&rd->stop, __ATOMIC_RELAXED)) {
        g_autoptr(MemoryView) v = memory_view_get(rd->map);
        g_autofree MemoryRange *copy = g_memdup2(v->ranges, v->n * sizeof(MemoryRange));

        for (unsigned i = 0; i + 1 < v->n; i++) {
            g_assert_cmpuint(v->ranges[i].gpa + v->ranges[i].size, <=, v->ranges[i + 1].gpa);
        }
        /* All of one edit or nothing of it: the editor keeps the owners equal. */
        for (unsigned i = 1; i < v->n; i++) {
            g_assert_true(v->ranges[i].opaque == v->ranges[0].opaque);
        }
        sched_yield();
        g_assert_true(v->n == 0 || memcmp(copy, v->ranges, v->n * sizeof(MemoryRange)) == 0);
        memory_read(rd->map, 0, &(uint32_t){ 0 }, 4, true);
    }
    return NULL;
}

static void test_readers(void)
{
    Readers rd = { .map = memory_map_new() };
    GThread *threads[3];

    for (int i = 0; i < 3; i++) {
        threads[i] = g_thread_new("reader", reader_main, &rd);
    }
    for (int id = 1; id <= 2000; id++) {
        memory_transaction_begin(rd.map);
        for (unsigned i = 0; i < SLOTS; i += 8) {
            memory_map_remove(rd.map, (uint64_t)i * SLOT_SIZE);

            MemoryRange r = device_range(i, 1 + id % 8, id);

            g_assert_true(memory_map_add(rd.map, &r, NULL));
        }
        g_assert_true(memory_transaction_commit(rd.map, NULL));
    }
    __atomic_store_n(&rd.stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) {
        g_thread_join(threads[i]);
    }
    memory_map_free(rd.map);
}

/* ---- accesses ---- */

static uint64_t marked_first, marked_len;

static void mark(void *opaque, RAMBlock *block, uint64_t offset, uint64_t len)
{
    marked_first = offset;
    marked_len = len;
}

static void test_access(void)
{
    g_autoptr(MachineConfig) c = fixture_config(1);
    Machine *m = fixture_machine(c);
    MemoryRange dev = { .type = MEMORY_RANGE_MMIO, .gpa = TEST_RAM_SIZE, .size = 0x100,
                        .ops = &dev_ops, .name = "dev" };
    uint8_t buf[32];

    machine_lock(m);
    g_assert_true(memory_map_add(m->memory, &dev, NULL));
    machine_unlock(m);
    memory_map_set_write_hook(m->memory, mark, NULL);

    g_assert_true(memory_write(m->memory, 0x1ffe, "abcd", 4, false));
    g_assert_cmpuint(marked_first, ==, 0x1ffe);
    g_assert_cmpuint(marked_len, ==, 4);
    g_assert_true(memory_read(m->memory, 0x1ffe, buf, 4, false));
    g_assert_cmpmem(buf, 4, "abcd", 4);

    g_assert_true(memory_write(m->memory, TEST_RAM_SIZE + 6, "\x01\x02\x03\x04", 4, false));
    g_assert_cmpuint(last_offset, ==, 6);
    g_assert_cmpuint(last_size, ==, 4);
    g_assert_cmphex(last_value, ==, 0x04030201);

    /* RAM, then the device, then nothing. */
    memset(buf, 0, sizeof(buf));
    g_assert_true(memory_read(m->memory, TEST_RAM_SIZE - 2, buf, 4, false));
    g_assert_cmphex(buf[0], ==, 0);
    g_assert_cmphex(buf[2], ==, 0x88);
    g_assert_false(memory_read(m->memory, TEST_RAM_SIZE + 0xff, buf, 2, false));
    g_assert_cmphex(buf[1], ==, 0xff);
    g_assert_false(memory_read(m->memory, UINT64_MAX - 1, buf, 4, false));

    g_assert_nonnull(memory_host_ptr(m->memory, TEST_RAM_SIZE - 4096, 4096));
    g_assert_null(memory_host_ptr(m->memory, TEST_RAM_SIZE - 4096, 4097));
    g_assert_null(memory_host_ptr(m->memory, TEST_RAM_SIZE, 1));
    g_assert_null(memory_host_ptr(m->memory, 0x1000, UINT64_MAX));
    machine_free(m);
}

static void test_ioports(void)
{
    MemoryMap *map = memory_map_new();
    g_autoptr(GError) err = NULL;

    g_assert_true(ioport_add(map, 0x510, 2, &dev_ops, NULL, "a", NULL));
    g_assert_true(ioport_add(map, 0x100, 4, &dev_ops, NULL, "b", NULL));
    g_assert_false(ioport_add(map, 0x103, 1, &dev_ops, NULL, "c", &err));
    g_assert_nonnull(strstr(err->message, "in use by 'b'"));
    g_assert_false(ioport_add(map, 0xffff, 2, &dev_ops, NULL, "d", NULL));
    g_assert_cmphex(ioport_read(map, 0x511, 1), ==, 0x1122334455667789);
    g_assert_cmphex(ioport_read(map, 0x511, 2), ==, 0xff89); /* half of it is nobody's */
    g_assert_cmphex(ioport_read(map, 0x600, 4), ==, 0xffffffff);
    ioport_write(map, 0xfffe, 0x1234, 4);
    memory_map_free(map);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memory-map/random-edits", test_random_edits);
    g_test_add_func("/memory-map/counters", test_counters);
    g_test_add_func("/memory-map/readers", test_readers);
    g_test_add_func("/memory-map/access", test_access);
    g_test_add_func("/memory-map/ioports", test_ioports);
    return g_test_run();
}
