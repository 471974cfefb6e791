/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net: what its files share. Queues are receive 0, transmit 0, receive 1, transmit 1, ...
 * and the control queue after the last pair; without VIRTIO_NET_F_MQ that is after the first.
 *
 * Everything is guarded by the device's lock; frames move on its I/O thread. The backend is used
 * with the same lock (net.h). Device: virtio 1.2, 5.1; section: docs/devel/migration/virtio-net.
 */
#ifndef HW_VIRTIO_NET_H
#define HW_VIRTIO_NET_H

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "net.h"
#include "virtio-mmio.h"

#define VIRTIO_NET_MAC_MAX 64 /* addresses of the receive filter */
#define VIRTIO_NET_VLANS 4096
#define ETHERNET_MAC 6
#define ETHERNET_HEADER 14

typedef struct VirtIONetMac {
    uint8_t mac[ETHERNET_MAC];
} VirtIONetMac;

typedef struct VirtIONetFilter {
    uint8_t promisc, allmulti, alluni, nomulti, nouni, nobcast;
    uint8_t multi_overflow, uni_overflow;
    uint32_t in_use;            /* entries of macs */
    VirtIONetMac macs[VIRTIO_NET_MAC_MAX];
    uint32_t vlans[VIRTIO_NET_VLANS / 32]; /* bit set: let through */
} VirtIONetFilter;

/* What the section has, as it is there; lives while it is saved or loaded. */
typedef struct VirtIONetWire {
    VirtIONetFilter filter;
    uint32_t tx_waiting, tx_more[NET_MAX_QUEUES - 1], more_pairs;
    uint32_t mergeable, has_vnet_hdr;
    uint16_t max_pairs, curr_pairs;
    uint8_t has_ufo;
    uint64_t offloads;
} VirtIONetWire;

typedef struct VirtIONet {
    VirtIODevice vdev;
    NetBackend *backend;
    char *name;                 /* for monitors */
    uint8_t mac[ETHERNET_MAC], permanent_mac[ETHERNET_MAC];
    uint16_t status;            /* VIRTIO_NET_S_* */
    uint16_t max_pairs, curr_pairs;
    unsigned header;            /* bytes of virtio_net_hdr between guest and device */
    uint64_t offloads;          /* 1 << VIRTIO_NET_F_GUEST_*: what the guest takes */
    bool tx_blocked[NET_MAX_QUEUES]; /* the backend is busy */
    bool rx_quiet[NET_MAX_QUEUES];   /* the guest was told that buffers need no kick */
    VirtIONetFilter filter;
    VirtIONetWire wire;
} VirtIONet;

static inline bool virtio_net_has(const VirtIONet *n, unsigned bit)
{
    return virtio_has_feature(&n->vdev, bit);
}

/* virtio-net.c */
bool virtio_net_new(VirtIOMMIO *t, Machine *m, const DeviceConfig *conf, GError **errp);
extern const char *const virtio_net_props[];
unsigned virtio_net_ctrl_index(const VirtIONet *n);
/* Makes the backend do what guest and device have agreed upon. */
void virtio_net_apply(VirtIONet *n);

/* virtio-net-io.c */
void virtio_net_receive_buffers(VirtIONet *n, unsigned pair);
void virtio_net_transmit(VirtIONet *n, unsigned pair);
/* NetDeviceOps.receive. */
bool virtio_net_receive(VirtIONet *n, unsigned pair, const uint8_t *frame, size_t len);

/* virtio-net-filter.c */
void virtio_net_filter_reset(VirtIONetFilter *f);
/* Whether the guest wants a frame (its link header first). */
bool virtio_net_filter(const VirtIONetFilter *f, const uint8_t *mac, const uint8_t *frame,
                       size_t len);

/* virtio-net-ctrl.c */
void virtio_net_control(VirtIONet *n, VirtQueue *vq);

/* virtio-net-announce.c: NetDeviceOps.announce. */
void virtio_net_announce(VirtIONet *n);

/* virtio-net-vmstate.c */
extern const VMStateDescription vmstate_virtio_net;

#endif
