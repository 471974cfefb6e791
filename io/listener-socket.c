/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Binding: tcp on every address of a name (IPv4 and IPv6 apart, the same port on all), unix with a
 * stale path taken away, vsock. No state; the caller's thread. Spec: channels 4.1.
 */
#include "listener-socket.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel-socket.h"
#include "error.h"
#include "resolve.h"

#define PORT_RETRIES 16 /* for a port that is free on one address but not on the next */

/* A listening socket or -1 with *err. */
static int listen_one(const struct sockaddr *sa, socklen_t len, int backlog, int *err)
{
    const int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;

    if (fd < 0) {
        *err = errno;
        return -1;
    }
    if (sa->sa_family == AF_INET6) {
        /* IPv4 has a socket of its own, so that both can be bound and reported. */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    if (sa->sa_family != AF_UNIX) {
        /* Do not wait for old connections of the port to time out. */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if (bind(fd, sa, len) < 0 || listen(fd, backlog) < 0) {
        *err = errno;
        close(fd);
        return -1;
    }
    return fd;
}

static void close_all(ListenSockets *s)
{
    while (s->n > 0) {
        close(s->fds[--s->n]);
    }
}

static in_port_t *port_of(struct sockaddr *sa)
{
    return sa->sa_family == AF_INET6 ? &((struct sockaddr_in6 *)sa)->sin6_port
                                     : &((struct sockaddr_in *)sa)->sin_port;
}

static in_port_t bound_port(int fd)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof(ss);

    getsockname(fd, (struct sockaddr *)&ss, &len);
    return *port_of((struct sockaddr *)&ss);
}

/* One pass over the addresses. 0, or the errno that makes the whole a failure. An address family
 * that this host lacks is skipped as long as another one works. */
static int listen_list(struct addrinfo *list, int backlog, ListenSockets *out)
{
    in_port_t chosen = 0;
    int skipped = EADDRNOTAVAIL;

    for (struct addrinfo *ai = list; ai && out->n < LISTENER_MAX_FDS; ai = ai->ai_next) {
        struct sockaddr_storage ss;
        struct sockaddr *sa = (struct sockaddr *)&ss;
        int err = 0;
        int fd;

        memcpy(&ss, ai->ai_addr, ai->ai_addrlen);
        if (chosen) {
            *port_of(sa) = chosen;
        }
        fd = listen_one(sa, ai->ai_addrlen, backlog, &err);
        if (fd >= 0) {
            out->fds[out->n++] = fd;
            chosen = bound_port(fd);
        } else if (err == EADDRINUSE || err == EACCES) {
            close_all(out);
            return err;
        } else {
            skipped = err;
        }
    }
    return out->n ? 0 : skipped;
}

static bool listen_tcp(const GwAddress *addr, int backlog, ListenSockets *out, GError **errp)
{
    struct addrinfo *list = gw_resolve(addr, true, NULL, errp);
    unsigned tries = 0;
    bool any_port;
    int err;

    if (!list) {
        return false;
    }
    any_port = *port_of(list->ai_addr) == 0;
    do {
        err = listen_list(list, backlog, out);
    } while (err == EADDRINUSE && any_port && ++tries < PORT_RETRIES);
    freeaddrinfo(list);
    if (err) {
        return gw_fail_errno(errp, GW_ERROR_IO, err, "Failed to bind socket to '%s:%s'",
                             addr->host ? addr->host : "", addr->port);
    }
    return true;
}

/* Whether some process of this network namespace listens on that path. The kernel's table is read
 * because a trial connection would be taken for a migration by who listens there. */
static bool unix_path_is_live(const char *path)
{
    FILE *f = fopen("/proc/net/unix", "re");
    char line[512];
    bool live = false;

    while (f && !live && fgets(line, sizeof(line), f)) {
        unsigned flags = 0;
        int name_at = 0;

        /* address: refs protocol flags type state inode path */
        if (sscanf(line, "%*s %*x %*x %x %*x %*x %*u %n", &flags, &name_at) == 1 && name_at) {
            line[strcspn(line, "\n")] = '\0';
            live = (flags & 0x10000 /* SO_ACCEPTCON */) && strcmp(line + name_at, path) == 0;
        }
    }
    if (f) {
        fclose(f);
    }
    return live;
}

static bool listen_unix(const GwAddress *addr, int backlog, ListenSockets *out, GError **errp)
{
    struct sockaddr_un un;
    struct stat st;
    int err = 0;
    int fd;

    if (!gw_unix_sockaddr(addr->path, &un, errp)) {
        return false;
    }
    if (lstat(addr->path, &st) == 0 && S_ISSOCK(st.st_mode) && !unix_path_is_live(addr->path)) {
        unlink(addr->path);
    }
    fd = listen_one((struct sockaddr *)&un, sizeof(un), backlog, &err);
    if (fd < 0) {
        return gw_fail_errno(errp, GW_ERROR_IO, err, "Failed to bind socket to '%s'", addr->path);
    }
    out->fds[out->n++] = fd;
    return true;
}

static bool listen_vsock(const GwAddress *addr, int backlog, ListenSockets *out, GError **errp)
{
    struct sockaddr_vm vm = { .svm_family = AF_VSOCK, .svm_cid = addr->cid };
    uint32_t port;
    int err = 0;
    int fd;

    if (!gw_vsock_port(addr, &port, errp)) {
        return false;
    }
    vm.svm_port = port;
    fd = listen_one((struct sockaddr *)&vm, sizeof(vm), backlog, &err);
    if (fd < 0) {
        return gw_fail_errno(errp, GW_ERROR_IO, err,
                             "Failed to bind socket to '%" G_GUINT32_FORMAT ":%s'", addr->cid,
                             addr->port);
    }
    out->fds[out->n++] = fd;
    return true;
}

bool gw_listen_sockets(const GwAddress *addr, int backlog, ListenSockets *out, GError **errp)
{
    out->n = 0;
    switch (addr->transport) {
    case GW_TRANSPORT_TCP:
        return listen_tcp(addr, backlog, out, errp);
    case GW_TRANSPORT_UNIX:
        return listen_unix(addr, backlog, out, errp);
    default:
        return listen_vsock(addr, backlog, out, errp);
    }
}

static void fill_inet(GwAddress *a, const struct sockaddr *sa, socklen_t len)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if (getnameinfo(sa, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        a->host = g_strdup(host);
        a->port = g_strdup(port);
    }
    a->family = sa->sa_family == AF_INET6 ? 6 : 4;
}

GwAddress *gw_listen_address(int fd, const GwAddress *like)
{
    struct sockaddr_storage ss = { 0 };
    struct sockaddr *sa = (struct sockaddr *)&ss;
    socklen_t len = sizeof(ss);
    GwAddress *a = g_new0(GwAddress, 1);

    a->transport = like->transport;
    getsockname(fd, sa, &len);
    switch (sa->sa_family) {
    case AF_INET:
    case AF_INET6:
        fill_inet(a, sa, len);
        break;
    case AF_VSOCK:
        a->cid = ((struct sockaddr_vm *)sa)->svm_cid;
        a->port = g_strdup_printf("%u", ((struct sockaddr_vm *)sa)->svm_port);
        break;
    default:
        a->path = g_strdup(like->path);
        break;
    }
    return a;
}
