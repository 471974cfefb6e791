/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Binding the listening sockets of an address. Private to io/. */
#ifndef IO_LISTENER_SOCKET_H
#define IO_LISTENER_SOCKET_H

#include "migration/channel.h"

#define LISTENER_MAX_FDS 8

/* Bound and listening, non-blocking descriptors; `n` of them. */
typedef struct ListenSockets {
    int fds[LISTENER_MAX_FDS];
    unsigned n;
} ListenSockets;

/* Binds and listens on every address that a tcp, unix or vsock address stands for; on failure
 * nothing stays open. */
bool gw_listen_sockets(const GwAddress *addr, int backlog, ListenSockets *out, GError **errp);
/* What a listening socket is bound to, as a GwAddress of `like`'s transport. Caller frees. */
GwAddress *gw_listen_address(int fd, const GwAddress *like);

#endif
