/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -netdev: the types of network backends and their properties. The older form `socket` becomes what
 * `stream` and `dgram` are: listen=, connect=, udp= with localaddr=, fd=.
 * Main thread only, before the machine exists.
 */
#include <string.h>
#include <sys/socket.h>

#include "cmdline.h"
#include "error.h"
#include "net.h"

/* "HOST:PORT", "[::1]:PORT", ":PORT" */
static void parse_host_port(KeyValList *kv, const char *key, NetAddress *a)
{
    const char *text = keyval_str(kv, key);
    const char *colon = text ? strrchr(text, ':') : NULL;

    if (!text) {
        return;
    }
    if (!colon || !colon[1]) {
        keyval_error(kv, "Parameter '%s' expects HOST:PORT, not '%s'", key, text);
        return;
    }
    if (*text == '[' && colon > text + 1 && colon[-1] == ']') {
        a->host = g_strndup(text + 1, colon - text - 2);
    } else {
        a->host = g_strndup(text, colon - text);
    }
    a->port = g_strdup(colon + 1);
}

/* PREFIX.type=inet,PREFIX.host=...: the form of stream and dgram. False: not given. */
static bool parse_address(KeyValList *kv, const char *prefix, NetAddress *a)
{
    g_autofree char *type_key = g_strconcat(prefix, ".type", NULL);
    g_autofree char *host = g_strconcat(prefix, ".host", NULL);
    g_autofree char *port = g_strconcat(prefix, ".port", NULL);
    g_autofree char *path = g_strconcat(prefix, ".path", NULL);
    g_autofree char *str = g_strconcat(prefix, ".str", NULL);
    g_autofree char *v4 = g_strconcat(prefix, ".ipv4", NULL);
    g_autofree char *v6 = g_strconcat(prefix, ".ipv6", NULL);
    const char *type = keyval_str(kv, type_key);

    if (!type) {
        return false;
    }
    if (!strcmp(type, "inet")) {
        a->host = g_strdup(keyval_need(kv, host));
        a->port = g_strdup(keyval_need(kv, port));
        a->ipv4 = keyval_bool(kv, v4, false);
        a->ipv6 = keyval_bool(kv, v6, false);
    } else if (!strcmp(type, "unix")) {
        a->path = g_strdup(keyval_need(kv, path));
    } else if (!strcmp(type, "fd")) {
        a->fd = g_strdup(keyval_need(kv, str));
    } else {
        keyval_error(kv, "Parameter '%s' does not accept value '%s' (supported: inet, unix, fd)",
                     type_key, type);
    }
    return true;
}

static void no_script(KeyValList *kv, const char *key)
{
    const char *v = keyval_str(kv, key);

    if (v && strcmp(v, "no") && *v) {
        keyval_error(kv, "Parameter '%s' supports 'no' only: no script is run; set the interface "
                     "up before the start", key);
    }
}

static void tap_fds(NetdevConfig *n, KeyValList *kv)
{
    const char *fd = keyval_str(kv, "fd"), *fds = keyval_str(kv, "fds");
    g_auto(GStrv) list = g_strsplit(fds ? fds : "", ":", -1);

    if (fd && fds) {
        keyval_error(kv, "fd= and fds= can't be used together");
    }
    if (fd) {
        g_ptr_array_add(n->fds, g_strdup(fd));
    }
    for (char **w = list; fds && *w; w++) {
        g_ptr_array_add(n->fds, g_strdup(*w));
    }
    if (n->fds->len && (n->ifname || keyval_has(kv, "queues"))) {
        keyval_error(kv, "ifname= and queues= are invalid with %s=", fd ? "fd" : "fds");
    }
    if (n->fds->len > NET_MAX_QUEUES) {
        keyval_error(kv, "Parameter 'fds' takes %d descriptors at most", NET_MAX_QUEUES);
    }
}

static void parse_tap(NetdevConfig *n, KeyValList *kv)
{
    n->kind = "tap";
    n->ifname = g_strdup(keyval_str(kv, "ifname"));
    n->has_vnet_hdr = keyval_has(kv, "vnet_hdr");
    n->vnet_hdr = keyval_bool(kv, "vnet_hdr", true);
    tap_fds(n, kv);
    n->queues = n->fds->len ? n->fds->len : keyval_u64(kv, "queues", 1, NET_MAX_QUEUES);
    if (!n->queues) {
        keyval_error(kv, "Parameter 'queues' expects 1 to %d", NET_MAX_QUEUES);
    }
    no_script(kv, "script");
    no_script(kv, "downscript");
    if (keyval_bool(kv, "vhost", false)) {
        keyval_error(kv, "Parameter 'vhost' supports 'off' only: there is no vhost backend");
    }
    keyval_ignore(kv, "sndbuf");
    keyval_ignore(kv, "poll-us");
}

static void parse_socket(NetdevConfig *n, KeyValList *kv)
{
    static const char *const ways[] = { "listen", "connect", "udp", "fd" };
    unsigned given = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        given += keyval_has(kv, ways[i]);
    }
    if (keyval_has(kv, "mcast")) {
        keyval_error(kv, "Parameter 'mcast' is not supported: use a tap interface and a bridge");
    } else if (given != 1) {
        keyval_error(kv, "exactly one of listen=, connect=, udp= and fd= is required");
    }
    n->kind = "stream";
    if (keyval_has(kv, "udp")) {
        n->kind = "dgram";
        parse_host_port(kv, "udp", &n->remote);
        if (!keyval_need(kv, "localaddr")) {
            return;
        }
        parse_host_port(kv, "localaddr", &n->local);
    } else if (keyval_has(kv, "listen")) {
        n->server = true;
        parse_host_port(kv, "listen", &n->local);
    } else if (keyval_has(kv, "connect")) {
        parse_host_port(kv, "connect", &n->remote);
    } else {
        uint64_t fd = 0;
        int type = 0;
        socklen_t len = sizeof(type);

        n->local.fd = g_strdup(keyval_str(kv, "fd"));
        if (n->local.fd && keyval_parse_u64(n->local.fd, &fd) && fd <= INT_MAX &&
            getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_DGRAM) {
            n->kind = "dgram";
        }
    }
}

static void parse_stream(NetdevConfig *n, KeyValList *kv)
{
    NetAddress a = { 0 };

    n->kind = "stream";
    n->server = keyval_bool(kv, "server", false);
    n->reconnect = keyval_u64(kv, "reconnect-ms", 0, INT32_MAX);
    if (!n->reconnect) {
        n->reconnect = keyval_u64(kv, "reconnect", 0, INT32_MAX / 1000) * 1000;
    }
    if (n->server && n->reconnect) {
        keyval_error(kv, "reconnect is for clients: it can't be used with server=on");
    }
    if (!parse_address(kv, "addr", &a)) {
        keyval_need(kv, "addr.type");
    }
    *(n->server ? &n->local : &n->remote) = a;
}

static void parse_dgram(NetdevConfig *n, KeyValList *kv)
{
    bool local, remote;

    n->kind = "dgram";
    local = parse_address(kv, "local", &n->local);
    remote = parse_address(kv, "remote", &n->remote);
    if (n->local.fd ? remote : !remote) {
        keyval_error(kv, n->local.fd ? "'remote' can't be used with local.type=fd"
                                     : "'remote.type' is required: frames need a place to go");
    } else if (n->remote.fd) {
        keyval_error(kv, "'remote.type' supports inet and unix only");
    } else if (n->remote.path && !n->local.path) {
        keyval_error(kv, "'local.path' is required with remote.type=unix");
    } else if (local && !n->local.fd && !n->local.path != !n->remote.path) {
        keyval_error(kv, "'local.type' and 'remote.type' must be the same");
    }
}

typedef struct NetdevType {
    const char *name;
    void (*parse)(NetdevConfig *n, KeyValList *kv);
    const char *text; /* parse NULL: why not, and what to use; else for -netdev help */
} NetdevType;

static const NetdevType types[] = {
    { "tap", parse_tap, "a tap interface: ifname=, fd=, fds=, queues=, vnet_hdr=, script=no" },
    { "socket", parse_socket, "listen=HOST:PORT, connect=HOST:PORT, udp=HOST:PORT,"
                              "localaddr=HOST:PORT, or fd=" },
    { "stream", parse_stream, "a TCP or unix connection: addr.type=, addr.host=, addr.port=, "
                              "addr.path=, server=, reconnect-ms=" },
    { "dgram", parse_dgram, "UDP or unix datagrams: local.type=, remote.type=, ..." },
    { "user", NULL, "there is no network stack inside this program; use tap, or passt(1) with "
                    "-netdev stream,addr.type=unix" },
    { "bridge", NULL, "no helper is run; make a tap interface in the bridge and use tap" },
    { "vhost-user", NULL, "there is no vhost backend; use tap or stream" },
    { "vhost-vdpa", NULL, "there is no vhost backend; use tap or stream" },
    { "vde", NULL, "use tap or stream" },
    { "l2tpv3", NULL, "use tap or dgram" },
    { "hubport", NULL, "a backend has one card; use a tap interface and a bridge" },
};

static void print_types(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (types[i].parse) {
            printf("%-8s %s\n", types[i].name, types[i].text);
        }
    }
}

static const NetdevType *find_type(const char *name, GError **errp)
{
    const char *names[G_N_ELEMENTS(types)], *near;

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        names[i] = types[i].name;
        if (strcmp(types[i].name, name)) {
            continue;
        }
        if (!types[i].parse) {
            gw_fail(errp, GW_ERROR_UNSUPPORTED, "network backend '%s' is not supported: %s", name,
                    types[i].text);
            return NULL;
        }
        return &types[i];
    }
    near = cmdline_nearest(name, names, G_N_ELEMENTS(names));
    gw_fail(errp, GW_ERROR_UNSUPPORTED, "Parameter 'type' does not accept value '%s' (%s: %s)",
            name, near ? "nearest" : "supported", near ? near : "tap, socket, stream, dgram");
    return NULL;
}

static bool is_duplicate(const MachineConfig *c, const char *id)
{
    for (guint i = 0; i < c->netdevs->len; i++) {
        if (!strcmp(((NetdevConfig *)c->netdevs->pdata[i])->id, id)) {
            return true;
        }
    }
    return false;
}

bool cmdline_netdev(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = NULL;
    const NetdevType *type;
    const char *name, *id;
    NetdevConfig *n;

    if (cmdline_wants_help(arg)) {
        print_types();
        cl->exit_code = 0;
        return true;
    }
    kv = keyval_parse(arg, "type", errp);
    if (!kv) {
        return false;
    }
    name = keyval_need(kv, "type");
    type = name ? find_type(name, errp) : NULL;
    if (!type) {
        return name ? false : keyval_done(kv, errp);
    }
    id = keyval_need(kv, "id");
    if (id && !keyval_id_ok(id)) {
        keyval_error(kv, "Parameter 'id' expects an identifier, not '%s'", id);
    } else if (id && is_duplicate(cl->config, id)) {
        keyval_error(kv, "Duplicate ID '%s' for netdev", id);
    }
    n = g_new0(NetdevConfig, 1);
    n->fds = g_ptr_array_new_with_free_func(g_free);
    n->id = g_strdup(id ? id : "");
    n->type = g_strdup(name);
    g_ptr_array_add(cl->config->netdevs, n);
    type->parse(n, kv);
    return keyval_done(kv, errp);
}
