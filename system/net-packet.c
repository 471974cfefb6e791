/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Input of backends whose descriptors give one frame at a time: tap devices and datagram sockets.
 * The card's thread and lock.
 */
#include <unistd.h>

#include "net-priv.h"

/* Frames in one go before others get their turn on the thread. */
#define BATCH 64

void net_packet_readable(NetQueue *q)
{
    for (int i = 0; i < BATCH; i++) {
        if (!q->frame_len) {
            ssize_t n = read(q->poll.fd, q->frame, NET_FRAME_MAX);

            if (n <= 0) {
                return; /* EAGAIN, or the error of a datagram that nobody took */
            }
            q->frame_len = n;
        }
        if (!net_deliver(q, q->frame, q->frame_len)) {
            return;
        }
        q->frame_len = 0;
    }
}
