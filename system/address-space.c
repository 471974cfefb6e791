/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Address spaces: a root region, the flat view of it that readers share, and who listens to its
 * changes. Made and freed with the machine lock held; the view is memory-view.c's.
 */
#include "memory-internal.h"

AddressSpace *address_space_new(MemoryMap *m, const char *name, MemoryRegion *root)
{
    AddressSpace *as = g_new0(AddressSpace, 1);

    as->map = m;
    as->name = g_strdup(name);
    as->root = root;
    as->listeners = g_array_new(FALSE, FALSE, sizeof(SpaceListener));
    root->viewers++;
    /* Nobody reads it yet, so there is no old view to wait for. */
    as->view = memory_flatten(root);
    g_ptr_array_add(m->spaces, as);
    return as;
}

void address_space_free(AddressSpace *as)
{
    g_ptr_array_remove(as->map->spaces, as);
    as->root->viewers--;
    memory_view_unref(as->view);
    g_clear_pointer(&as->pending, memory_view_unref);
    g_array_unref(as->listeners);
    g_free(as->name);
    g_free(as);
}

/* What the view holds, from the start up to `ranges` ranges and `events` ioeventfds, away again. */
static void take_away(const MemoryView *v, const MemoryListener *l, void *opaque, unsigned ranges,
                      unsigned events)
{
    while (events-- > 0) {
        l->ioeventfd_del(opaque, &v->ioeventfds[events]);
    }
    while (ranges-- > 0) {
        l->range_del(opaque, &v->ranges[ranges]);
    }
}

static bool tell_present(const MemoryView *v, const MemoryListener *l, void *opaque,
                         GError **errp)
{
    for (unsigned i = 0; i < v->n; i++) {
        if (!l->range_add(opaque, &v->ranges[i], errp)) {
            take_away(v, l, opaque, i, 0);
            return false;
        }
    }
    for (unsigned i = 0; l->ioeventfd_add && i < v->n_ioeventfds; i++) {
        if (!l->ioeventfd_add(opaque, &v->ioeventfds[i], errp)) {
            take_away(v, l, opaque, v->n, i);
            return false;
        }
    }
    return true;
}

bool address_space_add_listener(AddressSpace *as, const MemoryListener *l, void *opaque,
                                GError **errp)
{
    g_autoptr(MemoryView) v = address_space_view(as);
    SpaceListener entry = { l, opaque };

    if (!tell_present(v, l, opaque, errp)) {
        return false;
    }
    g_array_append_val(as->listeners, entry);
    return true;
}
