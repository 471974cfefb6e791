/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -accel: which accelerators to try, in which order, with which properties. QEMU's accelerators
 * that godwit does not have are passed over as long as another one is named.
 *
 * Main thread only, before the machine exists.
 */
#include <string.h>

#include "accel.h"
#include "cmdline.h"
#include "error.h"

static const char *const foreign_accels[] = {
    "tcg", "qtest", "hvf", "whpx", "nvmm", "xen", "hax", "mshv",
};

static const AccelOps *find_accel(const char *name)
{
    const AccelOps *const *list = accel_list();

    for (size_t i = 0; list[i]; i++) {
        if (!strcmp(list[i]->name, name)) {
            return list[i];
        }
    }
    return NULL;
}

static char *accel_names(void)
{
    const AccelOps *const *list = accel_list();
    GString *s = g_string_new(NULL);

    for (size_t i = 0; list[i]; i++) {
        g_string_append_printf(s, "%s%s", i ? ", " : "", list[i]->name);
    }
    return g_string_free(s, FALSE);
}

static bool is_foreign(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(foreign_accels); i++) {
        if (!strcmp(foreign_accels[i], name)) {
            return true;
        }
    }
    return false;
}

static void print_accels(void)
{
    const AccelOps *const *list = accel_list();

    printf("Accelerators supported by this binary:\n");
    for (size_t i = 0; list[i]; i++) {
        printf("%s\n", list[i]->name);
    }
}

static void add_prop(const char *key, const char *value, void *opaque)
{
    g_hash_table_replace(opaque, g_strdup(key), g_strdup(value));
}

bool cmdline_accel(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = NULL;
    const char *name;
    AccelConfig *a;

    if (cmdline_wants_help(arg)) {
        print_accels();
        cl->exit_code = 0;
        return true;
    }
    kv = keyval_parse(arg, "accel", errp);
    if (!kv) {
        return false;
    }
    name = keyval_need(kv, "accel");
    if (name) {
        cl->accel_given = true;
        a = config_add_accel(cl->config, name);
        keyval_rest(kv, add_prop, a->props);
    }
    return keyval_done(kv, errp);
}

bool cmdline_enable_kvm(Cmdline *cl, const char *arg, GError **errp)
{
    cl->enable_kvm = true;
    return true;
}

/* QEMU's names for what is fixed here. */
static bool prop_is_noop(const char *accel, const char *key, const char *value)
{
    return !strcmp(accel, "kvm") && !strcmp(key, "kernel-irqchip") && !strcmp(value, "on");
}

static bool check_props(const AccelConfig *a, const AccelOps *ops, GError **errp)
{
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, a->props);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const char *near = NULL;

        if (ops->props && g_strv_contains(ops->props, key)) {
            continue;
        }
        if (prop_is_noop(a->name, key, value)) {
            g_hash_table_iter_remove(&iter);
            continue;
        }
        if (ops->props) {
            near = cmdline_nearest(key, ops->props, g_strv_length((GStrv)ops->props));
        }
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "-accel %s: Property '%s-accel.%s' not found%s%s%s", a->name, a->name,
                       (const char *)key, near ? " (nearest: " : "", near ? near : "",
                       near ? ")" : "");
    }
    return true;
}

static bool fail_accel(const char *name, GError **errp)
{
    g_autofree char *names = accel_names();

    if (is_foreign(name)) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "-accel %s: not available in this binary (supported: %s)", name, names);
    }
    return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                   "-accel %s: invalid accelerator %s (supported: %s)", name, name, names);
}

bool cmdline_accel_finish(Cmdline *cl, GError **errp)
{
    GPtrArray *accels = cl->config->accels;
    g_autofree char *first_foreign = NULL;

    if (cl->enable_kvm && !accels->len) {
        config_add_accel(cl->config, "kvm");
    }
    if (!accels->len) {
        config_add_accel(cl->config, "kvm");
        /* A machine without a CPU only needs somebody to follow its memory. */
        if (!strcmp(cl->config->machine_type, "none")) {
            config_add_accel(cl->config, "sim");
        }
    }
    for (guint i = 0; i < accels->len;) {
        AccelConfig *a = g_ptr_array_index(accels, i);
        const AccelOps *ops = find_accel(a->name);

        if (ops) {
            if (!check_props(a, ops, errp)) {
                return false;
            }
            i++;
        } else if (is_foreign(a->name)) {
            if (!first_foreign) {
                first_foreign = g_strdup(a->name);
            }
            g_ptr_array_remove_index(accels, i);
        } else {
            return fail_accel(a->name, errp);
        }
    }
    return accels->len || fail_accel(first_foreign, errp);
}
