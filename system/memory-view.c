/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flat views: immutable once made, so that readers on any thread need no lock, only a reference.
 * The reference count is atomic; releasing it orders the last reader's loads before the free.
 */
#include "memory-view.h"

#include <string.h>

#include "memory-internal.h"

MemoryView *memory_view_new(const MemoryRange *ranges, unsigned n)
{
    MemoryView *v = g_malloc0(sizeof(*v) + n * sizeof(MemoryRange));

    v->refs = 1;
    v->n = n;
    if (n) {
        memcpy(v->ranges, ranges, n * sizeof(MemoryRange));
    }
    return v;
}

MemoryView *memory_view_ref(MemoryView *v)
{
    /* Whoever calls this has a reference or holds view_lock: nothing to order. */
    __atomic_fetch_add(&v->refs, 1, __ATOMIC_RELAXED);
    return v;
}

void memory_view_unref(MemoryView *v)
{
    if (v && __atomic_sub_fetch(&v->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        g_free(v);
    }
}

MemoryView *memory_view_get(MemoryMap *m)
{
    pthread_mutex_lock(&m->view_lock);

    MemoryView *v = memory_view_ref(m->view);

    pthread_mutex_unlock(&m->view_lock);
    return v;
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
           strncmp(a->name, b->name, sizeof(a->name)) == 0;
}

uint8_t *memory_range_host(const MemoryRange *r, uint64_t gpa)
{
    return gw_ram_block_info(r->block)->host + r->block_offset + (gpa - r->gpa);
}

void memory_map_foreach(MemoryMap *m, void (*fn)(const MemoryRange *r, void *opaque),
                        void *opaque)
{
    g_autoptr(MemoryView) v = memory_view_get(m);

    for (unsigned i = 0; i < v->n; i++) {
        fn(&v->ranges[i], opaque);
    }
}
