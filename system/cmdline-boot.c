/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the machine boots: -kernel, -append, -initrd, -bios; and -boot and -rtc, which have one
 * value each.
 * Main thread only, before the machine exists.
 */
#include <string.h>

#include "cmdline.h"
#include "error.h"

static void set_string(char **slot, const char *value)
{
    g_free(*slot);
    *slot = g_strdup(value);
}

bool cmdline_kernel(Cmdline *cl, const char *arg, GError **errp)
{
    set_string(&cl->config->kernel, arg);
    return true;
}

bool cmdline_append(Cmdline *cl, const char *arg, GError **errp)
{
    set_string(&cl->config->append, arg);
    return true;
}

bool cmdline_initrd(Cmdline *cl, const char *arg, GError **errp)
{
    set_string(&cl->config->initrd, arg);
    return true;
}

bool cmdline_bios(Cmdline *cl, const char *arg, GError **errp)
{
    set_string(&cl->config->bios, arg);
    return true;
}

bool cmdline_boot(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_parse(arg, "order", errp);

    if (!kv) {
        return false;
    }
    keyval_ignore(kv, "order");
    keyval_ignore(kv, "once");
    keyval_ignore(kv, "reboot-timeout");
    keyval_bool(kv, "strict", false);
    if (keyval_bool(kv, "menu", false)) {
        keyval_error(kv, "Parameter 'menu' supports 'off' only: there is no boot menu");
    }
    return keyval_done(kv, errp);
}

static void only(KeyValList *kv, const char *key, const char *const *words, const char *names)
{
    const char *v = keyval_str(kv, key);

    if (v && !g_strv_contains(words, v)) {
        keyval_error(kv, "Parameter '%s' supports %s only, not '%s'", key, names, v);
    }
}

bool cmdline_rtc(Cmdline *cl, const char *arg, GError **errp)
{
    static const char *const base[] = { "utc", NULL };
    static const char *const clock[] = { "host", NULL };
    static const char *const driftfix[] = { "none", "slew", NULL };
    g_autoptr(KeyValList) kv = keyval_parse(arg, NULL, errp);

    if (!kv) {
        return false;
    }
    only(kv, "base", base, "'utc'");
    only(kv, "clock", clock, "'host'");
    /* Ticks are never lost: the kernel's timers catch up by themselves. */
    only(kv, "driftfix", driftfix, "'none' and 'slew'");
    return keyval_done(kv, errp);
}

bool cmdline_boot_finish(Cmdline *cl, GError **errp)
{
    if (cl->config->append && !cl->config->kernel) {
        return gw_fail(errp, GW_ERROR_GENERIC, "-append only allowed with -kernel option");
    }
    if (cl->config->initrd && !cl->config->kernel) {
        return gw_fail(errp, GW_ERROR_GENERIC, "-initrd only allowed with -kernel option");
    }
    return true;
}
