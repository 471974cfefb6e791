/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flat views: the memory map as readers see it. Immutable, sorted by address, reference counted.
 * A reader on any thread takes a reference without a lock and may go on using the view after the
 * map has changed.
 */
#ifndef SYSTEM_MEMORY_VIEW_H
#define SYSTEM_MEMORY_VIEW_H

#include "memory-region.h"

typedef struct MemoryView {
    int refs; /* atomic */
    unsigned n;
    unsigned n_ioeventfds;
    FlatIoeventfd *ioeventfds; /* ascending by address, then as memory_ioeventfd_compare() */
    MemoryRange ranges[];      /* ascending, without overlap */
} MemoryView;

/* Copies what is sorted already; one reference is the caller's. */
MemoryView *memory_view_new(const MemoryRange *ranges, unsigned n,
                            const FlatIoeventfd *ioeventfds, unsigned n_ioeventfds);
MemoryView *memory_view_ref(MemoryView *v);
void memory_view_unref(MemoryView *v);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MemoryView, memory_view_unref)
/* The present view, with a reference for the caller. Any thread. `reader` is who asks, for the
 * message when it must not (memory.h). */
MemoryView *address_space_view_by(AddressSpace *as, const char *reader);
MemoryView *memory_view_get_by(MemoryMap *m, const char *reader);
#define address_space_view(as) address_space_view_by((as), __func__)
#define memory_view_get(m) memory_view_get_by((m), __func__)
/* The range that holds gpa, else NULL. */
const MemoryRange *memory_view_find(const MemoryView *v, uint64_t gpa);
/* Index of the first range that ends above gpa; v->n if there is none. */
unsigned memory_view_lower_bound(const MemoryView *v, uint64_t gpa);
/* The same range in every respect. */
bool memory_range_equal(const MemoryRange *a, const MemoryRange *b);
/* Host address of a byte of a RAM or ROM range. */
uint8_t *memory_range_host(const MemoryRange *r, uint64_t gpa);
/* Total order, equal only if the same in every respect. */
int memory_ioeventfd_compare(const FlatIoeventfd *a, const FlatIoeventfd *b);
/* The eventfd that a write signals, -1 if it is a write for the device. */
int memory_view_ioeventfd(const MemoryView *v, uint64_t gpa, uint64_t value, unsigned size);

#endif
