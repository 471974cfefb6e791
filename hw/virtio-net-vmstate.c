/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The section of virtio-net, version 11, in QEMU's layout (docs/devel/migration/virtio-net): what
 * all virtio devices have, the card's own fields, subsections. Device's lock is taken; loading
 * decodes and checks only, the backend hears of it when the guest starts.
 */
#include <string.h>

#include "error.h"
#include "lock.h"
#include "virtio-net.h"

/* ---- conditions ---- */

static bool has_pairs(void *opaque, int version_id)
{
    return ((VirtIONet *)opaque)->max_pairs > 1;
}

static bool has_offloads(void *opaque, int version_id)
{
    const VirtIONet *n = opaque;

    return virtio_wire_features(&n->vdev) >> VIRTIO_NET_F_CTRL_GUEST_OFFLOADS & 1;
}

/* Before the transmit flags of further pairs, whose number they are. */
static bool check_pairs(void *opaque, int version_id)
{
    VirtIONet *n = opaque;
    VirtIONetWire *w = &n->wire;

    w->more_pairs = w->curr_pairs - 1u;
    return n->max_pairs == 1 || (w->max_pairs == n->max_pairs && w->curr_pairs >= 1 &&
                                 w->curr_pairs <= n->max_pairs);
}

/* ---- save and load ---- */

static bool net_pre_save(void *opaque, GError **errp)
{
    VirtIONet *n = opaque;
    LOCK_GUARD(&n->vdev.lock);

    /* No frame waits but in a ring, and every ring is looked at when the guest starts. */
    n->wire = (VirtIONetWire){
        .filter = n->filter,
        .mergeable = virtio_net_has(n, VIRTIO_NET_F_MRG_RXBUF),
        .has_vnet_hdr = net_has_header(n->backend),
        .max_pairs = n->max_pairs,
        .curr_pairs = n->curr_pairs,
        .has_ufo = (net_can_offload(n->backend) & NET_OFFLOAD_UFO) != 0,
        .offloads = n->offloads,
    };
    return true;
}

static bool net_pre_load(void *opaque, GError **errp)
{
    VirtIONet *n = opaque;

    n->wire = (VirtIONetWire){ .curr_pairs = 1 };
    return true;
}

static bool check_backend(const VirtIONet *n, GError **errp)
{
    if (n->wire.has_vnet_hdr && !net_has_header(n->backend)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "has_vnet_hdr: the source's backend has "
                       "virtio_net_hdr, '%s' here has not; use a tap with vnet_hdr=on",
                       net_id(n->backend));
    }
    if (n->wire.has_ufo && !(net_can_offload(n->backend) & NET_OFFLOAD_UFO)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "has_ufo: the source's backend does UFO, '%s' here "
                       "does not; start the source with host_ufo=off,guest_ufo=off",
                       net_id(n->backend));
    }
    return true;
}

static bool net_post_load(void *opaque, int version_id, GError **errp)
{
    VirtIONet *n = opaque;
    LOCK_GUARD(&n->vdev.lock);

    if (!check_backend(n, errp)) {
        return false;
    }
    /* set_features, which ran before, assumed a driver that has not chosen. */
    if (virtio_net_has(n, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)) {
        if (n->wire.offloads & ~n->offloads) {
            return gw_fail(errp, GW_ERROR_PROTOCOL, "curr_guest_offloads: 0x%" G_GINT64_MODIFIER
                           "x has bits that the guest did not negotiate", n->wire.offloads);
        }
        n->offloads = n->wire.offloads;
    }
    n->filter = n->wire.filter;
    n->curr_pairs = n->wire.curr_pairs;
    /* The wire that is plugged in is the one at this end. */
    n->status = (n->status & ~VIRTIO_NET_S_LINK_UP) |
                (net_link_up(n->backend) ? VIRTIO_NET_S_LINK_UP : 0);
    memset(n->tx_blocked, 0, sizeof(n->tx_blocked));
    memset(n->rx_quiet, 0, sizeof(n->rx_quiet));
    return true;
}

/* ---- the description ---- */

/* A member of VirtIONetWire, under the name that errors should have. */
#define WIRE(F, T, KIND, ...) \
    { .name = #F, .kind = (KIND), .size = sizeof(T), \
      .offset = vmstate_type_check(VirtIONet, wire.F, T), __VA_ARGS__ }

static const VMStateField mac_fields[] = {
    VMSTATE_BUFFER(mac, VirtIONetMac),
    VMSTATE_END,
};

static const VMStateDescription vmstate_mac = {
    .name = "mac",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = mac_fields,
};

static const VMStateField net_fields[] = {
    VMSTATE_VIRTIO_DEVICE(vdev, VirtIONet),
    VMSTATE_BUFFER(mac, VirtIONet),
    WIRE(tx_waiting, uint32_t, VMS_U32),
    WIRE(mergeable, uint32_t, VMS_U32),
    VMSTATE_UINT16(status, VirtIONet),
    WIRE(filter.promisc, uint8_t, VMS_U8),
    WIRE(filter.allmulti, uint8_t, VMS_U8),
    WIRE(filter.in_use, uint32_t, VMS_U32),
    VMSTATE_STRUCT_VARRAY(wire.filter.macs, VirtIONet, wire.filter.in_use, vmstate_mac,
                          VirtIONetMac),
    VMSTATE_BUFFER(wire.filter.vlans, VirtIONet), /* words as x86 has them */
    WIRE(has_vnet_hdr, uint32_t, VMS_U32),
    WIRE(filter.multi_overflow, uint8_t, VMS_U8),
    WIRE(filter.uni_overflow, uint8_t, VMS_U8),
    WIRE(filter.alluni, uint8_t, VMS_U8),
    WIRE(filter.nomulti, uint8_t, VMS_U8),
    WIRE(filter.nouni, uint8_t, VMS_U8),
    WIRE(filter.nobcast, uint8_t, VMS_U8),
    WIRE(has_ufo, uint8_t, VMS_U8),
    WIRE(max_pairs, uint16_t, VMS_U16, .exists = has_pairs),
    WIRE(curr_pairs, uint16_t, VMS_U16, .exists = has_pairs),
    VMSTATE_VALIDATE("max_pairs, curr_pairs", check_pairs),
    VMSTATE_VARRAY(wire.tx_more, VirtIONet, wire.more_pairs, uint32_t, VMS_U32),
    WIRE(offloads, uint64_t, VMS_U64, .exists = has_offloads),
    VMSTATE_VIRTIO_TAIL(vdev, VirtIONet),
    VMSTATE_END,
};

const VMStateDescription vmstate_virtio_net = {
    .name = "virtio-net",
    .version_id = 11,
    .minimum_version_id = 11,
    .pre_save = net_pre_save,
    .pre_load = net_pre_load,
    .post_load = net_post_load,
    .fields = net_fields,
};
