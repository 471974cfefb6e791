/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which accelerator runs the guest: those of -accel in order, the first that opens. Without any
 * -accel it is kvm alone: a simulated guest is nothing that anybody gets without asking.
 * Main thread, while the machine is made.
 */
#include <string.h>

#include "error.h"
#include "machine-init.h"

static const AccelOps *find_accel(const char *name)
{
    const AccelOps *const *list = accel_list();

    for (size_t i = 0; list[i]; i++) {
        if (strcmp(list[i]->name, name) == 0) {
            return list[i];
        }
    }
    return NULL;
}

static bool try_accel(Machine *m, const AccelConfig *conf, GError **errp)
{
    const AccelOps *ops = find_accel(conf->name);

    if (!ops) {
        g_autoptr(GString) known = g_string_new(NULL);
        const AccelOps *const *list = accel_list();

        for (size_t i = 0; list[i]; i++) {
            g_string_append_printf(known, "%s%s", i ? ", " : "", list[i]->name);
        }
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "invalid accelerator %s (supported: %s)",
                       conf->name, known->str);
    }
    m->accel = ops;
    if (!ops->init(m, conf, errp)) {
        m->accel = NULL;
        g_prefix_error(errp, "failed to initialize %s: ", conf->name);
        return false;
    }
    return true;
}

/* Remembers why one did not work, and tells it at once: the user asked for it by name. */
static void note_failure(Machine *m, const GError *err)
{
    char *all = m->accel_errors ? g_strdup_printf("%s\n%s", m->accel_errors, err->message)
                                : g_strdup(err->message);

    g_free(m->accel_errors);
    m->accel_errors = all;
    g_printerr("godwit-system-x86_64: %s\n", err->message);
}

bool machine_init_accel(Machine *m, GError **errp)
{
    const GPtrArray *accels = m->config->accels;

    if (!accels || accels->len == 0) {
        g_autoptr(GHashTable) props = g_hash_table_new(g_str_hash, g_str_equal);
        const AccelConfig kvm = { (char *)"kvm", props };

        return try_accel(m, &kvm, errp);
    }
    for (guint i = 0; i < accels->len; i++) {
        g_autoptr(GError) err = NULL;

        if (try_accel(m, g_ptr_array_index(accels, i), &err)) {
            if (i > 0) {
                g_printerr("godwit-system-x86_64: falling back to %s\n", m->accel->name);
            }
            return true;
        }
        if (i + 1 == accels->len) {
            g_propagate_error(errp, g_steal_pointer(&err));
            return false;
        }
        note_failure(m, err);
    }
    return false;
}
