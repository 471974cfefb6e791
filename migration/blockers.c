/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reasons why this machine cannot migrate at present. ms->lock; any thread. */
#include "state.h"

#include "error.h"

int gw_blocker_add(MigrationState *ms, const char *reason)
{
    LOCK_GUARD(&ms->lock);
    const int id = ++ms->next_blocker;

    g_hash_table_insert(ms->blockers, GINT_TO_POINTER(id), g_strdup(reason));
    return id;
}

void gw_blocker_remove(MigrationState *ms, int id)
{
    LOCK_GUARD(&ms->lock);

    g_hash_table_remove(ms->blockers, GINT_TO_POINTER(id));
}

bool blockers_check(MigrationState *ms, GError **errp)
{
    LOCK_GUARD(&ms->lock);
    GHashTableIter it;
    gpointer reason;

    g_hash_table_iter_init(&it, ms->blockers);
    if (g_hash_table_iter_next(&it, NULL, &reason)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "%s", (const char *)reason);
    }
    return true;
}

GPtrArray *blockers_list(MigrationState *ms)
{
    GPtrArray *list = NULL;
    GHashTableIter it;
    gpointer reason;

    g_hash_table_iter_init(&it, ms->blockers);
    while (g_hash_table_iter_next(&it, NULL, &reason)) {
        if (!list) {
            list = g_ptr_array_new_with_free_func(g_free);
        }
        g_ptr_array_add(list, g_strdup(reason));
    }
    return list;
}
