/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GwListener: the incoming front door. Sockets are bound and listening from the start; fd, exec and
 * file yield the one channel that was opened then. One thread accepts; gw_listener_cancel() from
 * any thread ends its wait through the GwCancel. Everything else is constant after creation.
 * Spec: channels 4.1.
 */
#include "migration/channel.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel-fd.h"
#include "channel-socket.h"
#include "error.h"
#include "io-poll.h"
#include "listener-socket.h"

struct GwListener {
    GwAddress *addr;
    ListenSockets sockets; /* n == 0 for fd, exec, file */
    GwChannel *single;     /* of fd, exec, file, until accepted; the accepting thread's */
    GwCancel *cancel;
    dev_t unix_dev;        /* which file our unix path is */
    ino_t unix_ino;
};

static bool is_socket_transport(GwTransport t)
{
    return t == GW_TRANSPORT_TCP || t == GW_TRANSPORT_UNIX || t == GW_TRANSPORT_VSOCK;
}

GwListener *gw_listener_new(const GwAddress *addr, int backlog, GwFdResolver fds,
                            void *fds_opaque, GError **errp)
{
    GwListener *l = g_new0(GwListener, 1);
    struct stat st;
    bool ok;

    l->addr = gw_address_copy(addr);
    l->cancel = gw_cancel_new();
    if (is_socket_transport(addr->transport)) {
        ok = gw_listen_sockets(addr, MAX(backlog, 1), &l->sockets, errp);
    } else {
        l->single = gw_channel_open(addr, true, fds, fds_opaque, errp);
        ok = l->single != NULL;
    }
    if (!ok) {
        gw_listener_free(l);
        return NULL;
    }
    if (addr->transport == GW_TRANSPORT_UNIX && stat(addr->path, &st) == 0) {
        l->unix_dev = st.st_dev;
        l->unix_ino = st.st_ino;
    }
    return l;
}

GPtrArray *gw_listener_addresses(const GwListener *l)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)gw_address_free);

    for (unsigned i = 0; i < l->sockets.n; i++) {
        g_ptr_array_add(list, gw_listen_address(l->sockets.fds[i], l->addr));
    }
    return list;
}

/* Errors that say something about the one connection that is gone, not about the listener. */
static bool is_passing(int err)
{
    return err == EAGAIN || err == EWOULDBLOCK || err == EINTR || err == ECONNABORTED ||
           err == EPROTO || err == ENETDOWN || err == EHOSTUNREACH || err == ENETUNREACH;
}

/* The next connection of any socket; -1 with errno 0 if none is there after all. */
static int accept_ready(const struct pollfd *pfds, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (pfds[i].revents) {
            const int fd = accept4(pfds[i].fd, NULL, NULL, SOCK_CLOEXEC);

            if (fd >= 0 || !is_passing(errno)) {
                return fd;
            }
        }
    }
    errno = 0;
    return -1;
}

static GwChannel *cancelled(GError **errp)
{
    gw_fail(errp, GW_ERROR_CANCELLED, "Waiting for a connection was cancelled");
    return NULL;
}

GwChannel *gw_listener_accept(GwListener *l, GError **errp)
{
    return gw_listener_accept_within(l, -1, errp);
}

GwChannel *gw_listener_accept_within(GwListener *l, int timeout_ms, GError **errp)
{
    return gw_listener_accept_or_ready(l, NULL, 0, timeout_ms, NULL, errp);
}

/* What to poll for: our sockets, then the channels. */
static void fill(const GwListener *l, GwChannel *const *channels, unsigned n, struct pollfd *pfds)
{
    for (unsigned i = 0; i < l->sockets.n; i++) {
        pfds[i] = (struct pollfd){ .fd = l->sockets.fds[i], .events = POLLIN };
    }
    for (unsigned i = 0; i < n; i++) {
        pfds[l->sockets.n + i] =
            (struct pollfd){ .fd = gw_channel_fd(channels[i]), .events = POLLIN };
    }
}

GwChannel *gw_listener_accept_or_ready(GwListener *l, GwChannel *const *channels, unsigned n,
                                       int timeout_ms, unsigned *ready, GError **errp)
{
    struct pollfd pfds[LISTENER_MAX_FDS + GW_LISTENER_WATCH_MAX] = { 0 };
    const unsigned own = l->sockets.n;

    g_return_val_if_fail(n <= GW_LISTENER_WATCH_MAX, NULL);
    if (gw_cancel_is_triggered(l->cancel)) {
        return cancelled(errp);
    }
    if (l->single) {
        return g_steal_pointer(&l->single);
    }
    for (;;) {
        int fd;

        fill(l, channels, n, pfds);
        /* Without sockets (fd, exec, file) there is no next connection: only the cancel ends it. */
        switch (io_poll_many(pfds, own + n, l->cancel, timeout_ms)) {
        case IO_POLL_WOKEN:
            return cancelled(errp);
        case IO_POLL_TIMEOUT:
            gw_fail(errp, GW_ERROR_IO, "Nobody connected within %d s", timeout_ms / 1000);
            return NULL;
        default:
            break;
        }
        for (unsigned i = 0; i < n; i++) {
            if (pfds[own + i].revents) {
                *ready = i;
                return NULL;
            }
        }
        fd = accept_ready(pfds, own);
        if (fd >= 0) {
            return gw_channel_socket_new(fd, GW_CHANNEL_MULTI);
        }
        if (errno) {
            gw_fail_errno(errp, GW_ERROR_IO, errno, "Failed to accept a connection");
            return NULL;
        }
    }
}

void gw_listener_cancel(GwListener *l)
{
    gw_cancel_trigger(l->cancel);
}

bool gw_listener_is_cancelled(const GwListener *l)
{
    return gw_cancel_is_triggered(l->cancel);
}

/* Only if the path still is our socket: somebody else may have bound it anew. */
static void unlink_path(const GwListener *l)
{
    struct stat st;

    if (l->unix_ino && stat(l->addr->path, &st) == 0 && st.st_dev == l->unix_dev &&
        st.st_ino == l->unix_ino) {
        unlink(l->addr->path);
    }
}

void gw_listener_free(GwListener *l)
{
    if (!l) {
        return;
    }
    unlink_path(l);
    for (unsigned i = 0; i < l->sockets.n; i++) {
        close(l->sockets.fds[i]);
    }
    gw_channel_unref(l->single);
    gw_cancel_free(l->cancel);
    gw_address_free(l->addr);
    g_free(l);
}
