/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps little in a connection's buffers. Bytes that wait in a socket are a queue that nothing can
 * overtake: a page in it that a guest needs now is as late as the queue is long. What has to be in
 * flight to fill the network is not taken away: that is its round trip times its speed. Any thread.
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "migration/channel.h"

#define SHALLOW_BYTES 131072
#define BYTES_PER_US  3125 /* 25 Gbit/s */

/* The shortest round trip seen, in microseconds; 0: not a network. */
static uint32_t round_trip_us(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
           len >= offsetof(struct tcp_info, tcpi_min_rtt) + sizeof(info.tcpi_min_rtt)
           ? info.tcpi_min_rtt : 0;
}

bool gw_channel_keep_shallow(GwChannel *ch)
{
    const int fd = gw_channel_fd(ch);
    /* The kernel doubles what is asked for: half of the buffer is its own bookkeeping. */
    const int bytes = SHALLOW_BYTES;

    if (fd < 0 || (uint64_t)round_trip_us(fd) * BYTES_PER_US > SHALLOW_BYTES) {
        return false;
    }
    return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) == 0;
}
