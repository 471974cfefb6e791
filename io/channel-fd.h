/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening the channels that are not made by connecting: fd, exec, file. Private to io/. */
#ifndef IO_CHANNEL_FD_H
#define IO_CHANNEL_FD_H

#include "migration/channel.h"

/* A connected socket or pipe that was handed in, by name or number. `incoming` tells which
 * direction must work. */
GwChannel *gw_channel_open_fd(const GwAddress *addr, bool incoming, GwFdResolver fds,
                              void *fds_opaque, GError **errp);
/* Starts the command. */
GwChannel *gw_channel_open_exec(const GwAddress *addr, bool incoming, GError **errp);
/* Opens the file at its offset; outgoing creates and truncates it. */
GwChannel *gw_channel_open_file(const GwAddress *addr, bool incoming, GwFdResolver fds,
                                void *fds_opaque, GError **errp);

/* Whichever of the three the address names; its transport must be one of them. */
GwChannel *gw_channel_open(const GwAddress *addr, bool incoming, GwFdResolver fds,
                           void *fds_opaque, GError **errp);

#endif
