/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backends `file` (a regular file, also /dev/fdset/N), `null` and `pipe` (a pair of FIFOs
 * PATH.in and PATH.out, or one PATH for both directions).
 * Opening runs on the main thread; a regular file takes a write at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "chardev-priv.h"
#include "error.h"
#include "fd-table.h"

static void close_fds(Chardev *c)
{
    if (c->in_fd >= 0 && c->in_fd != c->out_fd) {
        close(c->in_fd);
    }
    if (c->out_fd >= 0) {
        close(c->out_fd);
    }
}

static bool file_open(Chardev *c, struct FdTable *fds, GError **errp)
{
    int mode = c->conf.append ? O_APPEND : O_TRUNC;
    int in = -1, out = fd_table_open(fds, c->conf.path, O_WRONLY | O_CREAT | mode, 0666, errp);

    if (out < 0) {
        return false;
    }
    if (c->conf.input_path) {
        in = fd_table_open(fds, c->conf.input_path, O_RDONLY | O_NONBLOCK, 0, errp);
        if (in < 0) {
            close(out);
            return false;
        }
    }
    chardev_attach(c, in, out);
    return true;
}

const ChardevOps chardev_file_ops = {
    .backend = "file",
    .open = file_open,
    .close = close_fds,
};

static bool null_open(Chardev *c, struct FdTable *fds, GError **errp)
{
    chardev_attach(c, -1, -1);
    return true;
}

const ChardevOps chardev_null_ops = {
    .backend = "null",
    .open = null_open,
};

/* Opening a FIFO for reading and writing never waits for the other end. */
static bool pipe_open(Chardev *c, struct FdTable *fds, GError **errp)
{
    g_autofree char *in_path = g_strconcat(c->conf.path, ".in", NULL);
    g_autofree char *out_path = g_strconcat(c->conf.path, ".out", NULL);
    int in = open(in_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int out = open(out_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (in < 0 || out < 0) {
        if (in >= 0) {
            close(in);
        }
        if (out >= 0) {
            close(out);
        }
        in = out = open(c->conf.path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (in < 0) {
            return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "Could not open '%s' (make it with "
                                 "mkfifo, or %s and %s)", c->conf.path, in_path, out_path);
        }
    }
    chardev_attach(c, in, out);
    return true;
}

const ChardevOps chardev_pipe_ops = {
    .backend = "pipe",
    .queue_max = 256 * 1024,
    .open = pipe_open,
    .close = close_fds,
};
