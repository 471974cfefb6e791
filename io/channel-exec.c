/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exec:COMMAND: the stream through a command's standard input and output. Outgoing, the stream goes
 * into its stdin and the return path comes from its stdout; incoming, the other way round.
 *
 * One reader and one writer thread. `reader_seen` (atomic) tells finish() whether somebody else
 * reads the command's output. A command that failed is named in place of the "Broken pipe" or early
 * end it causes. Spec: channels 4.1.
 */
#include "channel-fd.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "channel-pipe.h"
#include "child.h"
#include "error.h"
#include "io-poll.h"

#define EXIT_GRACE_MS 100 /* between the end of a pipe and the exit of the command behind it */

typedef struct ExecChannel {
    GwChild *child;
    int in_fd;  /* to its stdin; -1 once finished; the writer's */
    int out_fd; /* from its stdout */
    GwCancel *wake;
    bool incoming;
    bool reader_seen;
} ExecChannel;

/* Replaces what the pipe said by what the command said, if it failed. */
static ssize_t blame_command(ExecChannel *e, ssize_t ret, GError **pipe_err, GError **errp)
{
    if (!gw_cancel_is_triggered(e->wake) &&
        gw_child_wait(e->child, EXIT_GRACE_MS, e->wake) == GW_CHILD_FAILED) {
        g_clear_error(pipe_err);
        gw_child_fail(e->child, errp);
        return -1;
    }
    if (*pipe_err) {
        g_propagate_error(errp, g_steal_pointer(pipe_err));
    }
    return ret;
}

static ssize_t exec_readv(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    ExecChannel *e = opaque;
    g_autoptr(GError) err = NULL;
    ssize_t got;

    __atomic_store_n(&e->reader_seen, true, __ATOMIC_RELAXED);
    got = gw_pipe_readv(e->out_fd, e->wake, iov, n, "command", &err);
    return got > 0 ? got : blame_command(e, got, &err, errp);
}

static ssize_t exec_writev(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    ExecChannel *e = opaque;
    g_autoptr(GError) err = NULL;
    ssize_t put;

    if (e->in_fd < 0) {
        gw_fail(errp, GW_ERROR_IO, "Unable to write to command: the stream has been ended");
        return -1;
    }
    put = gw_pipe_writev(e->in_fd, e->wake, iov, n, "command", &err);
    return put > 0 ? put : blame_command(e, put, &err, errp);
}

static int exec_wait_readable(void *opaque, int timeout_ms, GError **errp)
{
    ExecChannel *e = opaque;

    __atomic_store_n(&e->reader_seen, true, __ATOMIC_RELAXED);
    return gw_pipe_wait_readable(e->out_fd, e->wake, timeout_ms, "command", errp);
}

static void exec_shutdown(void *opaque)
{
    ExecChannel *e = opaque;

    gw_cancel_trigger(e->wake);
}

/* Throws away what the command still prints, so that it is not stuck in a write before it exits.
 * Ends with the output, the command or the wake-up. */
static void drain(ExecChannel *e)
{
    char buf[4096];
    struct pollfd pfds[2] = {
        { .fd = e->out_fd, .events = POLLIN },
        { .fd = gw_child_pidfd(e->child), .events = POLLIN },
    };

    while (io_poll_many(pfds, 2, e->wake, -1) == IO_POLL_READY && pfds[0].revents) {
        const ssize_t n = read(e->out_fd, buf, sizeof(buf));

        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            return;
        }
    }
}

static bool exec_finish(void *opaque, GError **errp)
{
    ExecChannel *e = opaque;

    if (e->in_fd >= 0) {
        close(e->in_fd);
        e->in_fd = -1;
    }
    /* Outgoing, a return-path thread may be reading: its bytes are not ours to take. */
    if (e->incoming || !__atomic_load_n(&e->reader_seen, __ATOMIC_RELAXED)) {
        drain(e);
    }
    switch (gw_child_wait(e->child, -1, e->wake)) {
    case GW_CHILD_SUCCEEDED:
        return true;
    case GW_CHILD_FAILED:
        return gw_child_fail(e->child, errp);
    default:
        return gw_fail(errp, GW_ERROR_IO, "exec: shut down before the command had ended");
    }
}

static int exec_get_fd(void *opaque)
{
    const ExecChannel *e = opaque;

    return e->incoming ? e->out_fd : e->in_fd;
}

static void exec_destroy(void *opaque)
{
    ExecChannel *e = opaque;

    if (e->in_fd >= 0) {
        close(e->in_fd);
    }
    close(e->out_fd);
    gw_child_free(e->child);
    gw_cancel_free(e->wake);
    g_free(e);
}

static const GwChannelOps exec_ops = {
    .size = sizeof(GwChannelOps),
    .readv = exec_readv,
    .writev = exec_writev,
    .shutdown = exec_shutdown,
    .wait_readable = exec_wait_readable,
    .finish = exec_finish,
    .get_fd = exec_get_fd,
    .destroy = exec_destroy,
};

GwChannel *gw_channel_open_exec(const GwAddress *addr, bool incoming, GError **errp)
{
    ExecChannel *e = g_new0(ExecChannel, 1);

    e->child = gw_child_spawn(addr->argv, &e->in_fd, &e->out_fd, errp);
    if (!e->child) {
        g_free(e);
        return NULL;
    }
    e->incoming = incoming;
    e->wake = gw_cancel_new();
    return gw_channel_new(&exec_ops, e, GW_CHANNEL_DUPLEX, "main");
}
