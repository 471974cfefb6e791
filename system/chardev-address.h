/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets of chardevs by address: listening, connecting, and how they are written. */
#ifndef SYSTEM_CHARDEV_ADDRESS_H
#define SYSTEM_CHARDEV_ADDRESS_H

#include <stdbool.h>

#include <glib.h>

#include "config.h"

/* A listening socket for conf->path or conf->host and port; an old unix socket of that path is
 * replaced. -1 with *errp. */
int chardev_listen(const ChardevConfig *conf, GError **errp);
/* Starts to connect, or connects if `blocking`. *pending tells that it is still under way. -1 with
 * *errp. The result is non-blocking. */
int chardev_connect(const ChardevConfig *conf, bool blocking, bool *pending, GError **errp);
/* "unix:/path", "tcp:127.0.0.1:4444" for the local or the peer's end; caller frees. */
char *chardev_socket_name(int fd, bool peer);

#endif
