/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the tree of regions to the flat view: regions are visited highest priority first, and each
 * leaf fills the holes that are left. Machine lock held.
 *
 * Everything is reckoned in first and last bytes, so that 2^64 needs no special case, and in the
 * region's own offsets, so that an alias into the middle of its target needs no negative address.
 */
#include <string.h>

#include "memory-internal.h"

/* A piece of a leaf that is seen. */
typedef struct Piece {
    MemoryRange range;
    const MemoryRegion *region;
} Piece;

static uint64_t piece_last(const Piece *p)
{
    return p->range.gpa + (p->range.size - 1);
}

/* Index of the first piece that ends at or above gpa. */
static unsigned lower_bound(const GArray *pieces, uint64_t gpa)
{
    unsigned lo = 0, hi = pieces->len;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (piece_last(&g_array_index(pieces, Piece, mid)) < gpa) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* Bytes [gpa, last] of address space show the leaf from `offset` on. */
static Piece make_piece(const MemoryRegion *r, uint64_t gpa, uint64_t last, uint64_t offset)
{
    Piece p = {
        .range = { .gpa = gpa, .size = last - gpa + 1 },
        .region = r,
    };

    memcpy(p.range.name, r->name, sizeof(p.range.name));
    if (r->type == REGION_MMIO) {
        p.range.type = MEMORY_RANGE_MMIO;
        p.range.ops = r->ops;
        p.range.opaque = r->opaque;
        p.range.region_offset = offset;
    } else {
        p.range.type = r->type == REGION_ROM ? MEMORY_RANGE_ROM : MEMORY_RANGE_RAM;
        p.range.block = r->block;
        p.range.block_offset = r->block_offset + offset;
    }
    return p;
}

/* Fills the holes in [first, last] with the leaf, whose byte `offset` is at `first`. */
static void fill(GArray *pieces, const MemoryRegion *r, uint64_t first, uint64_t last,
                 uint64_t offset)
{
    unsigned i = lower_bound(pieces, first);
    uint64_t at = first;

    for (;;) {
        bool has_next = i < pieces->len;
        uint64_t next = has_next ? g_array_index(pieces, Piece, i).range.gpa : UINT64_MAX;
        uint64_t next_last = has_next ? piece_last(&g_array_index(pieces, Piece, i)) : UINT64_MAX;

        if (!has_next || next > last) {
            Piece p = make_piece(r, at, last, offset + (at - first));

            g_array_insert_val(pieces, i, p);
            return;
        }
        if (next > at) {
            Piece p = make_piece(r, at, next - 1, offset + (at - first));

            g_array_insert_val(pieces, i, p);
            i++;
        }
        if (next_last >= last) {
            return;
        }
        at = next_last + 1;
        i++;
    }
}

/* Shows the region's own bytes [first, last] at gpa. */
static void render(GArray *pieces, const MemoryRegion *r, uint64_t gpa, uint64_t first,
                   uint64_t last)
{
    if (!r->at.enabled || region_is_empty(r) || first > region_last(r)) {
        return;
    }
    last = MIN(last, region_last(r));
    if (r->type == REGION_ALIAS) {
        uint64_t from;

        if (!__builtin_add_overflow(r->at.alias_offset, first, &from)) {
            uint64_t room = MIN(last - first, UINT64_MAX - from);

            render(pieces, r->target, gpa, from, from + room);
        }
        return;
    }
    if (r->type != REGION_CONTAINER) {
        fill(pieces, r, gpa, gpa + (last - first), first);
        return;
    }
    for (guint i = 0; i < r->children->len; i++) {
        const MemoryRegion *c = g_ptr_array_index(r->children, i);
        uint64_t start = MAX(c->at.addr, first);

        if (start <= last) {
            render(pieces, c, gpa + (start - first), start - c->at.addr, last - c->at.addr);
        }
    }
}

/* b goes on where a ends, in the address space and behind it. */
static bool continues(const MemoryRange *a, const MemoryRange *b)
{
    MemoryRange next = *a;

    next.gpa += a->size;
    next.size = b->size;
    if (a->type == MEMORY_RANGE_MMIO) {
        next.region_offset += a->size;
    } else {
        next.block_offset += a->size;
    }
    return next.gpa && memory_range_equal(&next, b);
}

/* The eventfds of a leaf that lie wholly in the piece; each leaf keeps its own sorted. */
static void add_ioeventfds(GArray *out, const Piece *p)
{
    const GArray *own = p->region->ioeventfds;
    uint64_t first = p->range.region_offset, last = first + (p->range.size - 1);

    for (guint i = 0; own && i < own->len; i++) {
        const MemoryIoeventfd *e = &g_array_index(own, MemoryIoeventfd, i);

        if (e->offset < first || e->offset > last ||
            (e->size && e->size - 1 > last - e->offset)) {
            continue;
        }
        FlatIoeventfd flat = { p->range.gpa + (e->offset - first), e->size, e->match_data,
                               e->data, e->fd };

        g_array_append_val(out, flat);
    }
}

MemoryView *memory_flatten(const MemoryRegion *root)
{
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
    g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(MemoryRange));
    g_autoptr(GArray) ioeventfds = g_array_new(FALSE, FALSE, sizeof(FlatIoeventfd));

    render(pieces, root, 0, 0, UINT64_MAX);
    for (guint i = 0; i < pieces->len; i++) {
        const Piece *p = &g_array_index(pieces, Piece, i);
        MemoryRange *prev =
            ranges->len ? &g_array_index(ranges, MemoryRange, ranges->len - 1) : NULL;

        if (prev && continues(prev, &p->range)) {
            prev->size += p->range.size;
        } else {
            g_array_append_val(ranges, p->range);
        }
        add_ioeventfds(ioeventfds, p);
    }
    return memory_view_new((MemoryRange *)ranges->data, ranges->len,
                           (FlatIoeventfd *)ioeventfds->data, ioeventfds->len);
}
