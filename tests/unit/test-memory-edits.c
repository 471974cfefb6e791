/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random scripts of edits on two equal worlds of regions: one commits every edit by itself, the
 * other all of a script at once, sometimes after a first try that it gives up. Views, slots and
 * ioeventfds, as a listener keeps them, must come out the same, and the views as a naive walk of
 * the tree says. The regions are small, so that they meet often.
 */
#include <glib.h>
#include <string.h>

#include "memory-internal.h"

#define PAGE 0x1000
#define PAGES 64
#define REGIONS 16
#define SCRIPTS 10000
#define SCRIPTS_PER_WORLD 100

static const MmioOps no_ops = { NULL, NULL };

typedef struct World {
    MemoryMap *map;
    MemoryRegion *region[REGIONS];
    GArray *slots;      /* of MemoryRange: what the listener was told */
    GArray *ioeventfds; /* of FlatIoeventfd */
    unsigned calls;
} World;

/* ---- the listener: a set of slots, one of ioeventfds ---- */

static void slot_del(void *opaque, const MemoryRange *r)
{
    World *w = opaque;
    guint i = 0;

    while (!memory_range_equal(&g_array_index(w->slots, MemoryRange, i), r)) {
        i++;
        g_assert_cmpuint(i, <, w->slots->len);
    }
    g_array_remove_index(w->slots, i);
    w->calls++;
}

static bool slot_add(void *opaque, const MemoryRange *r, GError **errp)
{
    World *w = opaque;

    for (guint i = 0; i < w->slots->len; i++) {
        const MemoryRange *o = &g_array_index(w->slots, MemoryRange, i);

        g_assert_true(o->gpa + o->size <= r->gpa || r->gpa + r->size <= o->gpa);
    }
    g_array_append_val(w->slots, *r);
    w->calls++;
    return true;
}

static void event_del(void *opaque, const FlatIoeventfd *e)
{
    World *w = opaque;
    guint i = 0;

    while (memory_ioeventfd_compare(&g_array_index(w->ioeventfds, FlatIoeventfd, i), e) != 0) {
        i++;
        g_assert_cmpuint(i, <, w->ioeventfds->len);
    }
    g_array_remove_index(w->ioeventfds, i);
    w->calls++;
}

static bool event_add(void *opaque, const FlatIoeventfd *e, GError **errp)
{
    World *w = opaque;

    g_array_append_val(w->ioeventfds, *e);
    w->calls++;
    return true;
}

static const MemoryListener listener = { slot_del, slot_add, event_del, event_add, NULL, NULL };

/* ---- worlds ---- */

static MemoryRegion *new_region(World *w, unsigned i)
{
    void *id = GINT_TO_POINTER(i + 1);
    uint64_t size = PAGE * (1 + i % 7);
    char name[16];

    g_snprintf(name, sizeof(name), "r%u", i);
    switch (i) {
    case 0 ... 3:
        return memory_region_new_container(w->map, name, size * 5);
    case 4 ... 6:
        return memory_region_new_alias(w->map, name, w->region[i - 4], PAGE * i, size * 2);
    case 7 ... 9:
        return memory_region_new_ram(w->map, name, id, 0, size);
    case 10:
        return memory_region_new_rom(w->map, name, id, PAGE, size);
    default:
        return memory_region_new_mmio(w->map, name, &no_ops, id, size);
    }
}

static void world_init(World *w)
{
    *w = (World){ .map = memory_map_new() };
    w->slots = g_array_new(FALSE, FALSE, sizeof(MemoryRange));
    w->ioeventfds = g_array_new(FALSE, FALSE, sizeof(FlatIoeventfd));
    for (unsigned i = 0; i < REGIONS; i++) {
        w->region[i] = new_region(w, i);
    }
    g_assert_true(address_space_add_listener(memory_map_space(w->map), &listener, w, NULL));
}

static void world_clear(World *w)
{
    memory_map_free(w->map);
    g_array_unref(w->slots);
    g_array_unref(w->ioeventfds);
}

/* ---- scripts ---- */

typedef struct Edit {
    unsigned op, region, parent;
    int priority;
    uint64_t a, b;
} Edit;

static Edit random_edit(void)
{
    return (Edit){
        .op = (unsigned)g_test_rand_int_range(0, 10),
        .region = (unsigned)g_test_rand_int_range(0, REGIONS),
        .parent = (unsigned)g_test_rand_int_range(0, 8),
        .priority = g_test_rand_int_range(-2, 3),
        .a = (uint64_t)g_test_rand_int_range(0, PAGES),
        .b = (uint64_t)g_test_rand_int_range(0, 8),
    };
}

static bool do_edit(World *w, const Edit *e)
{
    MemoryRegion *r = w->region[e->region];
    MemoryRegion *parent = e->parent < 4 ? w->region[e->parent] : memory_map_root(w->map);
    MemoryIoeventfd ev = { (e->a % 4) * 0x800, 4, e->b & 1, e->b, (int)e->b };

    switch (e->op) {
    case 0:
        return memory_region_add(parent, e->a * PAGE, r, NULL);
    case 1:
    case 2:
        return memory_region_add_overlap(parent, e->a * PAGE, r, e->priority, NULL);
    case 3:
        return memory_region_remove(r, NULL);
    case 4:
        return memory_region_set_enabled(r, e->b < 5, NULL);
    case 5:
        return memory_region_set_address(r, e->a * PAGE, NULL);
    case 6:
        return memory_region_set_size(r, e->b * PAGE, NULL);
    case 7:
        return e->b & 1 ? memory_region_set_priority(r, e->priority, NULL)
                        : memory_region_set_alias_offset(r, e->b * PAGE, NULL);
    case 8:
        return memory_region_add_ioeventfd(r, &ev, NULL);
    default:
        return memory_region_del_ioeventfd(r, &ev, NULL);
    }
}

/* ---- what must be ---- */

/* The leaf that the byte at `offset` of r shows, and which of the leaf's it is. */
static const MemoryRegion *look_up(const MemoryRegion *r, uint64_t offset, uint64_t *at)
{
    if (!r->at.enabled || (r->at.size == 0 && r->type != REGION_CONTAINER) ||
        (r->at.size && offset >= r->at.size)) {
        return NULL;
    }
    if (r->type == REGION_ALIAS) {
        return look_up(r->target, r->at.alias_offset + offset, at);
    }
    for (guint i = 0; r->children && i < r->children->len; i++) {
        const MemoryRegion *c = g_ptr_array_index(r->children, i);
        const MemoryRegion *leaf =
            offset >= c->at.addr ? look_up(c, offset - c->at.addr, at) : NULL;

        if (leaf) {
            return leaf;
        }
    }
    *at = offset;
    return r->type == REGION_CONTAINER ? NULL : r;
}

static void check_view(World *w)
{
    g_autoptr(MemoryView) v = memory_view_get(w->map);

    for (uint64_t gpa = 0; gpa < 2 * PAGES * PAGE; gpa += PAGE) {
        uint64_t at = 0;
        const MemoryRegion *leaf = look_up(memory_map_root(w->map), gpa, &at);
        const MemoryRange *r = memory_view_find(v, gpa);

        g_assert_cmpint(leaf != NULL, ==, r != NULL);
        if (leaf && leaf->type == REGION_MMIO) {
            g_assert_true(r->opaque == leaf->opaque);
            g_assert_cmphex(r->region_offset + (gpa - r->gpa), ==, at);
        } else if (leaf) {
            g_assert_true(r->block == leaf->block);
            g_assert_cmphex(r->block_offset + (gpa - r->gpa), ==, leaf->block_offset + at);
            g_assert_cmpint(r->type == MEMORY_RANGE_ROM, ==, leaf->type == REGION_ROM);
        }
    }
    /* The listener holds exactly what the view shows. */
    g_assert_cmpuint(w->slots->len, ==, v->n);
    for (guint i = 0; i < w->slots->len; i++) {
        const MemoryRange *s = &g_array_index(w->slots, MemoryRange, i);
        const MemoryRange *r = memory_view_find(v, s->gpa);

        g_assert_true(r && memory_range_equal(r, s));
    }
}

static gint compare_events(gconstpointer a, gconstpointer b)
{
    return memory_ioeventfd_compare(a, b);
}

static void check_same(World *a, World *b)
{
    g_autoptr(MemoryView) va = memory_view_get(a->map);
    g_autoptr(MemoryView) vb = memory_view_get(b->map);

    g_assert_cmpuint(va->n, ==, vb->n);
    for (unsigned i = 0; i < va->n; i++) {
        g_assert_true(memory_range_equal(&va->ranges[i], &vb->ranges[i]));
    }
    g_array_sort(a->ioeventfds, compare_events);
    g_array_sort(b->ioeventfds, compare_events);
    g_assert_cmpuint(a->ioeventfds->len, ==, b->ioeventfds->len);
    g_assert_cmpuint(a->ioeventfds->len, ==, va->n_ioeventfds);
    for (guint i = 0; i < a->ioeventfds->len; i++) {
        const FlatIoeventfd *e = &g_array_index(a->ioeventfds, FlatIoeventfd, i);

        g_assert_cmpint(compare_events(e, &g_array_index(b->ioeventfds, FlatIoeventfd, i)), ==, 0);
        g_assert_cmpint(compare_events(e, &va->ioeventfds[i]), ==, 0);
    }
}

static void play_batched(World *w, const Edit *edits, const bool *expect, unsigned n)
{
    unsigned depth = 0;

    memory_transaction_begin(w->map);
    for (unsigned i = 0; i < n; i++) {
        if (g_test_rand_int_range(0, 3) == 0) {
            memory_transaction_begin(w->map);
            depth++;
        }
        g_assert_cmpint(do_edit(w, &edits[i]), ==, expect[i]);
        if (depth && g_test_rand_int_range(0, 2) == 0) {
            g_assert_true(memory_transaction_commit(w->map, NULL));
            depth--;
        }
    }
    while (depth--) {
        g_assert_true(memory_transaction_commit(w->map, NULL));
    }
}

/* One script on both worlds. */
static void play(World *single, World *batch)
{
    Edit edits[12];
    bool expect[12];
    unsigned n = (unsigned)g_test_rand_int_range(1, 13);

    for (unsigned i = 0; i < n; i++) {
        edits[i] = random_edit();
        expect[i] = do_edit(single, &edits[i]);
    }
    if (g_test_rand_int_range(0, 4) == 0) {
        unsigned calls = batch->calls;

        play_batched(batch, edits, expect, n);
        memory_transaction_abort(batch->map);
        g_assert_cmpuint(batch->calls, ==, calls);
        check_view(batch);
    }

    MemoryMapStats before, after;

    memory_map_stats(batch->map, &before);
    play_batched(batch, edits, expect, n);
    g_assert_true(memory_transaction_commit(batch->map, NULL));
    memory_map_stats(batch->map, &after);
    g_assert_cmpuint(after.rebuilds - before.rebuilds, <=, 1);
    check_same(single, batch);
}

static void test_batched_is_single(void)
{
    for (int i = 0; i < SCRIPTS / SCRIPTS_PER_WORLD; i++) {
        World single, batch;

        world_init(&single);
        world_init(&batch);
        for (int k = 0; k < SCRIPTS_PER_WORLD; k++) {
            play(&single, &batch);
            check_view(&batch);
        }
        check_view(&single);
        g_assert_cmpuint(batch.calls, <=, single.calls);
        world_clear(&single);
        world_clear(&batch);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memory-edits/batched-is-single", test_batched_is_single);
    return g_test_run();
}
