/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `uri` and `channels` arguments to GwAddress, and listening addresses back to SocketAddress.
 * No state. Spec: channels 4.1.
 */
#include "migration-address.h"

#include <string.h>

#include "error.h"
#include "json-util.h"

/* 0, 4 or 6: what `ipv4` and `ipv6` leave. */
static bool inet_family(json_object *addr, int *family, GError **errp)
{
    json_object *v4 = jo_get(addr, "ipv4"), *v6 = jo_get(addr, "ipv6");
    bool no4 = v4 && !json_object_get_boolean(v4), no6 = v6 && !json_object_get_boolean(v6);
    bool only4 = no6 || (v4 && !no4 && !v6), only6 = no4 || (v6 && !no6 && !v4);

    if (no4 && no6) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "address %s: ipv4 and ipv6 cannot both be off", jo_get_str(addr, "host"));
    }
    *family = only4 ? 4 : only6 ? 6 : 0;
    return true;
}

static bool from_socket(json_object *addr, GwAddress *out, GError **errp)
{
    const char *type = jo_get_str(addr, "type");

    if (strcmp(type, "inet") == 0) {
        out->transport = GW_TRANSPORT_TCP;
        out->host = g_strdup(jo_get_str(addr, "host"));
        out->port = g_strdup(jo_get_str(addr, "port"));
        return inet_family(addr, &out->family, errp);
    }
    if (strcmp(type, "unix") == 0) {
        out->transport = GW_TRANSPORT_UNIX;
        out->path = g_strdup(jo_get_str(addr, "path"));
    } else if (strcmp(type, "fd") == 0) {
        out->transport = GW_TRANSPORT_FD;
        out->fd = g_strdup(jo_get_str(addr, "str"));
    } else {
        const char *cid = jo_get_str(addr, "cid");
        guint64 n;

        out->transport = GW_TRANSPORT_VSOCK;
        out->port = g_strdup(jo_get_str(addr, "port"));
        if (!g_ascii_string_to_unsigned(cid, 10, 0, G_MAXUINT32, &n, NULL)) {
            return gw_fail(errp, GW_ERROR_GENERIC,
                           "error parsing cid '%s': give a number below 2^32", cid);
        }
        out->cid = (uint32_t)n;
    }
    return true;
}

static bool from_exec(json_object *addr, GwAddress *out, GError **errp)
{
    json_object *args = jo_get(addr, "args");
    size_t n = json_object_array_length(args);

    if (n == 0) {
        return gw_fail(errp, GW_ERROR_GENERIC, "exec: 'args' is empty: give a program to run");
    }
    out->transport = GW_TRANSPORT_EXEC;
    out->argv = g_new0(char *, n + 1);
    for (size_t i = 0; i < n; i++) {
        out->argv[i] = g_strdup(json_object_get_string(json_object_array_get_idx(args, i)));
    }
    return true;
}

static GwAddress *from_address(json_object *addr, GError **errp)
{
    g_autoptr(GwAddress) out = g_new0(GwAddress, 1);
    const char *transport = jo_get_str(addr, "transport");

    if (strcmp(transport, "socket") == 0) {
        if (!from_socket(addr, out, errp)) {
            return NULL;
        }
    } else if (strcmp(transport, "exec") == 0) {
        if (!from_exec(addr, out, errp)) {
            return NULL;
        }
    } else {
        out->transport = GW_TRANSPORT_FILE;
        out->path = g_strdup(jo_get_str(addr, "filename"));
        out->offset = jo_get_u64(jo_get(addr, "offset"));
    }
    return g_steal_pointer(&out);
}

static GwAddress *from_channels(json_object *channels, GError **errp)
{
    json_object *main_channel = NULL;

    /* The schema knows only channels of type main. */
    for (size_t i = 0; i < json_object_array_length(channels); i++) {
        if (main_channel) {
            gw_fail(errp, GW_ERROR_GENERIC, "Channel list has more than one main entry");
            return NULL;
        }
        main_channel = json_object_array_get_idx(channels, i);
    }
    if (!main_channel) {
        gw_fail(errp, GW_ERROR_GENERIC, "Channel list has no main entry");
        return NULL;
    }
    return from_address(jo_get(main_channel, "addr"), errp);
}

GwAddress *migration_address_from_args(json_object *args, GError **errp)
{
    const char *uri = jo_get_str(args, "uri");
    json_object *channels = jo_get(args, "channels");

    if (!uri == !channels) {
        gw_fail(errp, GW_ERROR_GENERIC, "need either 'uri' or 'channels' argument");
        return NULL;
    }
    return uri ? gw_address_parse_uri(uri, errp) : from_channels(channels, errp);
}

json_object *migration_address_to_socket(const GwAddress *addr)
{
    json_object *o;

    if (addr->transport != GW_TRANSPORT_TCP && addr->transport != GW_TRANSPORT_UNIX &&
        addr->transport != GW_TRANSPORT_VSOCK) {
        return NULL;
    }
    o = jo_new();
    if (addr->transport == GW_TRANSPORT_TCP) {
        jo_str(o, "port", addr->port);
        jo_bool(o, strchr(addr->host, ':') ? "ipv6" : "ipv4", true);
        jo_str(o, "host", addr->host);
        jo_str(o, "type", "inet");
    } else if (addr->transport == GW_TRANSPORT_UNIX) {
        jo_str(o, "path", addr->path);
        jo_str(o, "type", "unix");
    } else {
        g_autofree char *cid = g_strdup_printf("%u", addr->cid);

        jo_str(o, "cid", cid);
        jo_str(o, "port", addr->port);
        jo_str(o, "type", "vsock");
    }
    return o;
}
