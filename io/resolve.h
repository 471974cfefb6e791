/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host and service names to socket addresses, without making a cancel wait for a name server. */
#ifndef IO_RESOLVE_H
#define IO_RESOLVE_H

#include <netdb.h>

#include "migration/channel.h"

/*
 * The stream addresses of a TCP GwAddress. An empty host is the loopback, or any address when
 * `passive` (for bind). Blocks on a name server if the host is a name; `cancel` (may be NULL) ends
 * that with GW_ERROR_CANCELLED. The caller frees the list with freeaddrinfo(); NULL with *errp.
 */
struct addrinfo *gw_resolve(const GwAddress *addr, bool passive, const GwCancel *cancel,
                            GError **errp);

#endif
