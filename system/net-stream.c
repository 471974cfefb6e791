/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backend `stream` (and `socket` with listen= or connect=): frames over a TCP or unix
 * connection, each after its length as a big-endian u32. A server has one client at a time and
 * waits for the next when it has gone; a client with `reconnect` tries again.
 *
 * Lengths come from outside: one that no frame can have ends the connection. Main thread to open,
 * then the card's thread and lock; see net-priv.h. Wire: as QEMU's socket backend, found by trying.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "chardev-address.h"
#include "error.h"
#include "net-priv.h"

#define LENGTH_SIZE 4
/* Several frames in one read, and always one that is whole. */
#define BUFFER_SIZE (2 * (NET_FRAME_MAX + LENGTH_SIZE))

typedef struct Stream {
    NetBackend *nb;
    NetSockaddr peer;        /* client */
    NetPoll listener, connecting, timer;
    uint8_t in[BUFFER_SIZE];
    size_t in_start, in_end; /* what was read and not delivered */
    GByteArray *rest;        /* of a frame that did not go out at once */
    size_t rest_done;
} Stream;

/* ---- connections ---- */

/* What monitors show. */
static void tell_state(const Stream *s)
{
    int fd = s->nb->queues[0].poll.fd;
    const char *state = fd >= 0 ? "connected to " : s->listener.fd >= 0 ? "waiting on "
                                                                        : "disconnected from ";
    g_autofree char *name = fd >= 0               ? chardev_socket_name(fd, true)
                            : s->listener.fd >= 0 ? chardev_socket_name(s->listener.fd, false)
                                                  : net_address_text(&s->nb->conf->remote);

    net_take_text(s->nb, g_strconcat(state, name, NULL));
}

static void connected(Stream *s, int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails on unix sockets */
    s->in_start = s->in_end = 0;
    g_byte_array_set_size(s->rest, 0);
    s->rest_done = 0;
    net_queue_connect(&s->nb->queues[0], fd);
    tell_state(s);
}

/* Waits for the next client, or for the time to try again. */
static void wait_for_peer(Stream *s)
{
    unsigned ms = s->nb->conf->reconnect;
    struct itimerspec when = { .it_value = { ms / 1000, ms % 1000 * 1000000 } };

    tell_state(s);
    net_poll_set(s->nb, &s->listener, EPOLLIN);
    if (s->timer.fd >= 0) {
        timerfd_settime(s->timer.fd, 0, &when, NULL);
    }
}

static void client_waits(void *opaque, uint32_t events)
{
    Stream *s = opaque;
    int fd = accept4(s->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        net_poll_set(s->nb, &s->listener, 0);
        connected(s, fd);
    }
}

static void connect_ended(void *opaque, uint32_t events)
{
    Stream *s = opaque;
    int fd = s->connecting.fd, err = 0;
    socklen_t len = sizeof(err);

    net_poll_set(s->nb, &s->connecting, 0);
    s->connecting.fd = -1;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err) {
        close(fd);
        wait_for_peer(s);
    } else {
        connected(s, fd);
    }
}

static void start_connecting(Stream *s)
{
    int fd = socket(s->peer.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&s->peer.sa, s->peer.len) == 0) {
        connected(s, fd);
    } else if (fd >= 0 && errno == EINPROGRESS) {
        s->connecting.fd = fd;
        net_poll_set(s->nb, &s->connecting, EPOLLOUT);
    } else {
        if (fd >= 0) {
            close(fd);
        }
        wait_for_peer(s);
    }
}

static void try_again(void *opaque, uint32_t events)
{
    Stream *s = opaque;
    uint64_t n;

    if (read(s->timer.fd, &n, sizeof(n)) == sizeof(n)) {
        start_connecting(s);
    }
}

static void disconnect(Stream *s)
{
    net_queue_disconnect(&s->nb->queues[0]);
    wait_for_peer(s);
}

/* ---- frames in ---- */

static uint32_t get_length(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

/* Delivers what is whole; false: the card is full, or the connection is no more. */
static bool deliver_frames(Stream *s, NetQueue *q)
{
    while (s->in_end - s->in_start >= LENGTH_SIZE) {
        uint32_t len = get_length(s->in + s->in_start);

        if (len == 0 || len > NET_FRAME_MAX) {
            g_printerr("warning: netdev '%s': a frame of %u bytes cannot be; the connection is "
                       "closed\n", s->nb->conf->id, len);
            disconnect(s);
            return false;
        }
        if (s->in_end - s->in_start - LENGTH_SIZE < len) {
            break;
        }
        if (!net_deliver(q, s->in + s->in_start + LENGTH_SIZE, len)) {
            q->frame_len = len; /* kept in `in`: there is something to offer again */
            return false;
        }
        s->in_start += LENGTH_SIZE + len;
    }
    q->frame_len = 0;
    memmove(s->in, s->in + s->in_start, s->in_end - s->in_start);
    s->in_end -= s->in_start;
    s->in_start = 0;
    return true;
}

static void stream_readable(NetQueue *q)
{
    Stream *s = q->nb->priv;

    if (!deliver_frames(s, q)) {
        return;
    }
    ssize_t n = recv(q->poll.fd, s->in + s->in_end, BUFFER_SIZE - s->in_end, MSG_DONTWAIT);

    if (n > 0) {
        s->in_end += n;
        deliver_frames(s, q);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        disconnect(s);
    }
}

/* ---- frames out ---- */

/* Keeps what did not go out: the bytes from `done` on. */
static void keep_rest(Stream *s, const struct iovec *iov, unsigned n, size_t done)
{
    g_byte_array_set_size(s->rest, 0);
    s->rest_done = 0;
    for (unsigned i = 0; i < n; i++) {
        size_t skip = MIN(done, iov[i].iov_len);

        g_byte_array_append(s->rest, (const uint8_t *)iov[i].iov_base + skip,
                            iov[i].iov_len - skip);
        done -= skip;
    }
}

static bool stream_send(NetQueue *q, const struct iovec *iov, unsigned n)
{
    Stream *s = q->nb->priv;
    g_autofree struct iovec *all = g_new(struct iovec, n + 1);
    struct msghdr msg = { .msg_iov = all, .msg_iovlen = n + 1 };
    size_t len = 0;
    uint32_t head;

    for (unsigned i = 0; i < n; i++) {
        all[i + 1] = iov[i];
        len += iov[i].iov_len;
    }
    if (len == 0 || len > NET_FRAME_MAX) {
        return true; /* no peer would take it */
    }
    head = GUINT32_TO_BE((uint32_t)len);
    all[0] = (struct iovec){ &head, sizeof(head) };

    ssize_t sent = sendmsg(q->poll.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent < 0 && errno == EAGAIN) {
        net_block_output(q);
        return false;
    }
    /* A broken connection is seen by the reading side, which closes it. */
    if (sent >= 0 && (size_t)sent < len + sizeof(head)) {
        keep_rest(s, all, n + 1, sent);
        net_block_output(q);
    }
    return true;
}

static void stream_writable(NetQueue *q)
{
    Stream *s = q->nb->priv;
    size_t left = s->rest->len - s->rest_done;
    ssize_t n;

    if (!left) {
        return;
    }
    n = send(q->poll.fd, s->rest->data + s->rest_done, left, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
        s->rest_done += n;
    }
    if ((n > 0 && (size_t)n < left) || (n < 0 && (errno == EAGAIN || errno == EINTR))) {
        net_block_output(q);
    }
}

/* ---- making ---- */

static void serve(Stream *s, int fd)
{
    s->listener.fd = fd;
    wait_for_peer(s);
}

static bool open_inherited(Stream *s, const char *name, GError **errp)
{
    int fd = net_inherit_socket(s->nb, name, SOCK_STREAM, errp), listens = 0;
    socklen_t len = sizeof(listens);

    if (fd < 0) {
        return false;
    }
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
    if (listens) {
        serve(s, fd);
    } else {
        connected(s, fd);
    }
    return true;
}

static bool open_server(Stream *s, GError **errp)
{
    const NetAddress *a = &s->nb->conf->local;
    ChardevConfig where = { .path = a->path, .host = a->host, .port = a->port, .ipv4 = a->ipv4,
                            .ipv6 = a->ipv6 };
    int fd = chardev_listen(&where, errp);

    if (fd >= 0) {
        serve(s, fd);
    }
    return fd >= 0;
}

/* Without `reconnect` a peer that is not there is an error at once. */
static bool open_client(Stream *s, GError **errp)
{
    int fd;

    if (!net_resolve(&s->peer, &s->nb->conf->remote, SOCK_STREAM, AF_UNSPEC, errp)) {
        return false;
    }
    if (s->nb->conf->reconnect) {
        s->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        net_poll_set(s->nb, &s->timer, EPOLLIN);
        start_connecting(s);
        return true;
    }
    fd = socket(s->peer.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&s->peer.sa, s->peer.len) < 0) {
        g_autofree char *text = net_address_text(&s->nb->conf->remote);

        gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "can't connect to %s", text);
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    connected(s, fd);
    return true;
}

static bool stream_open(NetBackend *nb, GError **errp)
{
    const NetdevConfig *c = nb->conf;
    Stream *s = g_new0(Stream, 1);

    s->nb = nb;
    s->listener = (NetPoll){ client_waits, s, -1, 0 };
    s->connecting = (NetPoll){ connect_ended, s, -1, 0 };
    s->timer = (NetPoll){ try_again, s, -1, 0 };
    s->rest = g_byte_array_new();
    nb->priv = s;
    net_add_queues(nb, 1);
    if (c->local.fd || c->remote.fd) {
        return open_inherited(s, c->local.fd ? c->local.fd : c->remote.fd, errp);
    }
    return c->server ? open_server(s, errp) : open_client(s, errp);
}

static void close_poll(Stream *s, NetPoll *p)
{
    net_poll_set(s->nb, p, 0);
    if (p->fd >= 0) {
        close(p->fd);
    }
}

static void stream_close(NetBackend *nb)
{
    Stream *s = nb->priv;

    if (s->listener.fd >= 0 && nb->conf->local.path) {
        unlink(nb->conf->local.path);
    }
    close_poll(s, &s->listener);
    close_poll(s, &s->connecting);
    close_poll(s, &s->timer);
    g_byte_array_unref(s->rest);
    g_clear_pointer(&nb->priv, g_free);
}

const NetBackendOps net_stream_ops = {
    .type = "stream",
    .open = stream_open,
    .send = stream_send,
    .readable = stream_readable,
    .writable = stream_writable,
    .close = stream_close,
};
