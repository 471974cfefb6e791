/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses of network backends: looked up once, when the backend is opened, because a later
 * look-up could keep the card waiting; and sockets that were handed in. Main thread.
 */
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "error.h"
#include "fd-table.h"
#include "machine.h"
#include "net-priv.h"

static bool resolve_unix(NetSockaddr *out, const char *path, GError **errp)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&out->sa;

    if (strlen(path) >= sizeof(un->sun_path)) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "UNIX socket path '%s' is too long: must be less than %zu bytes", path,
                       sizeof(un->sun_path));
    }
    un->sun_family = AF_UNIX;
    strcpy(un->sun_path, path);
    out->len = sizeof(*un);
    return true;
}

bool net_resolve(NetSockaddr *out, const NetAddress *a, int type, int family, GError **errp)
{
    struct addrinfo hints = { .ai_socktype = type, .ai_family = family };
    struct addrinfo *list = NULL;
    const char *host = a->host && *a->host ? a->host : NULL;
    int err;

    *out = (NetSockaddr){ .len = 0 };
    if (a->path) {
        return resolve_unix(out, a->path, errp);
    }
    if (family == AF_UNSPEC && a->ipv4 != a->ipv6) {
        hints.ai_family = a->ipv4 ? AF_INET : AF_INET6;
    }
    err = getaddrinfo(host, a->port, &hints, &list);
    if (err) {
        return gw_fail(errp, GW_ERROR_GENERIC, "address resolution failed for %s:%s: %s",
                       host ? host : "", a->port, gai_strerror(err));
    }
    memcpy(&out->sa, list->ai_addr, list->ai_addrlen);
    out->len = list->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

int net_inherit_socket(NetBackend *nb, const char *name, int type, GError **errp)
{
    int fd = fd_table_take(nb->machine->fds, name, errp), have = 0;
    socklen_t len = sizeof(have);

    if (fd < 0) {
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &have, &len) < 0 || have != type) {
        gw_fail(errp, GW_ERROR_GENERIC, "descriptor '%s' is not a %s socket", name,
                type == SOCK_STREAM ? "stream" : "datagram");
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

char *net_address_text(const NetAddress *a)
{
    return a->path   ? g_strdup(a->path)
           : a->port ? g_strdup_printf("%s:%s", a->host ? a->host : "", a->port)
           : a->fd   ? g_strdup_printf("fd=%s", a->fd)
                     : g_strdup("");
}
