/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -chardev: the backends and their parameters, checked and put into ChardevConfig.
 * The backends themselves are in chardev-*.c. Main thread only, before the machine exists.
 */
#include <string.h>

#include "cmdline.h"
#include "error.h"

static void chardev_stdio(ChardevConfig *c, KeyValList *kv)
{
    c->has_signal = keyval_has(kv, "signal");
    c->signal = keyval_bool(kv, "signal", true);
}

static void chardev_file(ChardevConfig *c, KeyValList *kv)
{
    c->path = g_strdup(keyval_need(kv, "path"));
    c->input_path = g_strdup(keyval_str(kv, "input-path"));
    c->append = keyval_bool(kv, "append", false);
}

static void chardev_path(ChardevConfig *c, KeyValList *kv)
{
    c->path = g_strdup(keyval_need(kv, "path"));
}

static void chardev_pty(ChardevConfig *c, KeyValList *kv)
{
    c->path = g_strdup(keyval_str(kv, "path"));
}

static void chardev_null(ChardevConfig *c, KeyValList *kv)
{
}

static void socket_flags(ChardevConfig *c, KeyValList *kv)
{
    c->server = keyval_bool(kv, "server", false);
    c->has_wait = keyval_has(kv, "wait");
    c->wait = keyval_bool(kv, "wait", c->server);
    c->nodelay = keyval_bool(kv, "nodelay", false) | !keyval_bool(kv, "delay", true);
    c->ipv4 = keyval_bool(kv, "ipv4", false);
    c->ipv6 = keyval_bool(kv, "ipv6", false);
    c->reconnect = (int)keyval_u64(kv, "reconnect", 0, 86400);
    keyval_ignore(kv, "tight"); /* unix path length; both spellings reach the same socket */
    if (keyval_bool(kv, "websocket", false) | keyval_bool(kv, "abstract", false) |
        keyval_bool(kv, "telnet", false)) {
        keyval_error(kv, "'telnet', 'websocket' and 'abstract' support 'off' only");
    }
    if (keyval_str(kv, "tls-creds")) {
        keyval_error(kv, "'tls-creds' is not supported for chardevs; use a unix socket");
    }
    if (c->wait && !c->server) {
        keyval_error(kv, "'wait' option is incompatible with socket in client connect mode");
    }
    if (c->reconnect && c->server) {
        keyval_error(kv, "'reconnect' option is incompatible with socket in server listen mode");
    }
}

static void chardev_socket(ChardevConfig *c, KeyValList *kv)
{
    c->path = g_strdup(keyval_str(kv, "path"));
    c->fd = g_strdup(keyval_str(kv, "fd"));
    c->host = g_strdup(keyval_str(kv, "host"));
    c->port = g_strdup(keyval_str(kv, "port"));
    if (!!c->path + !!c->fd + !!c->port != 1) {
        keyval_error(kv, "exactly one of 'path', 'fd' and 'port' (with 'host') is needed");
    }
    if (c->host && !c->port) {
        keyval_error(kv, "'host' needs 'port'");
    }
    if (c->path && strlen(c->path) > 107) {
        keyval_error(kv, "UNIX socket path '%s' is too long: must be less than 108 bytes",
                     c->path);
    }
    if (c->port && !c->host) {
        c->host = g_strdup("");
    }
    socket_flags(c, kv);
}

typedef struct ChardevType {
    const char *name;
    void (*fill)(ChardevConfig *c, KeyValList *kv);
} ChardevType;

static const ChardevType chardev_types[] = {
    { "stdio", chardev_stdio }, { "file", chardev_file }, { "socket", chardev_socket },
    { "pty", chardev_pty },     { "pipe", chardev_path }, { "null", chardev_null },
};

ChardevConfig *cmdline_find_chardev(Cmdline *cl, const char *id)
{
    for (guint i = 0; i < cl->config->chardevs->len; i++) {
        ChardevConfig *c = g_ptr_array_index(cl->config->chardevs, i);

        if (!strcmp(c->id, id)) {
            return c;
        }
    }
    return NULL;
}

static const ChardevType *find_type(KeyValList *kv, const char *name)
{
    const char *names[G_N_ELEMENTS(chardev_types)];
    const char *near;

    for (size_t i = 0; i < G_N_ELEMENTS(chardev_types); i++) {
        if (!strcmp(chardev_types[i].name, name)) {
            return &chardev_types[i];
        }
        names[i] = chardev_types[i].name;
    }
    near = cmdline_nearest(name, names, G_N_ELEMENTS(names));
    keyval_error(kv, "'%s' is not a valid char driver name%s%s%s", name,
                 near ? " (nearest: " : " (-chardev help lists them", near ? near : "", ")");
    return NULL;
}

static void check_id(Cmdline *cl, KeyValList *kv, const char *id)
{
    if (id && !keyval_id_ok(id)) {
        keyval_error(kv, "Parameter 'id' expects an identifier\nIdentifiers consist of letters, "
                     "digits, '-', '.', '_', starting with a letter.");
    } else if (id && cmdline_find_chardev(cl, id)) {
        keyval_error(kv, "Duplicate ID '%s' for chardev", id);
    }
}

bool cmdline_chardev(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = NULL;
    const ChardevType *type;
    const char *name, *id;
    ChardevConfig *c;

    if (cmdline_wants_help(arg)) {
        printf("Available chardev backend types:\n");
        for (size_t i = 0; i < G_N_ELEMENTS(chardev_types); i++) {
            printf("  %s\n", chardev_types[i].name);
        }
        cl->exit_code = 0;
        return true;
    }
    kv = keyval_parse(arg, "backend", errp);
    if (!kv) {
        return false;
    }
    name = keyval_need(kv, "backend");
    type = name ? find_type(kv, name) : NULL;
    if (!type) {
        return keyval_done(kv, errp);
    }
    id = keyval_need(kv, "id");
    check_id(cl, kv, id);
    c = g_new0(ChardevConfig, 1);
    c->id = g_strdup(id ? id : "");
    c->backend = g_strdup(name);
    c->mux = keyval_bool(kv, "mux", false);
    c->logfile = g_strdup(keyval_str(kv, "logfile"));
    c->logappend = keyval_bool(kv, "logappend", false);
    g_ptr_array_add(cl->config->chardevs, c);
    type->fill(c, kv);
    return keyval_done(kv, errp);
}
