/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net tells the network where the guest is now: it sends a frame with the guest's address as
 * the source, from which switches learn the port, and asks a guest that can (GUEST_ANNOUNCE) to
 * announce its other addresses, VLANs and IP addresses. The frame is a RARP request (RFC 903),
 * which no station answers to. I/O thread, device's lock.
 */
#include <string.h>

#include "trace.h"
#include "virtio-net.h"

#define FRAME_MIN 60 /* bytes; shorter ones are not allowed on Ethernet */

typedef struct __attribute__((packed)) Rarp {
    uint8_t to[ETHERNET_MAC], from[ETHERNET_MAC];
    uint16_t type;
    uint16_t hardware, protocol;
    uint8_t hardware_len, protocol_len;
    uint16_t operation;
    uint8_t sender_mac[ETHERNET_MAC], sender_ip[4], target_mac[ETHERNET_MAC], target_ip[4];
    uint8_t padding[FRAME_MIN - 42];
} Rarp;
_Static_assert(sizeof(Rarp) == FRAME_MIN, "an Ethernet frame");

static void send_rarp(VirtIONet *n)
{
    uint8_t header[NET_HEADER_MAX] = { 0 };
    Rarp r = {
        .type = GUINT16_TO_BE(0x8035), .hardware = GUINT16_TO_BE(1),
        .protocol = GUINT16_TO_BE(0x0800), .hardware_len = ETHERNET_MAC, .protocol_len = 4,
        .operation = GUINT16_TO_BE(3), /* request reverse */
    };
    struct iovec iov[] = { { header, n->header }, { &r, sizeof(r) } };
    bool with = net_has_header(n->backend);

    memset(r.to, 0xff, sizeof(r.to));
    memcpy(r.from, n->mac, ETHERNET_MAC);
    memcpy(r.sender_mac, n->mac, ETHERNET_MAC);
    memcpy(r.target_mac, n->mac, ETHERNET_MAC);
    /* A backend that is busy moves frames of this guest, from which switches learn just as well. */
    net_send(n->backend, 0, with ? iov : iov + 1, with ? 2 : 1);
}

void virtio_net_announce(VirtIONet *n)
{
    trace_event(virtio_net_announce, "%s", n->name);
    send_rarp(n);
    if (virtio_is_live(&n->vdev) && virtio_net_has(n, VIRTIO_NET_F_GUEST_ANNOUNCE) &&
        virtio_net_has(n, VIRTIO_NET_F_CTRL_VQ) && !(n->status & VIRTIO_NET_S_ANNOUNCE)) {
        n->status |= VIRTIO_NET_S_ANNOUNCE;
        virtio_notify_config(&n->vdev);
    }
}
