/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Edits of the memory map: nested transactions on a sorted array, and the outermost commit, which
 * makes one flat view of it and tells the listener the difference.
 *
 * Edits and commits hold the machine lock. The new view is published between the listener's
 * removals and its additions: a listener that looks at the map while it adds sees the new one. When
 * it refuses an addition everything is taken back, so that view, listener and editor agree again.
 */
#include "memory.h"

#include <inttypes.h>
#include <time.h>

#include "error.h"
#include "memory-internal.h"

#define STAT_ADD(field, n) __atomic_fetch_add(&(field), (n), __ATOMIC_RELAXED)

MemoryMap *memory_map_new(void)
{
    MemoryMap *m = g_new0(MemoryMap, 1);

    pthread_mutex_init(&m->view_lock, NULL);
    m->view = memory_view_new(NULL, 0);
    m->next = g_array_new(FALSE, FALSE, sizeof(MemoryRange));
    m->ports = g_array_new(FALSE, FALSE, sizeof(IoPortRange));
    return m;
}

void memory_map_free(MemoryMap *m)
{
    if (!m) {
        return;
    }
    memory_view_unref(m->view);
    g_array_free(m->next, TRUE);
    g_array_free(m->ports, TRUE);
    pthread_mutex_destroy(&m->view_lock);
    g_free(m);
}

void memory_map_set_listener(MemoryMap *m, const MemoryListener *l, void *opaque)
{
    m->listener = l;
    m->listener_opaque = opaque;
}

void memory_map_set_lock(MemoryMap *m, void (*lock)(void *opaque), void (*unlock)(void *opaque),
                         void *opaque)
{
    m->lock = lock;
    m->unlock = unlock;
    m->lock_opaque = opaque;
}

void memory_map_set_write_hook(MemoryMap *m, MemoryWriteHook fn, void *opaque)
{
    m->write_hook = fn;
    m->write_hook_opaque = opaque;
}

void memory_map_stats(MemoryMap *m, MemoryMapStats *out)
{
    out->commits = __atomic_load_n(&m->stats.commits, __ATOMIC_RELAXED);
    out->edits = __atomic_load_n(&m->stats.edits, __ATOMIC_RELAXED);
    out->rebuilds = __atomic_load_n(&m->stats.rebuilds, __ATOMIC_RELAXED);
    out->listener_calls = __atomic_load_n(&m->stats.listener_calls, __ATOMIC_RELAXED);
    out->commit_ns = __atomic_load_n(&m->stats.commit_ns, __ATOMIC_RELAXED);
}

/* ---- edits ---- */

/* Index of the first range in `next` that ends above gpa. */
static unsigned next_lower_bound(const MemoryMap *m, uint64_t gpa)
{
    unsigned lo = 0, hi = m->next->len;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        const MemoryRange *r = &g_array_index(m->next, MemoryRange, mid);

        if (r->gpa + (r->size - 1) < gpa) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static bool check_range(const MemoryRange *r, GError **errp)
{
    if (r->size == 0 || r->gpa + (r->size - 1) < r->gpa) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "memory region '%s' at 0x%" PRIx64 " has an impossible size 0x%" PRIx64,
                       r->name, r->gpa, r->size);
    }
    if (r->type == MEMORY_RANGE_MMIO ? !r->ops : !r->block) {
        return gw_fail(errp, GW_ERROR_GENERIC, "memory region '%s' has nothing behind it",
                       r->name);
    }
    return true;
}

bool memory_map_add(MemoryMap *m, const MemoryRange *r, GError **errp)
{
    if (!check_range(r, errp)) {
        return false;
    }

    unsigned i = next_lower_bound(m, r->gpa);

    if (i < m->next->len) {
        const MemoryRange *other = &g_array_index(m->next, MemoryRange, i);

        if (other->gpa <= r->gpa + (r->size - 1)) {
            return gw_fail(errp, GW_ERROR_GENERIC,
                           "memory region '%s' at 0x%" PRIx64 " overlaps '%s' at 0x%" PRIx64,
                           r->name, r->gpa, other->name, other->gpa);
        }
    }
    memory_transaction_begin(m);
    g_array_insert_val(m->next, i, *r);
    m->edited = true;
    STAT_ADD(m->stats.edits, 1);
    return memory_transaction_commit(m, errp);
}

void memory_map_remove(MemoryMap *m, uint64_t gpa)
{
    unsigned i = next_lower_bound(m, gpa);

    if (i >= m->next->len || g_array_index(m->next, MemoryRange, i).gpa != gpa) {
        return;
    }
    memory_transaction_begin(m);
    g_array_remove_index(m->next, i);
    m->edited = true;
    STAT_ADD(m->stats.edits, 1);
    /* A removal alone cannot be refused. */
    memory_transaction_commit(m, NULL);
}

/* ---- commit ---- */

static void publish(MemoryMap *m, MemoryView *v)
{
    pthread_mutex_lock(&m->view_lock);

    MemoryView *old = m->view;

    m->view = v;
    pthread_mutex_unlock(&m->view_lock);
    memory_view_unref(old);
}

/* Whether the view holds exactly this range. */
static bool view_has(const MemoryView *v, const MemoryRange *r)
{
    const MemoryRange *at = memory_view_find(v, r->gpa);

    return at && memory_range_equal(at, r);
}

static void tell_removals(MemoryMap *m, const MemoryView *old, const MemoryView *now)
{
    for (unsigned i = 0; i < old->n; i++) {
        if (!view_has(now, &old->ranges[i])) {
            m->listener->range_del(m->listener_opaque, &old->ranges[i]);
            STAT_ADD(m->stats.listener_calls, 1);
        }
    }
}

/* Adds what is in `now` but not in `old`. On failure the ranges added here are removed again. */
static bool tell_additions(MemoryMap *m, const MemoryView *old, const MemoryView *now,
                           GError **errp)
{
    for (unsigned i = 0; i < now->n; i++) {
        if (view_has(old, &now->ranges[i])) {
            continue;
        }
        STAT_ADD(m->stats.listener_calls, 1);
        if (m->listener->range_add(m->listener_opaque, &now->ranges[i], errp)) {
            continue;
        }
        while (i-- > 0) {
            if (!view_has(old, &now->ranges[i])) {
                m->listener->range_del(m->listener_opaque, &now->ranges[i]);
            }
        }
        return false;
    }
    return true;
}

static void revert(MemoryMap *m, MemoryView *old, MemoryView *refused)
{
    /* What held before was accepted before; should it be refused now there is nothing better to
     * do than to go on without it in the accelerator, as the error says. */
    tell_additions(m, refused, old, NULL);
    g_array_set_size(m->next, 0);
    if (old->n) {
        g_array_append_vals(m->next, old->ranges, old->n);
    }
    publish(m, memory_view_ref(old));
}

static bool rebuild(MemoryMap *m, GError **errp)
{
    g_autoptr(MemoryView) old = memory_view_get(m);
    g_autoptr(MemoryView) now = memory_view_new((MemoryRange *)m->next->data, m->next->len);

    STAT_ADD(m->stats.rebuilds, 1);
    if (m->listener) {
        tell_removals(m, old, now);
    }
    publish(m, memory_view_ref(now));
    if (m->listener && !tell_additions(m, old, now, errp)) {
        revert(m, old, now);
        return false;
    }
    return true;
}

void memory_transaction_begin(MemoryMap *m)
{
    m->depth++;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

bool memory_transaction_commit(MemoryMap *m, GError **errp)
{
    if (m->depth == 0) {
        return gw_fail(errp, GW_ERROR_GENERIC, "memory transaction committed but not begun");
    }
    if (--m->depth > 0 || !m->edited) {
        return true;
    }
    uint64_t start = now_ns();

    m->edited = false;

    bool ok = rebuild(m, errp);

    STAT_ADD(m->stats.commits, 1);
    STAT_ADD(m->stats.commit_ns, now_ns() - start);
    return ok;
}
