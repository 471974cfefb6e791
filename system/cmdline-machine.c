/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -machine: which board, and its properties. Those that QEMU has for every board are in the table
 * below, the board's own come from BoardOps.props. Several -machine are merged.
 *
 * Main thread only, before the machine exists.
 */
#include <string.h>

#include "cmdline.h"
#include "error.h"
#include "machine.h"

#define DEFAULT_MACHINE "microvm"

typedef struct CommonProp {
    const char *name;
    const char *only; /* NULL: any value; else the values that are accepted, with '|' between */
    bool store;       /* somebody reads it from config->machine_props */
} CommonProp;

/* Properties of every board. What is not stored has one meaning only, which is what happens. */
static const CommonProp common_props[] = {
    { "memory-backend", NULL, true },
    { "suppress-vmdesc", "on|off", true },
    { "aux-ram-share", "on|off", false },  /* there is no auxiliary memory */
    { "dump-guest-core", "on|off", true },
    { "mem-merge", "on|off", true },
    { "usb", "off", false },
    { "graphics", "on|off", false },       /* there is no display */
    { "hmat", "off", false },
    { "nvdimm", "off", false },
    { "vmport", "off|auto", false },
    { "smm", "off|auto", false },
    { "kernel-irqchip", "on", false },
    { "igd-passthru", "off", false },
};

static void merge(const char *key, const char *value, void *opaque)
{
    g_hash_table_replace(opaque, g_strdup(key), g_strdup(value));
}

static void print_machines(void)
{
    const BoardOps *const *boards = machine_boards();

    printf("Supported machines are:\n");
    for (size_t i = 0; boards && boards[i]; i++) {
        printf("%-20s %s%s\n", boards[i]->name, boards[i]->description,
               !strcmp(boards[i]->name, DEFAULT_MACHINE) ? " (default)" : "");
    }
}

bool cmdline_machine(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = NULL;

    if (cmdline_wants_help(arg)) {
        print_machines();
        cl->exit_code = 0;
        return true;
    }
    kv = keyval_parse(arg, "type", errp);
    if (!kv) {
        return false;
    }
    keyval_rest(kv, merge, cl->machine);
    return keyval_done(kv, errp);
}

bool cmdline_no_acpi(Cmdline *cl, const char *arg, GError **errp)
{
    merge("acpi", "off", cl->machine);
    return true;
}

static const BoardOps *find_board(const char *name, GError **errp)
{
    const BoardOps *const *boards = machine_boards();
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *near;

    for (size_t i = 0; boards && boards[i]; i++) {
        if (!strcmp(boards[i]->name, name)) {
            return boards[i];
        }
        g_ptr_array_add(names, (gpointer)boards[i]->name);
    }
    near = cmdline_nearest(name, (const char *const *)names->pdata, names->len);
    gw_fail(errp, GW_ERROR_UNSUPPORTED, "-machine %s: unsupported machine type (nearest: %s)\n"
            "Use -machine help to list supported machines", name, near ? near : DEFAULT_MACHINE);
    return NULL;
}

static bool word_in(const char *word, const char *words)
{
    g_auto(GStrv) list = g_strsplit(words, "|", -1);

    return g_strv_contains((const char *const *)list, word);
}

static bool fail_prop(const BoardOps *board, const char *key, GError **errp)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *near;

    for (size_t i = 0; i < G_N_ELEMENTS(common_props); i++) {
        g_ptr_array_add(names, (gpointer)common_props[i].name);
    }
    for (size_t i = 0; board->props && board->props[i]; i++) {
        g_ptr_array_add(names, (gpointer)board->props[i]);
    }
    near = cmdline_nearest(key, (const char *const *)names->pdata, names->len);
    return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                   "-machine %s: Property '%s-machine.%s' not found%s%s%s", board->name,
                   board->name, key, near ? " (nearest: " : "", near ? near : "", near ? ")" : "");
}

/* Puts one property into the config, or refuses it. */
static bool take_prop(Cmdline *cl, const BoardOps *board, const char *key, const char *value,
                      GError **errp)
{
    if (board->props && g_strv_contains(board->props, key)) {
        g_hash_table_replace(cl->config->machine_props, g_strdup(key), g_strdup(value));
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(common_props); i++) {
        const CommonProp *p = &common_props[i];

        if (strcmp(p->name, key)) {
            continue;
        }
        if (p->only && !word_in(value, p->only)) {
            return gw_fail(errp, GW_ERROR_UNSUPPORTED, "-machine %s=%s: not supported here "
                           "(supported: %s)", key, value, p->only);
        }
        if (p->store) {
            g_hash_table_replace(cl->config->machine_props, g_strdup(key), g_strdup(value));
        }
        return true;
    }
    return fail_prop(board, key, errp);
}

/* -machine kernel=, append=, ... are the options of the same name. */
static bool take_boot_prop(Cmdline *cl, const char *key, const char *value)
{
    char **slot = !strcmp(key, "kernel")     ? &cl->config->kernel
                  : !strcmp(key, "append")   ? &cl->config->append
                  : !strcmp(key, "initrd")   ? &cl->config->initrd
                  : !strcmp(key, "firmware") ? &cl->config->bios
                                             : NULL;

    if (slot) {
        g_free(*slot);
        *slot = g_strdup(value);
    }
    return slot != NULL;
}

static bool take_accel_prop(Cmdline *cl, const char *value, GError **errp)
{
    g_auto(GStrv) names = g_strsplit(value, ":", 16);

    if (cl->accel_given || cl->enable_kvm) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "The -accel and \"-machine accel=\" options are incompatible");
    }
    for (size_t i = 0; names[i]; i++) {
        config_add_accel(cl->config, names[i]);
    }
    return true;
}

bool cmdline_machine_finish(Cmdline *cl, GError **errp)
{
    const char *type = g_hash_table_lookup(cl->machine, "type");
    const BoardOps *board = find_board(type ? type : DEFAULT_MACHINE, errp);
    GHashTableIter iter;
    gpointer key, value;

    if (!board) {
        return false;
    }
    cl->config->machine_type = g_strdup(board->name);
    g_hash_table_iter_init(&iter, cl->machine);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (!strcmp(key, "type") || take_boot_prop(cl, key, value)) {
            continue;
        }
        if (!strcmp(key, "accel")) {
            if (!take_accel_prop(cl, value, errp)) {
                return false;
            }
        } else if (!take_prop(cl, board, key, value, errp)) {
            return false;
        }
    }
    return true;
}
