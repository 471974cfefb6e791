/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registry of sections: who saves and loads what, in which order.
 * Changed under the machine lock and not while a migration runs, see savevm.h.
 * Wire: spec stream 1.3 (names, instances) and 1.6 (order).
 */
#include "savevm.h"

#include <string.h>

#include "error.h"

#define IDSTR_MAX 255

static void entry_free(gpointer p)
{
    SaveStateEntry *se = p;

    g_free(se->idstr);
    g_free(se);
}

void save_registry_init(SaveRegistry *reg)
{
    reg->entries = g_ptr_array_new_with_free_func(entry_free);
    /* Not 0: to QEMU that is also the id of every section it has not seen yet, so that it takes
     * a PART of 0 for one of those. */
    reg->next_section_id = 1;
    pthread_mutex_init(&reg->load_lock, NULL);
}

void save_registry_clear(SaveRegistry *reg)
{
    if (reg->entries) {
        g_clear_pointer(&reg->entries, g_ptr_array_unref);
        pthread_mutex_destroy(&reg->load_lock);
    }
}

SaveStateEntry *save_registry_find(SaveRegistry *reg, const char *idstr, uint32_t instance_id)
{
    for (guint i = 0; i < reg->entries->len; i++) {
        SaveStateEntry *se = g_ptr_array_index(reg->entries, i);

        if (se->instance_id == instance_id && strcmp(se->idstr, idstr) == 0) {
            return se;
        }
    }
    return NULL;
}

/* The number after the highest in use of that name. */
static uint32_t next_instance(SaveRegistry *reg, const char *idstr)
{
    uint32_t next = 0;

    for (guint i = 0; i < reg->entries->len; i++) {
        SaveStateEntry *se = g_ptr_array_index(reg->entries, i);

        if (strcmp(se->idstr, idstr) == 0 && se->instance_id >= next) {
            next = se->instance_id + 1;
        }
    }
    return next;
}

/* Checks the name and puts the entry in its place; NULL with *errp if there is none. */
static SaveStateEntry *add_entry(SaveRegistry *reg, const char *idstr, uint32_t instance_id,
                                 MigrationPriority priority, GError **errp)
{
    SaveStateEntry *se;
    guint at = 0;

    if (!idstr || !*idstr || strlen(idstr) > IDSTR_MAX) {
        gw_fail(errp, GW_ERROR_GENERIC, "a section's name must have 1 to %d bytes, not '%s'",
                IDSTR_MAX, idstr ? idstr : "");
        return NULL;
    }
    if (instance_id == VMSTATE_INSTANCE_ANY) {
        instance_id = next_instance(reg, idstr);
    }
    if (save_registry_find(reg, idstr, instance_id)) {
        gw_fail(errp, GW_ERROR_GENERIC, "section '%s' instance %u is registered already", idstr,
                instance_id);
        return NULL;
    }
    while (at < reg->entries->len &&
           ((SaveStateEntry *)g_ptr_array_index(reg->entries, at))->priority >= priority) {
        at++;
    }
    se = g_new0(SaveStateEntry, 1);
    se->idstr = g_strdup(idstr);
    se->instance_id = instance_id;
    se->section_id = reg->next_section_id++;
    se->priority = priority;
    g_ptr_array_insert(reg->entries, at, se);
    return se;
}

bool save_registry_add_iterable(SaveRegistry *reg, const char *idstr, uint32_t instance_id,
                                int version_id, const SaveVMHandlers *handlers, void *opaque,
                                GError **errp)
{
    SaveStateEntry *se = add_entry(reg, idstr, instance_id, MIGRATION_PRIORITY_DEFAULT, errp);

    if (!se) {
        return false;
    }
    se->version_id = version_id;
    se->handlers = handlers;
    se->opaque = opaque;
    return true;
}

bool save_registry_add_vmstate(SaveRegistry *reg, const char *idstr, uint32_t instance_id,
                               const VMStateDescription *vmsd, void *opaque,
                               MigrationPriority priority, GError **errp)
{
    SaveStateEntry *se = add_entry(reg, idstr ? idstr : vmsd->name, instance_id, priority, errp);

    if (!se) {
        return false;
    }
    se->version_id = vmsd->version_id;
    se->vmsd = vmsd;
    se->opaque = opaque;
    return true;
}

void save_registry_remove(SaveRegistry *reg, const VMStateDescription *vmsd, void *opaque)
{
    for (guint i = reg->entries->len; i > 0; i--) {
        SaveStateEntry *se = g_ptr_array_index(reg->entries, i - 1);

        if (se->vmsd == vmsd && se->opaque == opaque) {
            g_ptr_array_remove_index(reg->entries, i - 1);
        }
    }
}
