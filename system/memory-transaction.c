/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transactions, and the outermost commit: one new flat view for each address space, and the
 * difference told to its listeners. Machine lock held.
 *
 * The new views are published first: a listener that looks at the map sees it as it will be. Every
 * step of a listener is noted; when one is refused the steps are taken back in reverse, then the
 * views, then the edits, so that views, listeners and editor agree again.
 */
#include <time.h>

#include "error.h"
#include "memory-internal.h"

/* What a listener was told. */
typedef struct Step {
    const SpaceListener *to;
    bool added;
    const MemoryRange *range;       /* this or */
    const FlatIoeventfd *ioeventfd; /* this */
} Step;

/* The views of one space around a commit; a reference of each. */
typedef struct Change {
    AddressSpace *as;
    MemoryView *old, *now;
} Change;

typedef struct Commit {
    MemoryMap *map;
    GArray *changes; /* of Change */
    GArray *steps;   /* of Step */
    const SpaceListener *begun; /* `begin` was called, `end` not yet */
} Commit;

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* ---- telling ---- */

static bool take_step(const Step *s, GError **errp)
{
    const MemoryListener *l = s->to->ops;

    if (s->range) {
        if (s->added) {
            return l->range_add(s->to->opaque, s->range, errp);
        }
        l->range_del(s->to->opaque, s->range);
    } else if (s->added) {
        return !l->ioeventfd_add || l->ioeventfd_add(s->to->opaque, s->ioeventfd, errp);
    } else if (l->ioeventfd_del) {
        l->ioeventfd_del(s->to->opaque, s->ioeventfd);
    }
    return true;
}

static void end_listener(Commit *c)
{
    if (c->begun && c->begun->ops->end) {
        c->begun->ops->end(c->begun->opaque);
    }
    c->begun = NULL;
}

static bool tell(Commit *c, const Step *s, GError **errp)
{
    if (c->begun != s->to) {
        end_listener(c);
        c->begun = s->to;
        if (s->to->ops->begin) {
            s->to->ops->begin(s->to->opaque);
        }
    }
    MEMORY_STAT_ADD(c->map, listener_calls, 1);
    if (!take_step(s, errp)) {
        return false;
    }
    g_array_append_val(c->steps, *s);
    return true;
}

static void take_back(Commit *c)
{
    for (guint i = c->steps->len; i > 0; i--) {
        Step s = g_array_index(c->steps, Step, i - 1);
        g_autoptr(GError) err = NULL;

        s.added = !s.added;
        /* What held before was accepted before; should it be refused now there is nothing better
         * to do than to go on without it in the accelerator. */
        if (!take_step(&s, &err)) {
            g_printerr("warning: memory map '%s': %s\n",
                       g_array_index(c->changes, Change, 0).as->name, err->message);
        }
    }
}

/* ---- the difference ---- */

static bool has_range(const MemoryView *v, const MemoryRange *r)
{
    const MemoryRange *at = memory_view_find(v, r->gpa);

    return at && memory_range_equal(at, r);
}

static bool tell_ranges(Commit *c, const SpaceListener *to, const MemoryView *in,
                        const MemoryView *not_in, bool added, GError **errp)
{
    for (unsigned i = 0; i < in->n; i++) {
        Step s = { .to = to, .added = added, .range = &in->ranges[i] };

        if (!has_range(not_in, s.range) && !tell(c, &s, errp)) {
            return false;
        }
    }
    return true;
}

/* Both are sorted: one walk. */
static bool tell_ioeventfds(Commit *c, const SpaceListener *to, const MemoryView *in,
                            const MemoryView *not_in, bool added, GError **errp)
{
    unsigned other = 0;

    for (unsigned i = 0; i < in->n_ioeventfds; i++) {
        Step s = { .to = to, .added = added, .ioeventfd = &in->ioeventfds[i] };
        int order = 1;

        while (other < not_in->n_ioeventfds &&
               (order = memory_ioeventfd_compare(&not_in->ioeventfds[other], s.ioeventfd)) < 0) {
            other++;
        }
        if ((other == not_in->n_ioeventfds || order != 0) && !tell(c, &s, errp)) {
            return false;
        }
    }
    return true;
}

static bool tell_listener(Commit *c, const SpaceListener *to, const Change *ch, GError **errp)
{
    return tell_ioeventfds(c, to, ch->old, ch->now, false, errp) &&
           tell_ranges(c, to, ch->old, ch->now, false, errp) &&
           tell_ranges(c, to, ch->now, ch->old, true, errp) &&
           tell_ioeventfds(c, to, ch->now, ch->old, true, errp);
}

static bool tell_all(Commit *c, GError **errp)
{
    bool ok = true;

    for (guint i = 0; ok && i < c->changes->len; i++) {
        const Change *ch = &g_array_index(c->changes, Change, i);

        for (guint k = 0; ok && k < ch->as->listeners->len; k++) {
            ok = tell_listener(c, &g_array_index(ch->as->listeners, SpaceListener, k), ch, errp);
        }
    }
    if (!ok) {
        take_back(c);
    }
    end_listener(c);
    return ok;
}

/* ---- commit ---- */

static void publish_all(Commit *c)
{
    for (guint i = 0; i < c->map->spaces->len; i++) {
        AddressSpace *as = g_ptr_array_index(c->map->spaces, i);
        MemoryView *now = as->pending ? g_steal_pointer(&as->pending) : memory_flatten(as->root);
        Change ch = { as, address_space_publish(as, memory_view_ref(now)), now };

        MEMORY_STAT_ADD(c->map, rebuilds, 1);
        g_array_append_val(c->changes, ch);
    }
}

static void unpublish_all(Commit *c)
{
    for (guint i = 0; i < c->changes->len; i++) {
        Change *ch = &g_array_index(c->changes, Change, i);

        memory_view_unref(address_space_publish(ch->as, memory_view_ref(ch->old)));
    }
}

static bool rebuild(MemoryMap *m, GError **errp)
{
    Commit c = {
        .map = m,
        .changes = g_array_new(FALSE, FALSE, sizeof(Change)),
        .steps = g_array_new(FALSE, FALSE, sizeof(Step)),
    };
    bool ok;

    publish_all(&c);
    ok = tell_all(&c, errp);
    if (!ok) {
        unpublish_all(&c);
    }
    for (guint i = 0; i < c.changes->len; i++) {
        memory_view_unref(g_array_index(c.changes, Change, i).old);
        memory_view_unref(g_array_index(c.changes, Change, i).now);
    }
    g_array_unref(c.changes);
    g_array_unref(c.steps);
    return ok;
}

static void no_more_edits(MemoryMap *m)
{
    __atomic_store_n(&m->editor, NULL, __ATOMIC_RELAXED);
}

/* Back to the tree before the outermost begin, but for what was freed meanwhile. */
static void give_up(MemoryMap *m)
{
    memory_edits_undo(m);
    for (guint i = 0; i < m->spaces->len; i++) {
        g_clear_pointer(&((AddressSpace *)g_ptr_array_index(m->spaces, i))->pending,
                        memory_view_unref);
    }
    no_more_edits(m);
    if (m->freed->len) {
        rebuild(m, NULL);
    }
}

void memory_transaction_begin(MemoryMap *m)
{
    m->depth++;
}

unsigned memory_transaction_depth(const MemoryMap *m)
{
    return m->depth;
}

void memory_map_forbid_reads(MemoryMap *m, bool on)
{
    __atomic_store_n(&m->decoder, on ? memory_this_thread() : NULL, __ATOMIC_RELAXED);
}

const char *memory_map_take_misreader(MemoryMap *m)
{
    return g_steal_pointer(&m->misreader);
}

static bool commit_edits(MemoryMap *m, GError **errp)
{
    uint64_t start = now_ns();

    no_more_edits(m);

    bool ok = rebuild(m, errp);

    if (!ok) {
        give_up(m);
    }
    MEMORY_STAT_ADD(m, commits, 1);
    MEMORY_STAT_ADD(m, commit_ns, now_ns() - start);
    return ok;
}

bool memory_transaction_commit(MemoryMap *m, GError **errp)
{
    bool ok = true;

    if (m->depth == 0) {
        return gw_fail(errp, GW_ERROR_GENERIC, "memory transaction committed but not begun");
    }
    if (--m->depth > 0) {
        return true;
    }
    if (m->editor) {
        ok = commit_edits(m, errp);
    }
    memory_edits_done(m);
    return ok;
}

void memory_transaction_abort(MemoryMap *m)
{
    if (m->depth == 0) {
        return;
    }
    m->depth = 0;
    give_up(m);
    memory_edits_done(m);
}
