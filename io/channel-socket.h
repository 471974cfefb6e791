/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket channels: wrapping a connected descriptor, and connecting one. Private to io/. */
#ifndef IO_CHANNEL_SOCKET_H
#define IO_CHANNEL_SOCKET_H

#include <sys/socket.h>
#include <sys/un.h>

#include "migration/channel.h"

/* Takes a connected stream socket over. `features` are added to DUPLEX and PEEK. */
GwChannel *gw_channel_socket_new(int fd, unsigned features);
/* TCP: small messages (return path, page requests) must not wait for an acknowledgement. Does
 * nothing on other sockets. */
void gw_socket_set_nodelay(int fd);

/* The connecting side of tcp, unix and vsock. */
GwChannel *gw_channel_connect_tcp(const GwAddress *addr, GwCancel *cancel, GError **errp);
GwChannel *gw_channel_connect_unix(const GwAddress *addr, GwCancel *cancel, GError **errp);
GwChannel *gw_channel_connect_vsock(const GwAddress *addr, GwCancel *cancel, GError **errp);

/* Fills *un; false with *errp for a path that is empty or too long. */
bool gw_unix_sockaddr(const char *path, struct sockaddr_un *un, GError **errp);
/* The number in a vsock address's port. */
bool gw_vsock_port(const GwAddress *addr, uint32_t *port, GError **errp);

#endif
