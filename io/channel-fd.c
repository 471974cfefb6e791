/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fd:NAME: a descriptor that somebody handed in. Sockets become socket channels; pipes and
 * character devices become a channel in the direction they are open for; regular files are refused.
 * One reader and one writer thread; `wake` is how any other thread ends their waiting.
 * Spec: channels 4.1.
 */
#include "channel-fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel-pipe.h"
#include "channel-socket.h"
#include "error.h"
#include "io-poll.h"

typedef struct PipeChannel {
    int fd;
    GwCancel *wake;
} PipeChannel;

static ssize_t pipe_readv(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    PipeChannel *p = opaque;

    return gw_pipe_readv(p->fd, p->wake, iov, n, "file descriptor", errp);
}

static ssize_t pipe_writev(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    PipeChannel *p = opaque;

    return gw_pipe_writev(p->fd, p->wake, iov, n, "file descriptor", errp);
}

static int pipe_wait_readable(void *opaque, int timeout_ms, GError **errp)
{
    PipeChannel *p = opaque;

    return gw_pipe_wait_readable(p->fd, p->wake, timeout_ms, "file descriptor", errp);
}

static void pipe_shutdown(void *opaque)
{
    PipeChannel *p = opaque;

    gw_cancel_trigger(p->wake);
}

static int pipe_get_fd(void *opaque)
{
    return ((PipeChannel *)opaque)->fd;
}

static void pipe_destroy(void *opaque)
{
    PipeChannel *p = opaque;

    close(p->fd);
    gw_cancel_free(p->wake);
    g_free(p);
}

/* No finish(): the reader sees the end when the last reference goes and the pipe is closed. */
static const GwChannelOps pipe_ops = {
    .size = sizeof(GwChannelOps),
    .readv = pipe_readv,
    .writev = pipe_writev,
    .shutdown = pipe_shutdown,
    .wait_readable = pipe_wait_readable,
    .get_fd = pipe_get_fd,
    .destroy = pipe_destroy,
};

static int inherited_number(void *opaque, const char *name, int flags, GError **errp)
{
    guint64 fd;

    if (!g_ascii_string_to_unsigned(name, 10, 0, INT_MAX, &fd, NULL)) {
        gw_fail(errp, GW_ERROR_GENERIC, "Invalid file descriptor number '%s'", name);
        return -1;
    }
    if (fcntl((int)fd, F_GETFD) < 0) {
        gw_fail(errp, GW_ERROR_GENERIC, "File descriptor named '%s' has not been found", name);
        return -1;
    }
    return (int)fd;
}

static bool check_socket(int fd, const char *name, GError **errp)
{
    socklen_t len = sizeof(int);
    int type = 0, listening = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "fd: '%s' is no stream socket", name);
    }
    len = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED,
                       "fd: '%s' is a listening socket: hand in a connected one", name);
    }
    return true;
}

static bool check_pipe(int fd, bool incoming, const char *name, GError **errp)
{
    const int flags = fcntl(fd, F_GETFL);
    const int wrong = incoming ? O_WRONLY : O_RDONLY;

    if (flags < 0) {
        return gw_fail_errno(errp, GW_ERROR_IO, errno, "fd: '%s'", name);
    }
    if ((flags & O_ACCMODE) == wrong) {
        return gw_fail(errp, GW_ERROR_GENERIC, "fd: '%s' is not open for %s", name,
                       incoming ? "reading" : "writing");
    }
    return io_set_nonblock(fd, true) ||
           gw_fail_errno(errp, GW_ERROR_IO, errno, "fd: '%s': cannot be made non-blocking", name);
}

static GwChannel *pipe_channel_new(int fd)
{
    PipeChannel *p = g_new0(PipeChannel, 1);

    p->fd = fd;
    p->wake = gw_cancel_new();
    return gw_channel_new(&pipe_ops, p, 0, "main");
}

/* NULL with *errp: the caller keeps fd. */
static GwChannel *wrap_fd(int fd, bool incoming, const char *name, GError **errp)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        gw_fail_errno(errp, GW_ERROR_IO, errno, "fd: '%s'", name);
        return NULL;
    }
    if (S_ISSOCK(st.st_mode)) {
        return check_socket(fd, name, errp) ? gw_channel_socket_new(fd, 0) : NULL;
    }
    if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode)) {
        gw_fail(errp, GW_ERROR_UNSUPPORTED,
                "fd: migration to a file is not supported. Use file: instead.");
        return NULL;
    }
    return check_pipe(fd, incoming, name, errp) ? pipe_channel_new(fd) : NULL;
}

GwChannel *gw_channel_open_fd(const GwAddress *addr, bool incoming, GwFdResolver fds,
                              void *fds_opaque, GError **errp)
{
    const char *name = addr->fd ? addr->fd : "";
    const int fd = (fds ? fds : inherited_number)(fds_opaque, name, O_RDWR, errp);
    GwChannel *ch;

    if (fd < 0) {
        return NULL;
    }
    ch = wrap_fd(fd, incoming, name, errp);
    if (!ch) {
        close(fd);
    }
    return ch;
}
