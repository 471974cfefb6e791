/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which transport opens an address: the outgoing front door. No state. Spec: channels 4.1. */
#include "channel-fd.h"
#include "channel-socket.h"

GwChannel *gw_channel_open(const GwAddress *addr, bool incoming, GwFdResolver fds,
                           void *fds_opaque, GError **errp)
{
    switch (addr->transport) {
    case GW_TRANSPORT_FD:
        return gw_channel_open_fd(addr, incoming, fds, fds_opaque, errp);
    case GW_TRANSPORT_EXEC:
        return gw_channel_open_exec(addr, incoming, errp);
    default:
        return gw_channel_open_file(addr, incoming, fds, fds_opaque, errp);
    }
}

GwChannel *gw_channel_connect(const GwAddress *addr, GwFdResolver fds, void *fds_opaque,
                              GwCancel *cancel, GError **errp)
{
    switch (addr->transport) {
    case GW_TRANSPORT_TCP:
        return gw_channel_connect_tcp(addr, cancel, errp);
    case GW_TRANSPORT_UNIX:
        return gw_channel_connect_unix(addr, cancel, errp);
    case GW_TRANSPORT_VSOCK:
        return gw_channel_connect_vsock(addr, cancel, errp);
    default:
        return gw_channel_open(addr, false, fds, fds_opaque, errp);
    }
}
