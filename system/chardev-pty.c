/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backend `pty`: a pseudo terminal in raw mode, optionally with a symbolic link to it.
 * The slave side is kept open here, so that the master neither hangs up nor loses its mode when the
 * user's terminal program comes and goes; output that nobody reads is bounded by the queue.
 * Main thread only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "chardev-priv.h"
#include "error.h"

typedef struct Pty {
    int master, slave;
    char name[64];
    bool linked; /* conf.path is ours to remove */
} Pty;

static bool open_pair(Pty *p, GError **errp)
{
    struct termios t;

    p->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (p->master < 0 || grantpt(p->master) < 0 || unlockpt(p->master) < 0 ||
        ptsname_r(p->master, p->name, sizeof(p->name)) != 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "Failed to create PTY");
    }
    p->slave = open(p->name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p->slave < 0 || tcgetattr(p->slave, &t) < 0) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "Failed to open '%s'", p->name);
    }
    cfmakeraw(&t);
    tcsetattr(p->slave, TCSANOW, &t);
    return true;
}

static bool pty_open(Chardev *c, struct FdTable *fds, GError **errp)
{
    Pty *p = g_new0(Pty, 1);

    p->master = p->slave = -1;
    c->backend = p;
    if (!open_pair(p, errp)) {
        return false;
    }
    if (c->conf.path) {
        if (symlink(p->name, c->conf.path) < 0) {
            return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "Failed to create PTY symlink '%s'",
                                 c->conf.path);
        }
        p->linked = true;
    }
    printf("char device redirected to %s (label %s)\n", p->name, c->id);
    fflush(stdout);
    chardev_attach(c, p->master, p->master);
    return true;
}

static char *pty_describe(const Chardev *c)
{
    return g_strdup_printf("pty:%s", ((const Pty *)c->backend)->name);
}

static void pty_close(Chardev *c)
{
    Pty *p = c->backend;

    if (p->linked) {
        unlink(c->conf.path);
    }
    if (p->slave >= 0) {
        close(p->slave);
    }
    if (p->master >= 0) {
        close(p->master);
    }
    g_free(p);
}

const ChardevOps chardev_pty_ops = {
    .backend = "pty",
    .queue_max = 64 * 1024,
    .open = pty_open,
    .describe = pty_describe,
    .close = pty_close,
};
