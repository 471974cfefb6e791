/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options of one word or two: names, the process, migration, and those of QEMU's options that have
 * only one value here. Main thread only, before the machine exists.
 */
#include <string.h>

#include "cmdline.h"
#include "error.h"

static void set_string(char **slot, const char *value)
{
    g_free(*slot);
    *slot = g_strdup(value);
}

bool cmdline_name(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_parse(arg, "guest", errp);
    const char *guest;

    if (!kv) {
        return false;
    }
    guest = keyval_str(kv, "guest");
    if (guest) {
        set_string(&cl->config->name, guest);
    }
    cl->config->debug_threads = keyval_bool(kv, "debug-threads", cl->config->debug_threads);
    if (keyval_str(kv, "process")) {
        keyval_error(kv, "Parameter 'process' is not supported (nearest: guest)");
    }
    return keyval_done(kv, errp);
}

bool cmdline_uuid(Cmdline *cl, const char *arg, GError **errp)
{
    static const uint8_t dashes[] = { 8, 13, 18, 23 };
    size_t at = 0;

    for (size_t i = 0; i < 16; i++) {
        for (size_t d = 0; d < G_N_ELEMENTS(dashes); d++) {
            if (at == dashes[d] && arg[at++] != '-') {
                goto bad;
            }
        }
        if (!g_ascii_isxdigit(arg[at]) || !g_ascii_isxdigit(arg[at + 1])) {
            goto bad;
        }
        cl->config->uuid[i] = (uint8_t)(g_ascii_xdigit_value(arg[at]) << 4 |
                                        g_ascii_xdigit_value(arg[at + 1]));
        at += 2;
    }
    if (!arg[at]) {
        cl->config->has_uuid = true;
        return true;
    }
bad:
    return gw_fail(errp, GW_ERROR_GENERIC, "failed to parse UUID string: wrong format (expected "
                   "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx)");
}

bool cmdline_incoming(Cmdline *cl, const char *arg, GError **errp)
{
    if (arg[0] == '{' || g_str_has_prefix(arg, "main,") || g_str_has_prefix(arg, "cpr,") ||
        g_str_has_prefix(arg, "channel-type=")) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "channels are not supported here; give a URI, "
                       "or -incoming defer and migrate-incoming with channels");
    }
    if (!*arg) {
        return gw_fail(errp, GW_ERROR_GENERIC, "expected a URI or 'defer'");
    }
    set_string(&cl->config->incoming, arg);
    return true;
}

bool cmdline_paused(Cmdline *cl, const char *arg, GError **errp)
{
    cl->config->start_paused = true;
    return true;
}

bool cmdline_nodefaults(Cmdline *cl, const char *arg, GError **errp)
{
    cl->config->nodefaults = true;
    return true;
}

bool cmdline_nographic(Cmdline *cl, const char *arg, GError **errp)
{
    cl->config->nographic = true;
    return true;
}

bool cmdline_must_be_none(Cmdline *cl, const char *arg, GError **errp)
{
    return !strcmp(arg, "none") ||
           gw_fail(errp, GW_ERROR_UNSUPPORTED, "not supported (nearest: none)");
}

bool cmdline_display(Cmdline *cl, const char *arg, GError **errp)
{
    if (cmdline_wants_help(arg)) {
        printf("Available display backend types:\nnone\n");
        cl->exit_code = 0;
        return true;
    }
    return !strcmp(arg, "none") ||
           gw_fail(errp, GW_ERROR_UNSUPPORTED,
                   "Parameter 'type' does not accept value '%s' (nearest: none)", arg);
}

bool cmdline_pidfile(Cmdline *cl, const char *arg, GError **errp)
{
    set_string(&cl->config->pidfile, arg);
    return true;
}

bool cmdline_daemonize(Cmdline *cl, const char *arg, GError **errp)
{
    cl->config->daemonize = true;
    return true;
}

bool cmdline_no_shutdown(Cmdline *cl, const char *arg, GError **errp)
{
    cl->config->no_shutdown = true;
    return true;
}

bool cmdline_no_reboot(Cmdline *cl, const char *arg, GError **errp)
{
    cl->config->no_reboot = true;
    return true;
}

bool cmdline_overcommit(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_parse(arg, NULL, errp);

    if (!kv) {
        return false;
    }
    if (keyval_bool(kv, "mem-lock", false)) {
        keyval_error(kv, "Parameter 'mem-lock' supports 'off' only (nearest: -mem-prealloc)");
    }
    if (keyval_bool(kv, "cpu-pm", false)) {
        keyval_error(kv, "Parameter 'cpu-pm' supports 'off' only");
    }
    return keyval_done(kv, errp);
}

bool cmdline_sandbox(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_parse(arg, "enable", errp);

    if (!kv) {
        return false;
    }
    if (keyval_bool(kv, "enable", true)) {
        keyval_error(kv, "there is no system call filter (nearest: off)");
    }
    return keyval_done(kv, errp);
}

bool cmdline_audiodev(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_parse(arg, "driver", errp);
    const char *driver;

    if (!kv) {
        return false;
    }
    driver = keyval_need(kv, "driver");
    if (driver && strcmp(driver, "none")) {
        keyval_error(kv, "Parameter 'driver' does not accept value '%s' (nearest: none)", driver);
    }
    keyval_ignore(kv, "id");
    keyval_ignore(kv, "timer-period");
    return keyval_done(kv, errp);
}

bool cmdline_run_with(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_parse(arg, NULL, errp);

    if (!kv) {
        return false;
    }
    cl->config->exit_with_parent =
        keyval_bool(kv, "exit-with-parent", cl->config->exit_with_parent);
    if (keyval_bool(kv, "async-teardown", false)) {
        keyval_error(kv, "Parameter 'async-teardown' supports 'off' only");
    }
    if (keyval_str(kv, "chroot") || keyval_str(kv, "user")) {
        keyval_error(kv, "'chroot' and 'user' are not supported: use chroot(8) and setpriv(1)");
    }
    return keyval_done(kv, errp);
}

bool cmdline_misc_finish(Cmdline *cl, GError **errp)
{
    if (cl->config->daemonize && cl->config->exit_with_parent) {
        return gw_fail(errp, GW_ERROR_GENERIC, "-run-with exit-with-parent=on can't be used "
                       "together with -daemonize, whose parent leaves at once");
    }
    return true;
}

bool cmdline_help(Cmdline *cl, const char *arg, GError **errp)
{
    cmdline_print_help(stdout);
    cl->exit_code = 0;
    return true;
}

bool cmdline_help_rst(Cmdline *cl, const char *arg, GError **errp)
{
    cmdline_print_reference(stdout);
    cl->exit_code = 0;
    return true;
}

bool cmdline_version(Cmdline *cl, const char *arg, GError **errp)
{
    cmdline_print_version(stdout);
    cl->exit_code = 0;
    return true;
}
