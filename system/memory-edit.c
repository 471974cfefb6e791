/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Edits of the region tree. Each is made at once and noted together with what it replaced, so that
 * a transaction that is refused or given up can be taken back in reverse. Machine lock held.
 *
 * An edit of something that no address space shows is noted, but it does not make the transaction
 * one that has to be committed: devices build their windows before they map them.
 */
#include <inttypes.h>

#include "error.h"
#include "memory-internal.h"

typedef enum MemoryEditKind {
    EDIT_LINKED,        /* undo: unlink */
    EDIT_UNLINKED,      /* undo: link to `parent` at `index`, as it was there */
    EDIT_ATTRS,         /* undo: back to `old` */
    EDIT_EVENT_ADDED,   /* undo: remove the ioeventfd at `index` */
    EDIT_EVENT_REMOVED, /* undo: insert `event` at `index` */
} MemoryEditKind;

typedef struct MemoryEdit {
    MemoryEditKind kind;
    MemoryRegion *r, *parent;
    guint index;
    int priority;
    bool may_overlap;
    RegionAttrs old;
    MemoryIoeventfd event;
} MemoryEdit;

/* ---- the journal ---- */

static bool is_seen(const MemoryRegion *r)
{
    for (; r; r = r->parent) {
        if (r->viewers) {
            return true;
        }
    }
    return false;
}

/* Called where the region is in the tree: after a link, before an unlink. */
static void note(MemoryRegion *r, const MemoryEdit *edit)
{
    MemoryMap *m = r->map;

    g_array_append_val(m->undo, *edit);
    if (!is_seen(r)) {
        return;
    }
    MEMORY_STAT_ADD(m, edits, 1);
    __atomic_store_n(&m->editor, memory_this_thread(), __ATOMIC_RELAXED);
    for (guint i = 0; i < m->spaces->len; i++) {
        AddressSpace *as = g_ptr_array_index(m->spaces, i);

        g_clear_pointer(&as->pending, memory_view_unref);
    }
}

static guint index_of(const MemoryRegion *r)
{
    guint i = 0;

    g_ptr_array_find(r->parent->children, r, &i);
    return i;
}

static void undo_one(const MemoryEdit *e)
{
    MemoryRegion *r = e->r;

    switch (e->kind) {
    case EDIT_LINKED:
        g_ptr_array_remove(r->parent->children, r);
        r->parent = NULL;
        break;
    case EDIT_UNLINKED:
        g_ptr_array_insert(e->parent->children, (gint)e->index, r);
        r->parent = e->parent;
        r->at = e->old;
        r->priority = e->priority;
        r->may_overlap = e->may_overlap;
        break;
    case EDIT_ATTRS:
        r->at = e->old;
        break;
    case EDIT_EVENT_ADDED:
        g_array_remove_index(r->ioeventfds, e->index);
        break;
    case EDIT_EVENT_REMOVED:
        g_array_insert_val(r->ioeventfds, e->index, e->event);
        break;
    }
}

GArray *memory_edits_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(MemoryEdit));
}

void memory_edits_undo(MemoryMap *m)
{
    for (guint i = m->undo->len; i > 0; i--) {
        undo_one(&g_array_index(m->undo, MemoryEdit, i - 1));
    }
    g_array_set_size(m->undo, 0);
    /* What was freed has nobody behind it any more: it does not come back. */
    for (guint i = 0; i < m->freed->len; i++) {
        MemoryRegion *r = g_ptr_array_index(m->freed, i);

        if (r->parent) {
            g_ptr_array_remove(r->parent->children, r);
            r->parent = NULL;
        }
        for (guint c = 0; r->children && c < r->children->len; c++) {
            ((MemoryRegion *)g_ptr_array_index(r->children, c))->parent = NULL;
        }
    }
}

void memory_edits_done(MemoryMap *m)
{
    g_array_set_size(m->undo, 0);
    for (guint i = 0; i < m->freed->len; i++) {
        memory_region_destroy(g_ptr_array_index(m->freed, i));
    }
    g_ptr_array_set_size(m->freed, 0);
    for (guint i = 0; i < m->dropped->len; i++) {
        MemoryRegion *r = g_ptr_array_index(m->dropped, i);

        if (!r->parent) {
            memory_region_destroy(r);
        }
    }
    g_ptr_array_set_size(m->dropped, 0);
}

/* ---- links ---- */

static void link_region(MemoryRegion *parent, MemoryRegion *r)
{
    guint i = 0;

    while (i < parent->children->len &&
           ((MemoryRegion *)g_ptr_array_index(parent->children, i))->priority > r->priority) {
        i++;
    }
    g_ptr_array_insert(parent->children, (gint)i, r);
    r->parent = parent;
    note(r, &(MemoryEdit){ .kind = EDIT_LINKED, .r = r });
}

static void unlink_region(MemoryRegion *r)
{
    MemoryEdit edit = { .kind = EDIT_UNLINKED, .r = r, .parent = r->parent, .index = index_of(r),
                        .priority = r->priority, .may_overlap = r->may_overlap, .old = r->at };

    note(r, &edit);
    g_ptr_array_remove_index(r->parent->children, edit.index);
    r->parent = NULL;
}

/* Whether `to` is seen through r. */
static bool leads_to(const MemoryRegion *r, const MemoryRegion *to)
{
    if (r == to || (r->type == REGION_ALIAS && leads_to(r->target, to))) {
        return true;
    }
    for (guint i = 0; r->children && i < r->children->len; i++) {
        if (leads_to(g_ptr_array_index(r->children, i), to)) {
            return true;
        }
    }
    return false;
}

/* Of r at `at` in `parent`: inside the address space, and clear of siblings. */
static bool check_place(const MemoryRegion *parent, const MemoryRegion *r, const RegionAttrs *at,
                        GError **errp)
{
    uint64_t last = at->addr + (at->size - 1);

    if (at->size == 0) {
        return true;
    }
    if (last < at->addr) {
        return gw_fail(errp, GW_ERROR_GENERIC, "memory region '%s' at 0x%" PRIx64 " has an "
                       "impossible size 0x%" PRIx64, r->name, at->addr, at->size);
    }
    for (guint i = 0; !r->may_overlap && i < parent->children->len; i++) {
        const MemoryRegion *o = g_ptr_array_index(parent->children, i);

        if (o != r && !o->may_overlap && !region_is_empty(o) && o->at.addr <= last &&
            at->addr <= o->at.addr + region_last(o)) {
            return gw_fail(errp, GW_ERROR_GENERIC, "memory region '%s' at 0x%" PRIx64
                           " overlaps '%s' at 0x%" PRIx64, r->name, at->addr, o->name, o->at.addr);
        }
    }
    return true;
}

static bool add_child(MemoryRegion *parent, uint64_t offset, MemoryRegion *r, GError **errp)
{
    RegionAttrs at = r->at;

    at.addr = offset;
    if (parent->type != REGION_CONTAINER || r->parent || leads_to(r, parent)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "memory region '%s' cannot be put into '%s': %s",
                       r->name, parent->name,
                       parent->type != REGION_CONTAINER ? "that is no container"
                       : r->parent ? "it is in another" : "it would contain itself");
    }
    if (!check_place(parent, r, &at, errp)) {
        return false;
    }
    memory_transaction_begin(r->map);
    r->at.addr = offset;
    link_region(parent, r);
    return memory_transaction_commit(r->map, errp);
}

bool memory_region_add(MemoryRegion *parent, uint64_t offset, MemoryRegion *r, GError **errp)
{
    if (!r->parent) {
        r->may_overlap = false;
        r->priority = 0;
    }
    return add_child(parent, offset, r, errp);
}

bool memory_region_add_overlap(MemoryRegion *parent, uint64_t offset, MemoryRegion *r,
                               int priority, GError **errp)
{
    if (!r->parent) {
        r->may_overlap = true;
        r->priority = priority;
    }
    return add_child(parent, offset, r, errp);
}

bool memory_region_remove(MemoryRegion *r, GError **errp)
{
    if (!r->parent) {
        return true;
    }
    memory_transaction_begin(r->map);
    unlink_region(r);
    return memory_transaction_commit(r->map, errp);
}

/* ---- attributes ---- */

static bool set_attrs(MemoryRegion *r, const RegionAttrs *at, GError **errp)
{
    if (r->parent && !check_place(r->parent, r, at, errp)) {
        return false;
    }
    memory_transaction_begin(r->map);
    note(r, &(MemoryEdit){ .kind = EDIT_ATTRS, .r = r, .old = r->at });
    r->at = *at;
    return memory_transaction_commit(r->map, errp);
}

bool memory_region_set_enabled(MemoryRegion *r, bool enabled, GError **errp)
{
    RegionAttrs at = r->at;

    at.enabled = enabled;
    return enabled == r->at.enabled || set_attrs(r, &at, errp);
}

bool memory_region_set_address(MemoryRegion *r, uint64_t offset, GError **errp)
{
    RegionAttrs at = r->at;

    at.addr = offset;
    return offset == r->at.addr || set_attrs(r, &at, errp);
}

bool memory_region_set_size(MemoryRegion *r, uint64_t size, GError **errp)
{
    RegionAttrs at = r->at;

    at.size = size;
    return size == r->at.size || set_attrs(r, &at, errp);
}

bool memory_region_set_alias_offset(MemoryRegion *r, uint64_t offset, GError **errp)
{
    RegionAttrs at = r->at;

    at.alias_offset = offset;
    return offset == r->at.alias_offset || set_attrs(r, &at, errp);
}

bool memory_region_set_priority(MemoryRegion *r, int priority, GError **errp)
{
    MemoryRegion *parent = r->parent;

    if (!parent || priority == r->priority) {
        r->priority = priority;
        return true;
    }
    memory_transaction_begin(r->map);
    unlink_region(r);
    r->priority = priority;
    link_region(parent, r);
    return memory_transaction_commit(r->map, errp);
}

/* ---- ioeventfds ---- */

static FlatIoeventfd as_flat(const MemoryIoeventfd *e)
{
    return (FlatIoeventfd){ e->offset, e->size, e->match_data, e->data, e->fd };
}

/* Whether there is a write that signals both. */
static bool same_write(const MemoryIoeventfd *a, const MemoryIoeventfd *b)
{
    return a->offset == b->offset && (a->size == b->size || !a->size || !b->size) &&
           (!a->match_data || !b->match_data || a->data == b->data);
}

/* Where e is or belongs in the sorted array. */
static guint event_index(const MemoryRegion *r, const MemoryIoeventfd *e, bool *found)
{
    FlatIoeventfd want = as_flat(e);
    guint lo = 0, hi = memory_region_n_ioeventfds(r);

    *found = false;
    while (lo < hi) {
        guint mid = lo + (hi - lo) / 2;
        FlatIoeventfd have = as_flat(&g_array_index(r->ioeventfds, MemoryIoeventfd, mid));
        int c = memory_ioeventfd_compare(&have, &want);

        *found = *found || c == 0;
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

bool memory_region_has_ioeventfd(const MemoryRegion *r, const MemoryIoeventfd *e)
{
    bool found;

    event_index(r, e, &found);
    return found;
}

static bool check_event(const MemoryRegion *r, const MemoryIoeventfd *e, GError **errp)
{
    bool size_ok = e->size <= 8 && (e->size & (e->size - 1)) == 0 && (e->size || !e->match_data);

    if (r->type != REGION_MMIO || e->offset >= r->at.size || !size_ok) {
        return gw_fail(errp, GW_ERROR_GENERIC, "memory region '%s' cannot have an ioeventfd of %u "
                       "bytes at 0x%" PRIx64, r->name, e->size, e->offset);
    }
    for (guint i = 0; i < memory_region_n_ioeventfds(r); i++) {
        if (same_write(&g_array_index(r->ioeventfds, MemoryIoeventfd, i), e)) {
            return gw_fail(errp, GW_ERROR_GENERIC, "memory region '%s' has an ioeventfd for that "
                           "write at 0x%" PRIx64 " already", r->name, e->offset);
        }
    }
    return true;
}

bool memory_region_add_ioeventfd(MemoryRegion *r, const MemoryIoeventfd *e, GError **errp)
{
    bool found;

    if (!check_event(r, e, errp)) {
        return false;
    }
    if (!r->ioeventfds) {
        r->ioeventfds = g_array_new(FALSE, FALSE, sizeof(MemoryIoeventfd));
    }
    memory_transaction_begin(r->map);

    guint i = event_index(r, e, &found);

    g_array_insert_val(r->ioeventfds, i, *e);
    note(r, &(MemoryEdit){ .kind = EDIT_EVENT_ADDED, .r = r, .index = i });
    return memory_transaction_commit(r->map, errp);
}

bool memory_region_del_ioeventfd(MemoryRegion *r, const MemoryIoeventfd *e, GError **errp)
{
    bool found;
    guint i = event_index(r, e, &found);

    if (!found) {
        return gw_fail(errp, GW_ERROR_GENERIC, "memory region '%s' has no such ioeventfd at 0x%"
                       PRIx64, r->name, e->offset);
    }
    memory_transaction_begin(r->map);
    note(r, &(MemoryEdit){ .kind = EDIT_EVENT_REMOVED, .r = r, .index = i, .event = *e });
    g_array_remove_index(r->ioeventfds, i);
    return memory_transaction_commit(r->map, errp);
}
