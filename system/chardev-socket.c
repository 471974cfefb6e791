/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backend `socket`: server or client, unix or TCP, or an inherited descriptor. A server serves
 * one client at a time and takes the next one when that has gone. A client with `reconnect` tries
 * again every so many seconds. Descriptors that come along a unix socket (SCM_RIGHTS) are kept for
 * chardev_take_fd().
 *
 * Main loop's thread; only the queue writes from other threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "chardev-address.h"
#include "chardev-priv.h"
#include "error.h"
#include "fd-table.h"

typedef struct SocketBackend {
    int listen_fd; /* -1: client */
    int fd;        /* connected, or connecting; -1: none */
    bool is_unix, owns_path;
    GSource *accept_source, *connect_source, *retry_source;
} SocketBackend;

static void start_listening(Chardev *c);
static void start_connecting(Chardev *c);

static void drop_source(GSource **source)
{
    if (*source) {
        g_source_destroy(*source);
        g_source_unref(*source);
        *source = NULL;
    }
}

static GSource *watch(Chardev *c, int fd, GIOCondition cond, GUnixFDSourceFunc fn)
{
    GSource *s = g_unix_fd_source_new(fd, cond);

    g_source_set_callback(s, G_SOURCE_FUNC(fn), c, NULL);
    g_source_attach(s, c->context);
    return s;
}

static bool fd_is_unix(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    memset(&sa, 0, sizeof(sa));
    return getsockname(fd, (struct sockaddr *)&sa, &len) == 0 && sa.ss_family == AF_UNIX;
}

static void connected(Chardev *c, int fd)
{
    SocketBackend *s = c->backend;
    int on = 1;

    s->fd = fd;
    s->is_unix = fd_is_unix(fd);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (c->conf.nodelay) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    chardev_attach(c, fd, fd);
}

/* ---- server ---- */

static gboolean client_waits(gint listen_fd, GIOCondition cond, gpointer opaque)
{
    Chardev *c = opaque;
    SocketBackend *s = c->backend;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        return G_SOURCE_CONTINUE;
    }
    drop_source(&s->accept_source);
    connected(c, fd);
    return G_SOURCE_REMOVE;
}

static void start_listening(Chardev *c)
{
    SocketBackend *s = c->backend;

    if (!s->accept_source) {
        s->accept_source = watch(c, s->listen_fd, G_IO_IN, client_waits);
    }
}

/* wait=on: nothing goes on before somebody has connected. */
static bool wait_for_client(Chardev *c, GError **errp)
{
    SocketBackend *s = c->backend;
    struct pollfd pfd = { .fd = s->listen_fd, .events = POLLIN };
    g_autofree char *where = chardev_describe(c);
    int fd = -1;

    fprintf(stderr, "info: waiting for connection on: %s\n", where);
    while (fd < 0) {
        if (poll(&pfd, 1, -1) < 0 && errno != EINTR) {
            break;
        }
        fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            break;
        }
    }
    if (fd < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "accept on %s", where);
    }
    connected(c, fd);
    return true;
}

static bool serve(Chardev *c, GError **errp)
{
    SocketBackend *s = c->backend;

    fcntl(s->listen_fd, F_SETFL, fcntl(s->listen_fd, F_GETFL) | O_NONBLOCK);
    if (c->conf.wait) {
        return wait_for_client(c, errp);
    }
    start_listening(c);
    return true;
}

/* ---- client ---- */

static gboolean try_again(gpointer opaque)
{
    Chardev *c = opaque;
    SocketBackend *s = c->backend;

    drop_source(&s->retry_source);
    start_connecting(c);
    return G_SOURCE_REMOVE;
}

static void retry_later(Chardev *c)
{
    SocketBackend *s = c->backend;

    if (!s->retry_source) {
        s->retry_source = g_timeout_source_new_seconds((guint)c->conf.reconnect);
        g_source_set_callback(s->retry_source, try_again, c, NULL);
        g_source_attach(s->retry_source, c->context);
    }
}

static gboolean connect_ended(gint fd, GIOCondition cond, gpointer opaque)
{
    Chardev *c = opaque;
    SocketBackend *s = c->backend;
    int err = 0;
    socklen_t len = sizeof(err);

    drop_source(&s->connect_source);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err) {
        close(fd);
        s->fd = -1;
        retry_later(c);
    } else {
        connected(c, fd);
    }
    return G_SOURCE_REMOVE;
}

static void start_connecting(Chardev *c)
{
    SocketBackend *s = c->backend;
    bool pending = false;
    int fd = chardev_connect(&c->conf, false, &pending, NULL);

    if (fd < 0) {
        retry_later(c);
    } else if (pending) {
        s->fd = fd;
        s->connect_source = watch(c, fd, G_IO_OUT | G_IO_ERR | G_IO_HUP, connect_ended);
    } else {
        connected(c, fd);
    }
}

/* ---- backend operations ---- */

static bool is_listening(int fd)
{
    int on = 0;
    socklen_t len = sizeof(on);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

/* fd=: a listening socket with server=on, else one that is connected. */
static bool open_inherited(Chardev *c, struct FdTable *fds, GError **errp)
{
    SocketBackend *s = c->backend;
    int fd = fd_table_take(fds, c->conf.fd, errp);
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    if (fd < 0) {
        return false;
    }
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0) {
        return gw_fail(errp, GW_ERROR_GENERIC, "File descriptor '%s' is not a socket",
                       c->conf.fd);
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (c->conf.server != is_listening(fd)) {
        close(fd);
        return gw_fail(errp, GW_ERROR_GENERIC, "File descriptor '%s' %s", c->conf.fd,
                       c->conf.server ? "does not listen: give a listening socket or server=off"
                                      : "listens: give server=on or a connected socket");
    }
    if (c->conf.server) {
        s->listen_fd = fd;
        return serve(c, errp);
    }
    connected(c, fd);
    return true;
}

static bool socket_open(Chardev *c, struct FdTable *fds, GError **errp)
{
    SocketBackend *s = g_new0(SocketBackend, 1);
    bool pending;
    int fd;

    s->listen_fd = s->fd = -1;
    c->backend = s;
    if (c->conf.fd) {
        return open_inherited(c, fds, errp);
    }
    if (c->conf.server) {
        s->listen_fd = chardev_listen(&c->conf, errp);
        s->owns_path = s->listen_fd >= 0 && c->conf.path;
        return s->listen_fd >= 0 && serve(c, errp);
    }
    if (c->conf.reconnect) {
        start_connecting(c);
        return true;
    }
    fd = chardev_connect(&c->conf, true, &pending, errp);
    if (fd >= 0) {
        connected(c, fd);
    }
    return fd >= 0;
}

static void keep_fds(Chardev *c, struct msghdr *msg)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR(msg, h)) {
        size_t n;

        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
            if (c->fds->len < CHARDEV_MAX_FDS) {
                g_array_append_val(c->fds, fd);
            } else {
                close(fd);
            }
        }
    }
}

static ssize_t socket_read(Chardev *c, uint8_t *buf, size_t len)
{
    SocketBackend *s = c->backend;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(CHARDEV_MAX_FDS * sizeof(int))];
    } control;
    struct iovec iov = { .iov_base = buf, .iov_len = len };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = s->is_unix ? &control : NULL,
        .msg_controllen = s->is_unix ? sizeof(control) : 0,
    };
    ssize_t n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n >= 0 && s->is_unix) {
        keep_fds(c, &msg);
    }
    return n;
}

static ssize_t socket_write(Chardev *c, int fd, const uint8_t *buf, size_t len)
{
    return send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void socket_hangup(Chardev *c)
{
    SocketBackend *s = c->backend;

    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    if (s->listen_fd >= 0) {
        start_listening(c);
    } else if (c->conf.reconnect) {
        retry_later(c);
    }
}

static char *socket_describe(const Chardev *c)
{
    const SocketBackend *s = c->backend;
    bool up = chardev_is_open(c);
    const char *server = s->listen_fd >= 0 ? ",server=on" : "";
    g_autofree char *local = NULL, *peer = NULL;

    if (s->listen_fd >= 0 || s->fd >= 0) {
        local = chardev_socket_name(s->listen_fd >= 0 ? s->listen_fd : s->fd, false);
    } else {
        local = c->conf.path ? g_strdup_printf("unix:%s", c->conf.path)
                             : g_strdup_printf("tcp:%s:%s", c->conf.host, c->conf.port);
    }
    if (!up || s->is_unix) {
        return g_strdup_printf("%s%s%s", up ? "" : "disconnected:", local, server);
    }
    peer = chardev_socket_name(s->fd, true);
    return g_strdup_printf("%s%s <-> %s", local, server,
                           g_str_has_prefix(peer, "tcp:") ? peer + 4 : peer);
}

static void socket_close(Chardev *c)
{
    SocketBackend *s = c->backend;

    if (!s) {
        return;
    }
    drop_source(&s->accept_source);
    drop_source(&s->connect_source);
    drop_source(&s->retry_source);
    if (s->fd >= 0) {
        close(s->fd);
    }
    if (s->listen_fd >= 0) {
        close(s->listen_fd);
    }
    if (s->owns_path) {
        unlink(c->conf.path);
    }
    g_free(s);
}

const ChardevOps chardev_socket_ops = {
    .backend = "socket",
    .open = socket_open,
    .read = socket_read,
    .write = socket_write,
    .hangup = socket_hangup,
    .describe = socket_describe,
    .close = socket_close,
};
