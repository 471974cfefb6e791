/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The channel on a connected stream socket: tcp, unix, vsock, or one that was inherited.
 * The descriptor normally blocks; one that was handed in with O_NONBLOCK works as well (its open
 * file may be shared with another process, so the flag is left as it is).
 * shutdown(2) wakes blocked threads, so nothing here needs a lock or a flag.
 */
#include "channel-socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "error.h"
#include "io-poll.h"

typedef struct SocketChannel {
    int fd;
} SocketChannel;

/* True if the call should be tried again; waits when the socket does not block by itself. */
static bool retry(int fd, short events)
{
    if (errno == EINTR) {
        return true;
    }
    return (errno == EAGAIN || errno == EWOULDBLOCK) &&
           io_poll(fd, events, NULL, -1) != IO_POLL_ERROR;
}

static ssize_t socket_recv(SocketChannel *s, struct msghdr *msg, int flags, GError **errp)
{
    ssize_t n;

    do {
        n = recvmsg(s->fd, msg, flags);
    } while (n < 0 && retry(s->fd, POLLIN));
    if (n < 0) {
        gw_fail_errno(errp, GW_ERROR_IO, errno, "Unable to read from socket");
    }
    return n;
}

static ssize_t socket_readv(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };

    return socket_recv(opaque, &msg, 0, errp);
}

static ssize_t socket_peek(void *opaque, void *buf, size_t len, GError **errp)
{
    struct iovec iov = { buf, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    return socket_recv(opaque, &msg, MSG_PEEK, errp);
}

static ssize_t socket_writev(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    const struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
    SocketChannel *s = opaque;
    ssize_t put;

    do {
        put = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
    } while (put < 0 && retry(s->fd, POLLOUT));
    if (put < 0) {
        gw_fail_errno(errp, GW_ERROR_IO, errno, "Unable to write to socket");
    }
    return put;
}

static void socket_shutdown(void *opaque)
{
    SocketChannel *s = opaque;

    shutdown(s->fd, SHUT_RDWR);
}

static int socket_wait_readable(void *opaque, int timeout_ms, GError **errp)
{
    SocketChannel *s = opaque;
    const IoPollResult rc = io_poll(s->fd, POLLIN, NULL, timeout_ms);

    if (rc == IO_POLL_ERROR) {
        gw_fail_errno(errp, GW_ERROR_IO, errno, "Unable to wait for socket");
    }
    return rc == IO_POLL_ERROR ? -1 : rc == IO_POLL_READY;
}

static bool socket_finish(void *opaque, GError **errp)
{
    SocketChannel *s = opaque;

    /* ENOTCONN: the peer has gone already, or gw_channel_shutdown() came first. */
    return shutdown(s->fd, SHUT_WR) == 0 || errno == ENOTCONN ||
           gw_fail_errno(errp, GW_ERROR_IO, errno, "Unable to end the stream on the socket");
}

static int socket_get_fd(void *opaque)
{
    return ((SocketChannel *)opaque)->fd;
}

static void socket_destroy(void *opaque)
{
    SocketChannel *s = opaque;

    close(s->fd);
    g_free(s);
}

static const GwChannelOps socket_ops = {
    .size = sizeof(GwChannelOps),
    .readv = socket_readv,
    .writev = socket_writev,
    .peek = socket_peek,
    .shutdown = socket_shutdown,
    .wait_readable = socket_wait_readable,
    .finish = socket_finish,
    .get_fd = socket_get_fd,
    .destroy = socket_destroy,
};

void gw_socket_set_nodelay(int fd)
{
    const int on = 1;

    /* Fails on sockets that are not TCP, where there is nothing to set. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

GwChannel *gw_channel_socket_new(int fd, unsigned features)
{
    SocketChannel *s = g_new0(SocketChannel, 1);

    s->fd = fd;
    gw_socket_set_nodelay(fd);
    return gw_channel_new(&socket_ops, s, GW_CHANNEL_DUPLEX | GW_CHANNEL_PEEK | features, "main");
}
