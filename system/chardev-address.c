/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets of chardevs by address: unix paths and TCP (IPv4, IPv6). Names are looked up when the
 * process starts and at a reconnect; both on the main thread.
 */
#include "chardev-address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "error.h"

static int unix_address(const char *path, struct sockaddr_un *un, GError **errp)
{
    memset(un, 0, sizeof(*un));
    un->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(un->sun_path)) {
        gw_fail(errp, GW_ERROR_GENERIC, "UNIX socket path '%s' is too long: must be less than %zu "
                "bytes", path, sizeof(un->sun_path));
        return -1;
    }
    strcpy(un->sun_path, path);
    return 0;
}

static struct addrinfo *lookup(const ChardevConfig *conf, bool passive, GError **errp)
{
    bool v4 = conf->ipv4, v6 = conf->ipv6;
    struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_family = v4 == v6 ? AF_UNSPEC : v4 ? AF_INET : AF_INET6,
        .ai_flags = passive ? AI_PASSIVE : 0,
    };
    struct addrinfo *list = NULL;
    const char *host = conf->host && *conf->host ? conf->host : NULL;
    int err = getaddrinfo(host, conf->port, &hints, &list);

    if (err) {
        gw_fail(errp, GW_ERROR_GENERIC, "address resolution failed for %s:%s: %s",
                host ? host : "", conf->port, gai_strerror(err));
        return NULL;
    }
    return list;
}

static int listen_one(const struct sockaddr *sa, socklen_t len)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, err;

    if (fd < 0) {
        return -1;
    }
    if (sa->sa_family != AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if (bind(fd, sa, len) == 0 && listen(fd, 1) == 0) {
        return fd;
    }
    err = errno;
    close(fd);
    errno = err;
    return -1;
}

int chardev_listen(const ChardevConfig *conf, GError **errp)
{
    struct addrinfo *list;
    int fd = -1;

    if (conf->path) {
        struct sockaddr_un un;

        if (unix_address(conf->path, &un, errp) < 0) {
            return -1;
        }
        unlink(conf->path);
        fd = listen_one((struct sockaddr *)&un, sizeof(un));
        if (fd < 0) {
            gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "Failed to bind socket to %s",
                          conf->path);
        }
        return fd;
    }
    list = lookup(conf, true, errp);
    if (!list) {
        return -1;
    }
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = listen_one(a->ai_addr, a->ai_addrlen);
    }
    if (fd < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "Failed to bind socket to %s:%s",
                      conf->host ? conf->host : "", conf->port);
    }
    freeaddrinfo(list);
    return fd;
}

/* Non-blocking from the start, or from the moment that it is connected. */
static int connect_one(const struct sockaddr *sa, socklen_t len, bool blocking, bool *pending)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0);
    int r, err;

    if (fd < 0) {
        return -1;
    }
    do {
        r = connect(fd, sa, len);
    } while (r < 0 && errno == EINTR);
    *pending = r < 0 && errno == EINPROGRESS;
    if (r == 0 || *pending) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        return fd;
    }
    err = errno;
    close(fd);
    errno = err;
    return -1;
}

int chardev_connect(const ChardevConfig *conf, bool blocking, bool *pending, GError **errp)
{
    struct addrinfo *list;
    int fd = -1, on = 1;

    if (conf->path) {
        struct sockaddr_un un;

        if (unix_address(conf->path, &un, errp) < 0) {
            return -1;
        }
        fd = connect_one((struct sockaddr *)&un, sizeof(un), blocking, pending);
        if (fd < 0) {
            gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "Failed to connect to '%s'", conf->path);
        }
        return fd;
    }
    list = lookup(conf, false, errp);
    if (!list) {
        return -1;
    }
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = connect_one(a->ai_addr, a->ai_addrlen, blocking, pending);
    }
    if (fd < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "Failed to connect to '%s:%s'",
                      conf->host ? conf->host : "", conf->port);
    } else if (conf->nodelay) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    freeaddrinfo(list);
    return fd;
}

char *chardev_socket_name(int fd, bool peer)
{
    union {
        struct sockaddr sa;
        struct sockaddr_un un;
        struct sockaddr_storage any;
    } u;
    socklen_t len = sizeof(u);
    char host[NI_MAXHOST], port[NI_MAXSERV];
    bool v6;

    memset(&u, 0, sizeof(u));
    if ((peer ? getpeername(fd, &u.sa, &len) : getsockname(fd, &u.sa, &len)) < 0) {
        return g_strdup("unknown");
    }
    if (u.sa.sa_family == AF_UNIX) {
        return g_strdup_printf("unix:%.*s", (int)sizeof(u.un.sun_path), u.un.sun_path);
    }
    if (getnameinfo(&u.sa, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return g_strdup("unknown");
    }
    v6 = u.sa.sa_family == AF_INET6;
    return g_strdup_printf("tcp:%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
}
