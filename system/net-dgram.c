/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backend `dgram` (and `socket` with udp=): one datagram for each frame, over UDP or unix
 * sockets, or on an inherited descriptor. The socket is connected to the remote address, so that
 * datagrams of others do not come in.
 * Main thread to open, then the card's thread and lock; see net-priv.h.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "net-priv.h"

static int make_socket(const NetdevConfig *c, GError **errp)
{
    NetSockaddr remote, local = { .len = 0 };
    int on = 1, fd;

    if (!net_resolve(&remote, &c->remote, SOCK_DGRAM, AF_UNSPEC, errp) ||
        ((c->local.port || c->local.path) &&
         !net_resolve(&local, &c->local, SOCK_DGRAM, remote.sa.ss_family, errp))) {
        return -1;
    }
    fd = socket(remote.sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "socket");
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (local.len && c->local.path) {
        unlink(c->local.path);
    }
    if (local.len && bind(fd, (struct sockaddr *)&local.sa, local.len) < 0) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "can't bind the local address");
        close(fd);
        return -1;
    }
    /* A unix peer that is not there yet refuses; a frame to it is sent to its address then. */
    if (connect(fd, (struct sockaddr *)&remote.sa, remote.len) < 0 && !c->remote.path) {
        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "can't connect to the remote address");
        close(fd);
        return -1;
    }
    return fd;
}

static bool dgram_open(NetBackend *nb, GError **errp)
{
    g_autofree char *local = net_address_text(&nb->conf->local);
    g_autofree char *remote = net_address_text(&nb->conf->remote);
    int fd = nb->conf->local.fd ? net_inherit_socket(nb, nb->conf->local.fd, SOCK_DGRAM, errp)
                                 : make_socket(nb->conf, errp);

    if (fd < 0) {
        return false;
    }
    net_add_queues(nb, 1);
    net_queue_connect(&nb->queues[0], fd);
    net_take_text(nb, g_strdup_printf("%s/%s", local, remote));
    return true;
}

/* A unix peer comes and goes: it is connected to again when it is there. */
static bool reconnect(NetQueue *q)
{
    const NetAddress *a = &q->nb->conf->remote;
    NetSockaddr remote;

    return a->path && (errno == ENOTCONN || errno == ECONNREFUSED || errno == EDESTADDRREQ) &&
           net_resolve(&remote, a, SOCK_DGRAM, AF_UNIX, NULL) &&
           connect(q->poll.fd, (struct sockaddr *)&remote.sa, remote.len) == 0;
}

static bool dgram_send(NetQueue *q, const struct iovec *iov, unsigned n)
{
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };
    ssize_t r = sendmsg(q->poll.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (r < 0 && reconnect(q)) {
        r = sendmsg(q->poll.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (r < 0 && errno == EAGAIN) {
        net_block_output(q);
        return false;
    }
    return true; /* other errors: the frame is lost, as on any network */
}

static void dgram_close(NetBackend *nb)
{
    if (nb->conf->local.path && nb->nr_queues) {
        unlink(nb->conf->local.path);
    }
}

const NetBackendOps net_dgram_ops = {
    .type = "dgram",
    .open = dgram_open,
    .send = dgram_send,
    .readable = net_packet_readable,
    .close = dgram_close,
};
