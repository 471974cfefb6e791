/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net: the life of a network card: properties, features, configuration space, and the
 * connection to its backend. Frames: virtio-net-io.c; commands of the guest: virtio-net-ctrl.c.
 *
 * Device's lock, I/O thread; the making is the main thread's. What guest and device agree upon
 * reaches the backend when the guest's driver is ready or the guest starts (virtio_net_apply), not
 * while a section is loaded.
 */
#include "virtio-net.h"

#include <stdio.h>
#include <string.h>

#include "cmdline-keyval.h"
#include "error.h"

#define QUEUE_SIZE 256
#define CTRL_QUEUE_SIZE 64
#define FEATURE_GSO 6 /* of the days before the standard: any kind of segmentation */

/* Properties that switch one feature; all are on, as far as the backend can. */
typedef struct FeatureProp {
    const char *name;
    uint8_t bit;
    uint8_t needs; /* NET_OFFLOAD_* of the backend; 0: none */
} FeatureProp;

static const FeatureProp feature_props[] = {
    { "csum", VIRTIO_NET_F_CSUM, NET_OFFLOAD_CSUM },
    { "guest_csum", VIRTIO_NET_F_GUEST_CSUM, NET_OFFLOAD_CSUM },
    { "gso", FEATURE_GSO, 0 },
    { "guest_tso4", VIRTIO_NET_F_GUEST_TSO4, NET_OFFLOAD_TSO4 },
    { "guest_tso6", VIRTIO_NET_F_GUEST_TSO6, NET_OFFLOAD_TSO6 },
    { "guest_ecn", VIRTIO_NET_F_GUEST_ECN, NET_OFFLOAD_ECN },
    { "guest_ufo", VIRTIO_NET_F_GUEST_UFO, NET_OFFLOAD_UFO },
    { "guest_announce", VIRTIO_NET_F_GUEST_ANNOUNCE, 0 },
    { "host_tso4", VIRTIO_NET_F_HOST_TSO4, NET_OFFLOAD_TSO4 },
    { "host_tso6", VIRTIO_NET_F_HOST_TSO6, NET_OFFLOAD_TSO6 },
    { "host_ecn", VIRTIO_NET_F_HOST_ECN, NET_OFFLOAD_ECN },
    { "host_ufo", VIRTIO_NET_F_HOST_UFO, NET_OFFLOAD_UFO },
    { "mrg_rxbuf", VIRTIO_NET_F_MRG_RXBUF, 0 },
    { "status", VIRTIO_NET_F_STATUS, 0 },
    { "ctrl_vq", VIRTIO_NET_F_CTRL_VQ, 0 },
    { "ctrl_rx", VIRTIO_NET_F_CTRL_RX, 0 },
    { "ctrl_vlan", VIRTIO_NET_F_CTRL_VLAN, 0 },
    { "ctrl_rx_extra", VIRTIO_NET_F_CTRL_RX_EXTRA, 0 },
    { "ctrl_mac_addr", VIRTIO_NET_F_CTRL_MAC_ADDR, 0 },
    { "ctrl_guest_offloads", VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, 0 },
};

const char *const virtio_net_props[] = {
    "netdev", "mac", "mq", "csum", "guest_csum", "gso", "guest_tso4", "guest_tso6", "guest_ecn",
    "guest_ufo", "guest_announce", "host_tso4", "host_tso6", "host_ecn", "host_ufo", "mrg_rxbuf",
    "status", "ctrl_vq", "ctrl_rx", "ctrl_vlan", "ctrl_rx_extra", "ctrl_mac_addr",
    "ctrl_guest_offloads", NULL,
};
_Static_assert(G_N_ELEMENTS(virtio_net_props) == G_N_ELEMENTS(feature_props) + 4,
               "one name for each property");

#define BIT64(n) (1ull << (n))

static const uint64_t guest_offloads =
    BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_GUEST_TSO4) |
    BIT64(VIRTIO_NET_F_GUEST_TSO6) | BIT64(VIRTIO_NET_F_GUEST_ECN) | BIT64(VIRTIO_NET_F_GUEST_UFO);

/* ---- what the backend is told ---- */

static unsigned backend_offload(uint64_t offloads)
{
    unsigned mask = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(feature_props); i++) {
        const FeatureProp *p = &feature_props[i];

        if (p->needs && (BIT64(p->bit) & guest_offloads & offloads)) {
            mask |= p->needs;
        }
    }
    return mask;
}

void virtio_net_apply(VirtIONet *n)
{
    net_set_header(n->backend, n->header);
    net_set_offload(n->backend, backend_offload(n->offloads));
    net_set_active_queues(n->backend, n->curr_pairs);
}

unsigned virtio_net_ctrl_index(const VirtIONet *n)
{
    return 2 * (virtio_net_has(n, VIRTIO_NET_F_MQ) ? n->max_pairs : 1);
}

static uint32_t net_queues_used(const VirtIODevice *vdev, uint64_t features)
{
    const VirtIONet *n = (const VirtIONet *)vdev;

    return features & BIT64(VIRTIO_NET_F_MQ) ? 2u * n->max_pairs + 1 : 3;
}

/* ---- the class ---- */

static void net_get_config(VirtIODevice *vdev, uint8_t *config)
{
    VirtIONet *n = (VirtIONet *)vdev;
    struct virtio_net_config c = {
        .status = GUINT16_TO_LE(n->status),
        .max_virtqueue_pairs = GUINT16_TO_LE(n->max_pairs),
    };

    memcpy(c.mac, n->mac, sizeof(c.mac));
    memcpy(config, &c, MIN(sizeof(c), vdev->config_len));
}

/* Old drivers write the address into the configuration space. */
static void net_set_config(VirtIODevice *vdev, const uint8_t *config)
{
    VirtIONet *n = (VirtIONet *)vdev;

    if (!virtio_net_has(n, VIRTIO_NET_F_CTRL_MAC_ADDR) &&
        !virtio_net_has(n, VIRTIO_F_VERSION_1)) {
        memcpy(n->mac, config, sizeof(n->mac));
    }
}

static void net_set_features(VirtIODevice *vdev)
{
    VirtIONet *n = (VirtIONet *)vdev;

    n->header = virtio_net_has(n, VIRTIO_NET_F_MRG_RXBUF) || virtio_net_has(n, VIRTIO_F_VERSION_1)
                    ? NET_HEADER_MAX : NET_HEADER_MIN;
    n->offloads = vdev->guest_features & guest_offloads;
    memset(n->filter.vlans, virtio_net_has(n, VIRTIO_NET_F_CTRL_VLAN) ? 0 : 0xff,
           sizeof(n->filter.vlans));
}

static void net_set_status(VirtIODevice *vdev)
{
    if (vdev->started) {
        virtio_net_apply((VirtIONet *)vdev);
    }
}

static void net_resumed(VirtIODevice *vdev)
{
    virtio_net_apply((VirtIONet *)vdev);
}

static void net_reset(VirtIODevice *vdev)
{
    VirtIONet *n = (VirtIONet *)vdev;

    memcpy(n->mac, n->permanent_mac, sizeof(n->mac));
    n->curr_pairs = 1;
    n->status &= ~VIRTIO_NET_S_ANNOUNCE;
    virtio_net_filter_reset(&n->filter);
    memset(n->tx_blocked, 0, sizeof(n->tx_blocked));
    memset(n->rx_quiet, 0, sizeof(n->rx_quiet));
}

static void net_handle_output(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtIONet *n = (VirtIONet *)vdev;
    unsigned index = virtio_queue_index(vq);

    if (index == virtio_net_ctrl_index(n)) {
        virtio_net_control(n, vq);
    } else if (index % 2) {
        virtio_net_transmit(n, index / 2);
    } else {
        virtio_net_receive_buffers(n, index / 2);
    }
}

static const VirtIODeviceClass net_class = {
    .name = "virtio-net",
    .device_id = VIRTIO_ID_NET,
    .vmsd = &vmstate_virtio_net,
    .get_config = net_get_config,
    .set_config = net_set_config,
    .set_features = net_set_features,
    .set_status = net_set_status,
    .reset = net_reset,
    .handle_output = net_handle_output,
    .queues_used = net_queues_used,
    .resumed = net_resumed,
};

/* ---- the backend's side ---- */

static bool card_receive(void *dev, unsigned queue, const uint8_t *frame, size_t len)
{
    return virtio_net_receive(dev, queue, frame, len);
}

static void card_send_ready(void *dev, unsigned queue)
{
    VirtIONet *n = dev;

    n->tx_blocked[queue] = false;
    virtio_net_transmit(n, queue);
}

static void card_link_changed(void *dev)
{
    VirtIONet *n = dev;
    uint16_t old = n->status;

    n->status = net_link_up(n->backend) ? old | VIRTIO_NET_S_LINK_UP
                                        : old & ~VIRTIO_NET_S_LINK_UP;
    if (n->status != old) {
        virtio_notify_config(&n->vdev);
    }
}

static void card_announce(void *dev)
{
    virtio_net_announce(dev);
}

static const NetDeviceOps card_ops = {
    .receive = card_receive,
    .send_ready = card_send_ready,
    .link_changed = card_link_changed,
    .announce = card_announce,
};

static void poll_backend(VirtIODevice *vdev, void *opaque)
{
    net_poll(((VirtIONet *)vdev)->backend);
}

/* ---- making ---- */

static const char *prop(const DeviceConfig *conf, const char *name)
{
    return g_hash_table_lookup(conf->props, name);
}

static bool prop_bool(const DeviceConfig *conf, const char *name, bool def, bool *value,
                      GError **errp)
{
    const char *text = prop(conf, name);

    *value = def;
    if (text && !keyval_parse_bool(text, value)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' expects 'on' or 'off', not '%s'",
                       name, text);
    }
    return true;
}

static bool choose_features(VirtIONet *n, const DeviceConfig *conf, bool mq, GError **errp)
{
    unsigned can = net_can_offload(n->backend);
    uint64_t f = BIT64(VIRTIO_NET_F_MAC) | BIT64(VIRTIO_F_ANY_LAYOUT);

    for (size_t i = 0; i < G_N_ELEMENTS(feature_props); i++) {
        const FeatureProp *p = &feature_props[i];
        bool on;

        if (!prop_bool(conf, p->name, true, &on, errp)) {
            return false;
        }
        if (on && (p->needs & ~can) == 0) {
            f |= BIT64(p->bit);
        }
    }
    if (mq && n->max_pairs > 1) {
        f |= BIT64(VIRTIO_NET_F_MQ);
    }
    n->vdev.host_features = f;
    return true;
}

/* "52:54:00:12:34:56", or the next of QEMU's row. */
static bool choose_mac(VirtIONet *n, Machine *m, const char *text, GError **errp)
{
    static const uint8_t first[ETHERNET_MAC] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };
    unsigned b[ETHERNET_MAC];
    char end;

    memcpy(n->permanent_mac, first, sizeof(first));
    if (!text) {
        n->permanent_mac[5] += net_attached(m);
        return true;
    }
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
               &end) != ETHERNET_MAC || (b[0] & 1)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Property 'mac': '%s' is not the address of one "
                       "station (such as 52:54:00:12:34:56)", text);
    }
    for (unsigned i = 0; i < ETHERNET_MAC; i++) {
        n->permanent_mac[i] = b[i];
    }
    return true;
}

static bool find_backend(VirtIONet *n, Machine *m, const DeviceConfig *conf, GError **errp)
{
    const char *id = prop(conf, "netdev");

    if (!id) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Parameter 'netdev' is missing: name a -netdev");
    }
    n->backend = net_find(m, id);
    if (!n->backend) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Property 'virtio-net-device.netdev' can't find "
                       "value '%s'", id);
    }
    return true;
}

static bool add_queues(VirtIONet *n, GError **errp)
{
    for (unsigned i = 0; i < 2u * n->max_pairs; i++) {
        if (!virtio_add_queue(&n->vdev, QUEUE_SIZE, errp)) {
            return false;
        }
    }
    return virtio_add_queue(&n->vdev, CTRL_QUEUE_SIZE, errp);
}

/* The I/O thread has ended, or never was. */
static void net_destroy(gpointer p)
{
    VirtIONet *n = p;

    if (n->backend) {
        net_detach(n->backend);
    }
    g_free(n->name);
    g_free(n);
}

static bool configure(VirtIONet *n, Machine *m, const DeviceConfig *conf, GError **errp)
{
    bool mq;

    if (!find_backend(n, m, conf, errp) || !prop_bool(conf, "mq", false, &mq, errp) ||
        !choose_mac(n, m, prop(conf, "mac"), errp)) {
        return false;
    }
    n->name = conf->id ? g_strdup(conf->id)
                       : g_strdup_printf("virtio-net-device.%u", net_attached(m));
    n->max_pairs = net_queues(n->backend);
    n->curr_pairs = 1;
    n->status = net_link_up(n->backend) ? VIRTIO_NET_S_LINK_UP : 0;
    virtio_init(&n->vdev, m, &net_class,
                mq && n->max_pairs > 1 ? offsetof(struct virtio_net_config, mtu)
                                       : offsetof(struct virtio_net_config, max_virtqueue_pairs));
    n->vdev.id = g_strdup(conf->id);
    return choose_features(n, conf, mq, errp) && add_queues(n, errp);
}

bool virtio_net_new(VirtIOMMIO *t, Machine *m, const DeviceConfig *conf, GError **errp)
{
    VirtIONet *n = g_new0(VirtIONet, 1);
    NetBackend *nb;

    if (!configure(n, m, conf, errp) ||
        !net_attach(n->backend, n->name, &card_ops, n, errp)) {
        n->backend = NULL; /* it is not ours */
        virtio_cleanup(&n->vdev);
        net_destroy(n);
        return false;
    }
    nb = n->backend;
    if (virtio_mmio_plug(t, &n->vdev, net_destroy, errp)) {
        return virtio_add_fd(&n->vdev, net_poll_fd(nb), false, poll_backend, NULL, errp);
    }
    virtio_cleanup(&n->vdev);
    net_destroy(n);
    return false;
}
