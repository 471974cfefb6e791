/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line: walks argv, finds each option in the table (one dash or two), calls its
 * handler, then lets every group settle its defaults and look at the whole.
 *
 * Errors begin with the option as it was written: "-m 12x: ...", as QEMU's do.
 * Main thread only, before the machine exists.
 */
#include "cmdline.h"

#include <string.h>

#include "error.h"

static const CmdlineOption *find_option(const char *name)
{
    for (const CmdlineOption *o = cmdline_options; o->name; o++) {
        if (!strcmp(o->name, name)) {
            return o;
        }
    }
    return NULL;
}

static bool fail_unknown(const char *written, const char *name, GError **errp)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *near;

    for (const CmdlineOption *o = cmdline_options; o->name; o++) {
        if (!o->unsupported) {
            g_ptr_array_add(names, (gpointer)o->name);
        }
    }
    near = cmdline_nearest(name, (const char *const *)names->pdata, names->len);
    if (near) {
        return gw_fail(errp, GW_ERROR_GENERIC, "%s: invalid option (nearest: -%s)", written, near);
    }
    return gw_fail(errp, GW_ERROR_GENERIC, "%s: invalid option (-help lists the options)",
                   written);
}

/* Handles argv[*i], and its argument if it has one. */
static bool parse_one(Cmdline *cl, int argc, char **argv, int *i, GError **errp)
{
    const char *written = argv[*i];
    const CmdlineOption *o;
    const char *arg = NULL;

    if (written[0] != '-' || !written[1]) {
        return gw_fail(errp, GW_ERROR_GENERIC, "%s: unexpected argument (for a disk image use "
                       "-drive file=...,format=raw)", written);
    }
    o = find_option(written + (written[1] == '-' ? 2 : 1));
    if (!o) {
        return fail_unknown(written, written + (written[1] == '-' ? 2 : 1), errp);
    }
    if (o->unsupported) {
        return gw_fail(errp, GW_ERROR_GENERIC, "%s: not supported; %s", written, o->unsupported);
    }
    if (o->arg) {
        if (*i + 1 >= argc) {
            return gw_fail(errp, GW_ERROR_GENERIC, "%s: requires an argument", written);
        }
        arg = argv[++*i];
    }
    if (o->handler && !o->handler(cl, arg, errp)) {
        g_prefix_error(errp, "%s%s%s: ", written, arg ? " " : "", arg ? arg : "");
        return false;
    }
    return true;
}

static bool parse_all(Cmdline *cl, int argc, char **argv, GError **errp)
{
    for (int i = 1; i < argc; i++) {
        if (!parse_one(cl, argc, argv, &i, errp)) {
            return false;
        }
        if (cl->exit_code >= 0) {
            return true;
        }
    }
    /* The board first: the others look at its limits. */
    return cmdline_machine_finish(cl, errp) && cmdline_accel_finish(cl, errp) &&
           cmdline_smp_finish(cl, errp) && cmdline_memory_finish(cl, errp) &&
           cmdline_boot_finish(cl, errp) && cmdline_misc_finish(cl, errp) &&
           cmdline_chardevs_finish(cl, errp);
}

MachineConfig *cmdline_parse(int argc, char **argv, int *exit_code, GError **errp)
{
    g_autoptr(MachineConfig) config = machine_config_new();
    Cmdline cl = {
        .config = config,
        .exit_code = -1,
        .machine = config_props_new(),
        .default_serial = true,
        .default_monitor = true,
    };
    bool ok = parse_all(&cl, argc, argv, errp);

    g_hash_table_unref(cl.machine);
    *exit_code = cl.exit_code;
    return ok ? g_steal_pointer(&config) : NULL;
}
