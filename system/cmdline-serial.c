/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -serial, -monitor, -qmp: short forms that make a chardev and connect it ("unix:/x,server=on",
 * "mon:stdio"); -mon, which connects one that exists; and the defaults and checks at the end.
 * Main thread only, before the machine exists.
 */
#include <string.h>

#include "cmdline.h"
#include "error.h"

/* Splits "HOST:PORT,opts" or "[V6]:PORT,opts"; the parts are the caller's. */
static bool split_host_port(const char *text, char **host, char **port, GError **errp)
{
    const char *end = text + strcspn(text, ",");
    const char *colon = NULL;

    if (text[0] == '[') {
        const char *close = memchr(text, ']', end - text);

        if (close && close[1] == ':') {
            *host = g_strndup(text + 1, close - text - 1);
            colon = close + 1;
        }
    } else {
        colon = memchr(text, ':', end - text);
        *host = colon ? g_strndup(text, colon - text) : NULL;
    }
    if (!colon || colon + 1 == end) {
        return gw_fail(errp, GW_ERROR_GENERIC, "expected HOST:PORT, not '%s'", text);
    }
    *port = g_strndup(colon + 1, end - colon - 1);
    return true;
}

/* Doubles commas, so that a value survives the list parser. */
static char *escape(const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);

    return g_strjoinv(",,", parts);
}

static char *long_form_tcp(const char *rest, GError **errp)
{
    g_autofree char *host = NULL, *port = NULL;

    if (!split_host_port(rest, &host, &port, errp)) {
        return NULL;
    }
    return g_strdup_printf("socket,host=%s,port=%s%s", host, port, rest + strcspn(rest, ","));
}

/* The -chardev argument (without id) that a short form stands for. */
static char *long_form(const char *dev, GError **errp)
{
    if (!strcmp(dev, "stdio") || !strcmp(dev, "null") || !strcmp(dev, "pty")) {
        return g_strdup(dev);
    }
    if (g_str_has_prefix(dev, "file:") || g_str_has_prefix(dev, "pipe:") ||
        g_str_has_prefix(dev, "pty:")) {
        const char *colon = strchr(dev, ':');
        g_autofree char *backend = g_strndup(dev, colon - dev);
        g_autofree char *path = escape(colon + 1);

        return g_strdup_printf("%s,path=%s", backend, path);
    }
    if (g_str_has_prefix(dev, "unix:")) {
        return g_strdup_printf("socket,path=%s", dev + 5);
    }
    if (g_str_has_prefix(dev, "tcp:")) {
        return long_form_tcp(dev + strlen("tcp:"), errp);
    }
    gw_fail(errp, GW_ERROR_UNSUPPORTED, "'%s' is not a valid char driver (supported: stdio, file:, "
            "unix:, tcp:, pty, pipe:, null, none, chardev:ID, mon:...)", dev);
    return NULL;
}

/* Makes the chardev `id` of a short form, or finds that of "chardev:ID". Returns its id, owned by
 * the caller. */
static char *make_chardev(Cmdline *cl, const char *dev, const char *id, bool mux, GError **errp)
{
    g_autofree char *form = NULL, *arg = NULL;

    if (g_str_has_prefix(dev, "chardev:")) {
        return g_strdup(dev + strlen("chardev:"));
    }
    form = long_form(dev, errp);
    if (!form) {
        return NULL;
    }
    arg = g_strdup_printf("%s,id=%s%s", form, id, mux ? ",mux=on" : "");
    return cmdline_chardev(cl, arg, errp) ? g_strdup(id) : NULL;
}

void cmdline_add_monitor(Cmdline *cl, const char *id, const char *chardev, bool control,
                         bool pretty)
{
    MonitorConfig *m = g_new0(MonitorConfig, 1);

    m->id = g_strdup(id);
    m->chardev = g_strdup(chardev);
    m->control = control;
    m->pretty = pretty;
    g_ptr_array_add(cl->config->monitors, m);
}

bool cmdline_add_serial(Cmdline *cl, const char *chardev, int index, GError **errp)
{
    SerialConfig *s;

    if (cl->config->serials->len >= 4) {
        return gw_fail(errp, GW_ERROR_GENERIC, "the machine has 4 serial ports, not more");
    }
    for (guint i = 0; index >= 0 && i < cl->config->serials->len; i++) {
        s = g_ptr_array_index(cl->config->serials, i);
        if (s->index == index) {
            return gw_fail(errp, GW_ERROR_GENERIC, "serial port %d is given twice", index);
        }
    }
    s = g_new0(SerialConfig, 1);
    s->chardev = g_strdup(chardev);
    s->index = index;
    g_ptr_array_add(cl->config->serials, s);
    cl->default_serial = false;
    return true;
}

static bool add_mux(Cmdline *cl, const char *dev, const char *id, GError **errp)
{
    g_autofree char *made = make_chardev(cl, dev, id, true, errp);
    g_autofree char *monitor = g_strdup_printf("compat_monitor%u", cl->nr_compat_monitor);

    if (!made) {
        return false;
    }
    cl->nr_compat_monitor++;
    cmdline_add_monitor(cl, monitor, made, false, false);
    cl->default_monitor = false;
    return true;
}

bool cmdline_serial(Cmdline *cl, const char *arg, GError **errp)
{
    int index = (int)cl->nr_serial++;
    g_autofree char *id = g_strdup_printf("serial%d", index);
    g_autofree char *made = NULL;

    cl->default_serial = false;
    if (!strcmp(arg, "none")) {
        return cmdline_add_serial(cl, NULL, index, errp);
    }
    if (g_str_has_prefix(arg, "mon:")) {
        return add_mux(cl, arg + 4, id, errp) && cmdline_add_serial(cl, id, index, errp);
    }
    made = make_chardev(cl, arg, id, false, errp);
    return made && cmdline_add_serial(cl, made, index, errp);
}

bool cmdline_parallel(Cmdline *cl, const char *arg, GError **errp)
{
    if (strcmp(arg, "none") && strcmp(arg, "null")) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "there is no parallel port (nearest: -serial %s)", arg);
    }
    return true;
}

static bool add_monitor(Cmdline *cl, const char *dev, bool control, bool pretty, GError **errp)
{
    g_autofree char *id = g_strdup_printf("compat_monitor%u", cl->nr_compat_monitor);
    g_autofree char *made = NULL;

    cl->default_monitor = false;
    if (!strcmp(dev, "none")) {
        return true;
    }
    made = make_chardev(cl, g_str_has_prefix(dev, "mon:") ? dev + 4 : dev, id,
                        g_str_has_prefix(dev, "mon:"), errp);
    if (!made) {
        return false;
    }
    cl->nr_compat_monitor++;
    cmdline_add_monitor(cl, id, made, control, pretty);
    return true;
}

bool cmdline_monitor(Cmdline *cl, const char *arg, GError **errp)
{
    return add_monitor(cl, arg, false, false, errp);
}

bool cmdline_qmp(Cmdline *cl, const char *arg, GError **errp)
{
    return add_monitor(cl, arg, true, false, errp);
}

bool cmdline_qmp_pretty(Cmdline *cl, const char *arg, GError **errp)
{
    return add_monitor(cl, arg, true, true, errp);
}

bool cmdline_mon(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_parse(arg, "chardev", errp);
    const char *chardev, *mode, *id;
    bool pretty, control;

    if (!kv) {
        return false;
    }
    chardev = keyval_need(kv, "chardev");
    mode = keyval_str(kv, "mode");
    id = keyval_str(kv, "id");
    pretty = keyval_bool(kv, "pretty", false);
    control = mode && !strcmp(mode, "control");
    if (mode && !control && strcmp(mode, "readline")) {
        keyval_error(kv, "Parameter 'mode' expects 'readline' or 'control', not '%s'", mode);
    }
    if (!keyval_done(kv, errp)) {
        return false;
    }
    cmdline_add_monitor(cl, id ? id : chardev, chardev, control, pretty);
    cl->default_monitor = false;
    return true;
}

/* QEMU's defaults: -nographic takes the terminal; without it a serial port is there, heard by
 * nobody, so that the machine has the same devices. */
static bool add_defaults(Cmdline *cl, GError **errp)
{
    const MachineConfig *c = cl->config;
    bool terminal = c->nographic && !c->daemonize;

    if (c->nodefaults) {
        return true;
    }
    if (terminal && cl->default_serial && cl->default_monitor) {
        return cmdline_serial(cl, "mon:stdio", errp);
    }
    if (terminal && cl->default_monitor) {
        for (guint i = 0; i < c->chardevs->len; i++) {
            const ChardevConfig *used = g_ptr_array_index(c->chardevs, i);

            terminal &= strcmp(used->backend, "stdio") != 0;
        }
        return !terminal || cmdline_monitor(cl, "stdio", errp);
    }
    if (cl->default_serial) {
        return cmdline_serial(cl, terminal ? "stdio" : "null", errp);
    }
    return true;
}

/* Every user names a chardev that exists, and only a multiplexed one has several. */
static bool use_chardev(Cmdline *cl, GHashTable *users, const char *id, const char *user,
                        GError **errp)
{
    const ChardevConfig *c = cmdline_find_chardev(cl, id);

    if (!c) {
        return gw_fail(errp, GW_ERROR_GENERIC, "%s: chardev \"%s\" not found (make it with "
                       "-chardev ...,id=%s)", user, id, id);
    }
    if (!g_hash_table_add(users, (gpointer)c->id) && !c->mux) {
        return gw_fail(errp, GW_ERROR_GENERIC, "%s: chardev \"%s\" is already in use (share it "
                       "with mux=on)", user, id);
    }
    return true;
}

static bool check_stdio(const MachineConfig *config, GError **errp)
{
    unsigned n = 0;

    for (guint i = 0; i < config->chardevs->len; i++) {
        const ChardevConfig *c = g_ptr_array_index(config->chardevs, i);

        n += !strcmp(c->backend, "stdio");
    }
    if (n > 1) {
        return gw_fail(errp, GW_ERROR_GENERIC, "cannot use stdio by multiple character devices "
                       "(share it with mon:stdio)");
    }
    if (n && config->daemonize) {
        return gw_fail(errp, GW_ERROR_GENERIC, "cannot use stdio with -daemonize");
    }
    return true;
}

bool cmdline_chardevs_finish(Cmdline *cl, GError **errp)
{
    g_autoptr(GHashTable) users = g_hash_table_new(g_str_hash, g_str_equal);

    if (!add_defaults(cl, errp)) {
        return false;
    }
    for (guint i = 0; i < cl->config->serials->len; i++) {
        const SerialConfig *s = g_ptr_array_index(cl->config->serials, i);

        if (s->chardev && !use_chardev(cl, users, s->chardev, "-serial", errp)) {
            return false;
        }
    }
    for (guint i = 0; i < cl->config->monitors->len; i++) {
        const MonitorConfig *m = g_ptr_array_index(cl->config->monitors, i);

        if (!use_chardev(cl, users, m->chardev, "-mon", errp)) {
            return false;
        }
    }
    return check_stdio(cl->config, errp);
}
