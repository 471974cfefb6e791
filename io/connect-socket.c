/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connecting tcp, unix and vsock. The caller's thread waits for the connection in a poll() that its
 * GwCancel ends; a name that stands for several addresses is tried in the resolver's order, and the
 * last failure is the one reported. No state, no lock. Spec: channels 4.1, qmp 5.3.
 */
#include "channel-socket.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "io-poll.h"
#include "resolve.h"

#define UNIX_BACKLOG_RETRY_MS 10

/* 0 or the errno of the attempt; ECANCELED when the cancel ended it. */
static int connect_wait(int fd, const struct sockaddr *sa, socklen_t len, GwCancel *cancel)
{
    socklen_t optlen = sizeof(int);
    int err = 0;

    while (connect(fd, sa, len) < 0) {
        if (errno == EAGAIN) {
            /* A unix listener whose backlog is full: nothing tells when there is room. */
            if (io_poll(-1, 0, cancel, UNIX_BACKLOG_RETRY_MS) == IO_POLL_WOKEN) {
                return ECANCELED;
            }
        } else if (errno == EINPROGRESS || errno == EINTR) {
            break;
        } else {
            return errno;
        }
    }
    switch (io_poll(fd, POLLOUT, cancel, -1)) {
    case IO_POLL_READY:
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &optlen) < 0 ? errno : err;
    case IO_POLL_WOKEN:
        return ECANCELED;
    default:
        return errno;
    }
}

/* A connected, blocking socket, or -1 with *err. */
static int connect_one(const struct sockaddr *sa, socklen_t len, GwCancel *cancel, int *err)
{
    const int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        *err = errno;
        return -1;
    }
    *err = connect_wait(fd, sa, len, cancel);
    if (*err == 0 && !io_set_nonblock(fd, false)) {
        *err = errno;
    }
    if (*err) {
        close(fd);
        return -1;
    }
    return fd;
}

static GwChannel *finish_connect(int fd, int err, const char *where, GError **errp)
{
    if (fd >= 0) {
        return gw_channel_socket_new(fd, GW_CHANNEL_MULTI);
    }
    if (err == ECANCELED) {
        gw_fail(errp, GW_ERROR_CANCELLED, "Connecting to '%s' was cancelled", where);
    } else {
        gw_fail_errno(errp, GW_ERROR_IO, err, "Failed to connect to '%s'", where);
    }
    return NULL;
}

GwChannel *gw_channel_connect_tcp(const GwAddress *addr, GwCancel *cancel, GError **errp)
{
    struct addrinfo *list = gw_resolve(addr, false, cancel, errp);
    g_autofree char *where = NULL;
    int err = 0;
    int fd = -1;

    if (!list) {
        return NULL;
    }
    for (const struct addrinfo *ai = list; ai && fd < 0 && err != ECANCELED; ai = ai->ai_next) {
        fd = connect_one(ai->ai_addr, ai->ai_addrlen, cancel, &err);
    }
    freeaddrinfo(list);
    where = g_strdup_printf("%s:%s", addr->host ? addr->host : "", addr->port);
    return finish_connect(fd, err, where, errp);
}

bool gw_unix_sockaddr(const char *path, struct sockaddr_un *un, GError **errp)
{
    const size_t max = sizeof(un->sun_path) - 1;

    if (!path || *path == '\0') {
        return gw_fail(errp, GW_ERROR_GENERIC, "invalid Unix socket address");
    }
    if (strlen(path) > max) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "UNIX socket path '%s' is too long: at most %zu bytes", path, max);
    }
    *un = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(un->sun_path, path, strlen(path));
    return true;
}

GwChannel *gw_channel_connect_unix(const GwAddress *addr, GwCancel *cancel, GError **errp)
{
    struct sockaddr_un un;
    int err = 0;
    int fd;

    if (!gw_unix_sockaddr(addr->path, &un, errp)) {
        return NULL;
    }
    fd = connect_one((struct sockaddr *)&un, sizeof(un), cancel, &err);
    return finish_connect(fd, err, addr->path, errp);
}

bool gw_vsock_port(const GwAddress *addr, uint32_t *port, GError **errp)
{
    guint64 value;

    if (!addr->port || !g_ascii_string_to_unsigned(addr->port, 10, 0, UINT32_MAX, &value, NULL)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Failed to parse port '%s'",
                       addr->port ? addr->port : "");
    }
    *port = (uint32_t)value;
    return true;
}

GwChannel *gw_channel_connect_vsock(const GwAddress *addr, GwCancel *cancel, GError **errp)
{
    struct sockaddr_vm vm = { .svm_family = AF_VSOCK, .svm_cid = addr->cid };
    g_autofree char *where = NULL;
    uint32_t port;
    int err = 0;
    int fd;

    if (!gw_vsock_port(addr, &port, errp)) {
        return NULL;
    }
    vm.svm_port = port;
    fd = connect_one((struct sockaddr *)&vm, sizeof(vm), cancel, &err);
    where = g_strdup_printf("%" G_GUINT32_FORMAT ":%s", addr->cid, addr->port);
    return finish_connect(fd, err, where, errp);
}
