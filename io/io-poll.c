/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting for descriptors; see io-poll.h. Keeps no state, so any thread may call. */
#include "io-poll.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define IO_POLL_MAX 16

IoPollResult io_poll_many(struct pollfd *pfds, unsigned n, const GwCancel *wake, int timeout_ms)
{
    const gint64 deadline = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    struct pollfd all[IO_POLL_MAX + 1];
    int left = timeout_ms;
    int rc;

    g_return_val_if_fail(n <= IO_POLL_MAX, IO_POLL_ERROR);
    memcpy(all, pfds, n * sizeof(*pfds));
    all[n] = (struct pollfd){ .fd = wake ? gw_cancel_fd(wake) : -1, .events = POLLIN };
    for (;;) {
        rc = poll(all, n + 1, left);
        if (rc >= 0 || errno != EINTR) {
            break;
        }
        if (timeout_ms >= 0) {
            left = (int)MAX(0, (deadline - g_get_monotonic_time()) / 1000);
        }
    }
    memcpy(pfds, all, n * sizeof(*pfds));
    if (rc < 0) {
        return IO_POLL_ERROR;
    }
    if (all[n].revents) {
        return IO_POLL_WOKEN;
    }
    return rc ? IO_POLL_READY : IO_POLL_TIMEOUT;
}

IoPollResult io_poll(int fd, short events, const GwCancel *wake, int timeout_ms)
{
    struct pollfd pfd = { .fd = fd, .events = events };

    return io_poll_many(&pfd, 1, wake, timeout_ms);
}

bool io_set_nonblock(int fd, bool on)
{
    const int flags = fcntl(fd, F_GETFL);
    const int want = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;

    return flags >= 0 && (want == flags || fcntl(fd, F_SETFL, want) == 0);
}
