/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for a descriptor or for a wake-up, whichever comes first: the one place where io/ polls.
 * Also the descriptor behind a GwCancel. No state, any thread.
 */
#ifndef IO_POLL_H
#define IO_POLL_H

#include <poll.h>

#include "migration/channel.h"

typedef enum IoPollResult {
    IO_POLL_ERROR = -1, /* errno is set */
    IO_POLL_TIMEOUT,
    IO_POLL_READY,
    IO_POLL_WOKEN,      /* the cancel was triggered; wins over READY */
} IoPollResult;

/* Waits for `events` (POLLIN, POLLOUT) on fd. timeout_ms -1 is for ever. `wake` may be NULL, fd may
 * be -1 to wait for the wake-up alone. Signals do not end the wait. */
IoPollResult io_poll(int fd, short events, const GwCancel *wake, int timeout_ms);
/* The same for several descriptors; poll()'s revents are filled in. At most 16 of them. */
IoPollResult io_poll_many(struct pollfd *pfds, unsigned n, const GwCancel *wake, int timeout_ms);

/* Becomes and stays readable once triggered. */
int gw_cancel_fd(const GwCancel *c);

/* Sets or clears O_NONBLOCK of the open file behind fd; false with errno set. */
bool io_set_nonblock(int fd, bool on);

#endif
