/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flat views: the memory map as readers see it. Immutable, sorted by address, reference counted.
 * A reader on any thread takes a reference without the machine lock and may go on using the view
 * after the map has changed.
 */
#ifndef SYSTEM_MEMORY_VIEW_H
#define SYSTEM_MEMORY_VIEW_H

#include "memory.h"

typedef struct MemoryView {
    int refs; /* atomic */
    unsigned n;
    MemoryRange ranges[]; /* ascending, without overlap */
} MemoryView;

/* Copies n sorted ranges; one reference is the caller's. */
MemoryView *memory_view_new(const MemoryRange *ranges, unsigned n);
MemoryView *memory_view_ref(MemoryView *v);
void memory_view_unref(MemoryView *v);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MemoryView, memory_view_unref)
/* The present view of the map, with a reference for the caller. Any thread. */
MemoryView *memory_view_get(MemoryMap *m);
/* The range that holds gpa, else NULL. */
const MemoryRange *memory_view_find(const MemoryView *v, uint64_t gpa);
/* Index of the first range that ends above gpa; v->n if there is none. */
unsigned memory_view_lower_bound(const MemoryView *v, uint64_t gpa);
/* The same range in every respect. */
bool memory_range_equal(const MemoryRange *a, const MemoryRange *b);
/* Host address of a byte of a RAM or ROM range. */
uint8_t *memory_range_host(const MemoryRange *r, uint64_t gpa);

#endif
