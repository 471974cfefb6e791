/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The receive filter of virtio-net: which frames the guest asked for with the commands of classes
 * RX, MAC and VLAN (virtio 1.2, 5.1.6.5). Until it does, it gets everything. Pure functions.
 */
#include <string.h>

#include "virtio-net.h"

#define ETHERTYPE_VLAN 0x8100
#define VLAN_TAG_END 16 /* bytes of a frame up to the end of the tag */

void virtio_net_filter_reset(VirtIONetFilter *f)
{
    *f = (VirtIONetFilter){ .promisc = 1 };
    memset(f->vlans, 0xff, sizeof(f->vlans));
}

static bool vlan_wanted(const VirtIONetFilter *f, const uint8_t *frame, size_t len)
{
    unsigned id;

    if (len < VLAN_TAG_END || (frame[12] << 8 | frame[13]) != ETHERTYPE_VLAN) {
        return true;
    }
    id = (frame[14] << 8 | frame[15]) & (VIRTIO_NET_VLANS - 1);
    return f->vlans[id / 32] >> (id % 32) & 1;
}

static bool in_table(const VirtIONetFilter *f, const uint8_t *mac)
{
    for (uint32_t i = 0; i < f->in_use; i++) {
        if (memcmp(f->macs[i].mac, mac, ETHERNET_MAC) == 0) {
            return true;
        }
    }
    return false;
}

bool virtio_net_filter(const VirtIONetFilter *f, const uint8_t *mac, const uint8_t *frame,
                       size_t len)
{
    static const uint8_t broadcast[ETHERNET_MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    if (len < ETHERNET_HEADER) {
        return false;
    }
    if (f->promisc) {
        return true;
    }
    if (!vlan_wanted(f, frame, len)) {
        return false;
    }
    if (memcmp(frame, broadcast, sizeof(broadcast)) == 0) {
        return !f->nobcast;
    }
    if (frame[0] & 1) {
        return !f->nomulti && (f->allmulti || f->multi_overflow || in_table(f, frame));
    }
    return !f->nouni && (f->alluni || f->uni_overflow || memcmp(frame, mac, ETHERNET_MAC) == 0 ||
                         in_table(f, frame));
}
