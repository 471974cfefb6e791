/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flat views: immutable once made, so that readers on any thread need no lock, only a reference.
 * The reference count is atomic; releasing it orders the last reader's loads before the free.
 *
 * A reader loads the pointer and then takes its reference. In between it is counted in one of two
 * counters, and who replaced the view waits, before giving up the old one, until both have been
 * seen at zero: twice, turning new readers to the other counter each time, so that a stream of
 * readers cannot hold it up. All of that is sequentially consistent: a reader that counts itself
 * in after the counter was seen at zero also sees the new pointer.
 */
#include "memory-view.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "memory-internal.h"

void *memory_this_thread(void)
{
    static __thread char mark;

    return &mark;
}

MemoryView *memory_view_new(const MemoryRange *ranges, unsigned n,
                            const FlatIoeventfd *ioeventfds, unsigned n_ioeventfds)
{
    size_t head = sizeof(MemoryView) + n * sizeof(MemoryRange);
    MemoryView *v = g_malloc(head + n_ioeventfds * sizeof(FlatIoeventfd));

    v->refs = 1;
    v->n = n;
    v->n_ioeventfds = n_ioeventfds;
    v->ioeventfds = (FlatIoeventfd *)((uint8_t *)v + head);
    if (n) {
        memcpy(v->ranges, ranges, n * sizeof(MemoryRange));
    }
    if (n_ioeventfds) {
        memcpy(v->ioeventfds, ioeventfds, n_ioeventfds * sizeof(FlatIoeventfd));
    }
    return v;
}

MemoryView *memory_view_ref(MemoryView *v)
{
    /* Whoever calls this has a reference or is counted as a reader: nothing to order. */
    __atomic_fetch_add(&v->refs, 1, __ATOMIC_RELAXED);
    return v;
}

void memory_view_unref(MemoryView *v)
{
    if (v && __atomic_sub_fetch(&v->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        g_free(v);
    }
}

static void stop_reader(const AddressSpace *as, const char *reader, const char *when)
{
    if (as->map->poison) {
        g_printerr("memory map '%s': %s() reads it %s; a device may do that in post_commit\n",
                   as->name, reader, when);
        abort();
    }
}

/* This thread has edits pending: the view that others see is not the map it made. */
static MemoryView *view_of_edits(AddressSpace *as, const char *reader)
{
    stop_reader(as, reader, "between an edit and its commit");
    if (!as->pending) {
        as->pending = memory_flatten(as->root);
        MEMORY_STAT_ADD(as->map, refreshes, 1);
    }
    return memory_view_ref(as->pending);
}

MemoryView *address_space_view_by(AddressSpace *as, const char *reader)
{
    /* Relaxed: only this thread's own mark matters, and that it wrote itself. */
    if (G_UNLIKELY(__atomic_load_n(&as->map->editor, __ATOMIC_RELAXED) == memory_this_thread())) {
        return view_of_edits(as, reader);
    }
    if (G_UNLIKELY(__atomic_load_n(&as->map->decoder, __ATOMIC_RELAXED) == memory_this_thread())) {
        stop_reader(as, reader, "while device state is decoded");
        as->map->misreader = reader;
    }

    unsigned *readers = &as->readers[__atomic_load_n(&as->epoch, __ATOMIC_SEQ_CST) & 1];

    __atomic_fetch_add(readers, 1, __ATOMIC_SEQ_CST);

    MemoryView *v = memory_view_ref(__atomic_load_n(&as->view, __ATOMIC_SEQ_CST));

    __atomic_fetch_sub(readers, 1, __ATOMIC_SEQ_CST);
    return v;
}

MemoryView *address_space_publish(AddressSpace *as, MemoryView *v)
{
    MemoryView *old = __atomic_exchange_n(&as->view, v, __ATOMIC_SEQ_CST);

    for (int i = 0; i < 2; i++) {
        unsigned was = __atomic_fetch_add(&as->epoch, 1, __ATOMIC_SEQ_CST) & 1;

        while (__atomic_load_n(&as->readers[was], __ATOMIC_SEQ_CST)) {
            sched_yield(); /* a few instructions away, unless it lost its core */
        }
    }
    __atomic_fetch_add(&as->map->generation, 1, __ATOMIC_RELEASE);
    return old;
}

MemoryView *memory_view_get_by(MemoryMap *m, const char *reader)
{
    return address_space_view_by(m->memory, reader);
}

unsigned memory_view_lower_bound(const MemoryView *v, uint64_t gpa)
{
    unsigned lo = 0, hi = v->n;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        const MemoryRange *r = &v->ranges[mid];

        if (r->gpa + (r->size - 1) < gpa) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

const MemoryRange *memory_view_find(const MemoryView *v, uint64_t gpa)
{
    unsigned i = memory_view_lower_bound(v, gpa);

    return i < v->n && v->ranges[i].gpa <= gpa ? &v->ranges[i] : NULL;
}

bool memory_range_equal(const MemoryRange *a, const MemoryRange *b)
{
    return a->type == b->type && a->gpa == b->gpa && a->size == b->size && a->block == b->block &&
           a->block_offset == b->block_offset && a->ops == b->ops && a->opaque == b->opaque &&
           a->region_offset == b->region_offset && strcmp(a->name, b->name) == 0;
}

uint8_t *memory_range_host(const MemoryRange *r, uint64_t gpa)
{
    return gw_ram_block_info(r->block)->host + r->block_offset + (gpa - r->gpa);
}

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

int memory_ioeventfd_compare(const FlatIoeventfd *a, const FlatIoeventfd *b)
{
    int c = COMPARE(a->gpa, b->gpa);

    c = c ? c : COMPARE(a->size, b->size);
    c = c ? c : COMPARE(a->match_data, b->match_data);
    c = c ? c : COMPARE(a->data, b->data);
    return c ? c : COMPARE(a->fd, b->fd);
}

int memory_view_ioeventfd(const MemoryView *v, uint64_t gpa, uint64_t value, unsigned size)
{
    const FlatIoeventfd least = { .gpa = gpa };
    unsigned lo = 0, hi = v->n_ioeventfds;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (memory_ioeventfd_compare(&v->ioeventfds[mid], &least) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    for (; lo < v->n_ioeventfds && v->ioeventfds[lo].gpa == gpa; lo++) {
        const FlatIoeventfd *e = &v->ioeventfds[lo];

        if ((e->size == 0 || e->size == size) && (!e->match_data || e->data == value)) {
            return e->fd;
        }
    }
    return -1;
}

void memory_map_foreach_by(MemoryMap *m, void (*fn)(const MemoryRange *r, void *opaque),
                           void *opaque, const char *reader)
{
    g_autoptr(MemoryView) v = memory_view_get_by(m, reader);

    for (unsigned i = 0; i < v->n; i++) {
        fn(&v->ranges[i], opaque);
    }
}
