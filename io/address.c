/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Migration addresses: the URI form parsed and printed. Pure functions without state. Nothing is
 * resolved or opened here; error texts are those of QEMU where its users know them.
 * Spec: channels 4.1, qmp 5.3.
 */
#include "migration/channel.h"

#include <errno.h>
#include <string.h>

#include "error.h"

#define FILE_OFFSET_OPTION ",offset="

/* ",ipv4[=on|off],ipv6[=on|off]" behind HOST:PORT. */
static bool parse_inet_options(GwAddress *a, const char *options, GError **errp)
{
    g_auto(GStrv) words = g_strsplit(options, ",", -1);

    for (char **w = words; *w; w++) {
        const bool v4 = g_str_has_prefix(*w, "ipv4");
        const char *value = *w + strlen("ipv4");
        bool on;

        if (!v4 && !g_str_has_prefix(*w, "ipv6")) {
            return gw_fail(errp, GW_ERROR_GENERIC,
                           "address option '%s' is not supported; use ipv4 or ipv6", *w);
        }
        if (*value == '\0' || strcmp(value, "=on") == 0) {
            on = true;
        } else if (strcmp(value, "=off") == 0) {
            on = false;
        } else {
            return gw_fail(errp, GW_ERROR_GENERIC, "error parsing '%s': expected on or off", *w);
        }
        a->family = v4 == on ? 4 : 6;
    }
    return true;
}

static bool parse_inet(GwAddress *a, const char *text, GError **errp)
{
    const char *colon = NULL;
    const char *options;

    if (*text == '[') {
        const char *end = strstr(text, "]:");

        if (!end) {
            return gw_fail(errp, GW_ERROR_GENERIC, "error parsing IPv6 address '%s'", text);
        }
        a->host = g_strndup(text + 1, (size_t)(end - text - 1));
        colon = end + 1;
    } else {
        colon = strchr(text, ':');
        if (!colon) {
            return gw_fail(errp, GW_ERROR_GENERIC, "error parsing address '%s'", text);
        }
        a->host = g_strndup(text, (size_t)(colon - text));
    }
    options = strchrnul(colon, ',');
    a->port = g_strndup(colon + 1, (size_t)(options - colon - 1));
    if (*a->port == '\0') {
        return gw_fail(errp, GW_ERROR_GENERIC, "error parsing address '%s': the port is missing",
                       text);
    }
    if (strchr(a->port, ':')) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "error parsing address '%s': an IPv6 host goes in brackets, [HOST]:PORT",
                       text);
    }
    return *options == '\0' || parse_inet_options(a, options + 1, errp);
}

static bool parse_vsock(GwAddress *a, const char *text, GError **errp)
{
    const char *colon = strchr(text, ':');
    g_autofree char *cid = NULL;
    guint64 value;

    if (!colon) {
        return gw_fail(errp, GW_ERROR_GENERIC, "error parsing address '%s'", text);
    }
    cid = g_strndup(text, (size_t)(colon - text));
    if (!g_ascii_string_to_unsigned(cid, 10, 0, UINT32_MAX, &value, NULL)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Failed to parse cid '%s'", cid);
    }
    a->cid = (uint32_t)value;
    if (!g_ascii_string_to_unsigned(colon + 1, 10, 0, UINT32_MAX, &value, NULL)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Failed to parse port '%s'", colon + 1);
    }
    a->port = g_strdup(colon + 1);
    return true;
}

/* Bytes: decimal or 0x..., then optionally one of B K M G T P E. */
static bool parse_size(const char *text, uint64_t *bytes)
{
    static const char suffixes[] = "BKMGTPE";
    const bool hex = g_ascii_strncasecmp(text, "0x", 2) == 0;
    char *end;
    const char *suffix;
    uint64_t value;
    unsigned shift;

    if (!g_ascii_isdigit(*text)) {
        return false; /* strtoull would take a sign or blanks */
    }
    errno = 0;
    value = g_ascii_strtoull(text, &end, hex ? 16 : 10);
    if (errno || end == text) {
        return false;
    }
    if (*end != '\0') {
        suffix = strchr(suffixes, g_ascii_toupper(*end));
        if (!suffix || end[1] != '\0') {
            return false;
        }
        shift = (unsigned)(suffix - suffixes) * 10;
        if (value > (uint64_t)INT64_MAX >> shift) {
            return false;
        }
        value <<= shift;
    }
    *bytes = value;
    return value <= INT64_MAX;
}

static bool parse_file(GwAddress *a, const char *text, GError **errp)
{
    const char *option = g_strrstr(text, FILE_OFFSET_OPTION);

    if (option && !parse_size(option + strlen(FILE_OFFSET_OPTION), &a->offset)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "file: bad offset '%s': give bytes, 0x... or a number with K, M, G or T",
                       option + strlen(FILE_OFFSET_OPTION));
    }
    a->path = option ? g_strndup(text, (size_t)(option - text)) : g_strdup(text);
    if (*a->path == '\0') {
        return gw_fail(errp, GW_ERROR_GENERIC, "file: the path is missing");
    }
    return true;
}

static bool parse_unix(GwAddress *a, const char *text, GError **errp)
{
    a->path = g_strdup(text);
    return *text != '\0' || gw_fail(errp, GW_ERROR_GENERIC, "invalid Unix socket address");
}

static bool parse_fd(GwAddress *a, const char *text, GError **errp)
{
    a->fd = g_strdup(text);
    return *text != '\0' ||
           gw_fail(errp, GW_ERROR_GENERIC, "fd: the name or number is missing");
}

static bool parse_exec(GwAddress *a, const char *text, GError **errp)
{
    a->argv = g_new0(char *, 4);
    a->argv[0] = g_strdup("/bin/sh");
    a->argv[1] = g_strdup("-c");
    a->argv[2] = g_strdup(text);
    return *text != '\0' || gw_fail(errp, GW_ERROR_GENERIC, "exec: the command is missing");
}

static const struct {
    const char *prefix;
    GwTransport transport;
    bool (*parse)(GwAddress *a, const char *text, GError **errp);
} schemes[] = {
    { "tcp:", GW_TRANSPORT_TCP, parse_inet },
    { "unix:", GW_TRANSPORT_UNIX, parse_unix },
    { "vsock:", GW_TRANSPORT_VSOCK, parse_vsock },
    { "fd:", GW_TRANSPORT_FD, parse_fd },
    { "exec:", GW_TRANSPORT_EXEC, parse_exec },
    { "file:", GW_TRANSPORT_FILE, parse_file },
};

GwAddress *gw_address_parse_uri(const char *uri, GError **errp)
{
    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
        if (g_str_has_prefix(uri, schemes[i].prefix)) {
            g_autoptr(GwAddress) a = g_new0(GwAddress, 1);

            a->transport = schemes[i].transport;
            if (!schemes[i].parse(a, uri + strlen(schemes[i].prefix), errp)) {
                return NULL;
            }
            return g_steal_pointer(&a);
        }
    }
    gw_fail(errp, GW_ERROR_GENERIC, "unknown migration protocol: %s", uri);
    return NULL;
}

static char *exec_to_uri(char *const *argv)
{
    g_autoptr(GString) s = g_string_new("exec:");

    if (argv[0] && argv[1] && argv[2] && !argv[3] && strcmp(argv[0], "/bin/sh") == 0 &&
        strcmp(argv[1], "-c") == 0) {
        g_string_append(s, argv[2]);
        return g_string_free(g_steal_pointer(&s), FALSE);
    }
    for (unsigned i = 0; argv[i]; i++) {
        g_autofree char *quoted = g_shell_quote(argv[i]);

        g_string_append_printf(s, "%s%s", i ? " " : "", quoted);
    }
    return g_string_free(g_steal_pointer(&s), FALSE);
}

char *gw_address_to_uri(const GwAddress *a)
{
    const char *host = a->host ? a->host : "";
    const char *suffix = "";

    if (!g_hostname_is_ip_address(host)) { /* those say their family themselves */
        suffix = a->family == 4 ? ",ipv4" : a->family == 6 ? ",ipv6" : "";
    }
    switch (a->transport) {
    case GW_TRANSPORT_TCP:
        return g_strdup_printf(strchr(host, ':') ? "tcp:[%s]:%s%s" : "tcp:%s:%s%s", host, a->port,
                               suffix);
    case GW_TRANSPORT_UNIX:
        return g_strdup_printf("unix:%s", a->path);
    case GW_TRANSPORT_VSOCK:
        return g_strdup_printf("vsock:%" G_GUINT32_FORMAT ":%s", a->cid, a->port);
    case GW_TRANSPORT_FD:
        return g_strdup_printf("fd:%s", a->fd);
    case GW_TRANSPORT_EXEC:
        return exec_to_uri(a->argv);
    case GW_TRANSPORT_FILE:
        if (a->offset) {
            return g_strdup_printf("file:%s" FILE_OFFSET_OPTION "0x%" G_GINT64_MODIFIER "x",
                                   a->path, a->offset);
        }
        return g_strdup_printf("file:%s", a->path);
    }
    return g_strdup("?");
}

GwAddress *gw_address_copy(const GwAddress *a)
{
    GwAddress *copy = g_memdup2(a, sizeof(*a));

    copy->host = g_strdup(a->host);
    copy->port = g_strdup(a->port);
    copy->path = g_strdup(a->path);
    copy->fd = g_strdup(a->fd);
    copy->argv = g_strdupv(a->argv);
    return copy;
}

void gw_address_free(GwAddress *a)
{
    if (!a) {
        return;
    }
    g_free(a->host);
    g_free(a->port);
    g_free(a->path);
    g_free(a->fd);
    g_strfreev(a->argv);
    g_free(a);
}
