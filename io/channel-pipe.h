/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One-way descriptors (pipes, ttys) that a GwCancel can wake: what the fd and exec channels share.
 * The descriptors must not block (io_set_nonblock). Private to io/.
 */
#ifndef IO_CHANNEL_PIPE_H
#define IO_CHANNEL_PIPE_H

#include "migration/channel.h"

/* As GwChannelOps.readv/writev/wait_readable. `what` names the thing in errors: "command". Once
 * `wake` is triggered reads see the end of the stream and writes fail. */
ssize_t gw_pipe_readv(int fd, const GwCancel *wake, const struct iovec *iov, int n,
                      const char *what, GError **errp);
ssize_t gw_pipe_writev(int fd, const GwCancel *wake, const struct iovec *iov, int n,
                       const char *what, GError **errp);
int gw_pipe_wait_readable(int fd, const GwCancel *wake, int timeout_ms, const char *what,
                          GError **errp);

#endif
