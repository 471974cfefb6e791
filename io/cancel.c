/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GwCancel: a latch that any thread sets and that a poll() can wait for. The flag is the truth; the
 * eventfd only wakes pollers and is never drained, so that later waits end at once as well.
 */
#include "io-poll.h"

#include <sys/eventfd.h>
#include <unistd.h>

struct GwCancel {
    int fd;         /* eventfd; -1 if none could be had */
    bool triggered; /* atomic */
};

GwCancel *gw_cancel_new(void)
{
    GwCancel *c = g_new0(GwCancel, 1);

    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return c;
}

void gw_cancel_trigger(GwCancel *c)
{
    const uint64_t one = 1;

    __atomic_store_n(&c->triggered, true, __ATOMIC_RELEASE);
    if (c->fd >= 0 && write(c->fd, &one, sizeof(one)) < 0) {
        return; /* the counter is at its maximum: readable already */
    }
}

bool gw_cancel_is_triggered(const GwCancel *c)
{
    return __atomic_load_n(&c->triggered, __ATOMIC_ACQUIRE);
}

int gw_cancel_fd(const GwCancel *c)
{
    return c->fd;
}

void gw_cancel_free(GwCancel *c)
{
    if (!c) {
        return;
    }
    if (c->fd >= 0) {
        close(c->fd);
    }
    g_free(c);
}
