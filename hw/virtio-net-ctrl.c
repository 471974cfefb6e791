/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control queue of virtio-net: receive filter, addresses, VLANs, number of queue pairs,
 * offloads, and the acknowledgement of an announcement (virtio 1.2, 5.1.6.5). Each command is
 * class, command and data from the guest, of which nothing is believed; one byte goes back.
 * I/O thread, device's lock.
 */
#include <string.h>

#include "trace.h"
#include "virtio-net.h"

#define VLAN_BITS (VIRTIO_NET_VLANS - 1)
#define GUEST_OFFLOADS \
    (1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4 | \
     1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_ECN | \
     1ull << VIRTIO_NET_F_GUEST_UFO)

typedef struct Command {
    const struct iovec *iov; /* the guest's pieces */
    unsigned n;
    size_t at, end;          /* bytes read, bytes there are */
} Command;

static bool take(Command *c, void *buf, size_t len)
{
    if (len > c->end - c->at) {
        return false;
    }
    virtio_iov_read(c->iov, c->n, c->at, buf, len);
    c->at += len;
    return true;
}

static bool receive_mode(VirtIONet *n, uint8_t cmd, Command *c)
{
    VirtIONetFilter *f = &n->filter;
    uint8_t *const modes[] = {
        [VIRTIO_NET_CTRL_RX_PROMISC] = &f->promisc, [VIRTIO_NET_CTRL_RX_ALLMULTI] = &f->allmulti,
        [VIRTIO_NET_CTRL_RX_ALLUNI] = &f->alluni, [VIRTIO_NET_CTRL_RX_NOMULTI] = &f->nomulti,
        [VIRTIO_NET_CTRL_RX_NOUNI] = &f->nouni, [VIRTIO_NET_CTRL_RX_NOBCAST] = &f->nobcast,
    };
    uint8_t on;

    if (cmd >= G_N_ELEMENTS(modes) || !take(c, &on, 1)) {
        return false;
    }
    *modes[cmd] = on != 0;
    return true;
}

/* One of the two tables; a table that does not fit sets *overflow instead. */
static bool take_table(VirtIONetFilter *f, Command *c, uint8_t *overflow)
{
    uint32_t le, count;

    if (!take(c, &le, sizeof(le))) {
        return false;
    }
    count = GUINT32_FROM_LE(le);
    if (count > (c->end - c->at) / ETHERNET_MAC) {
        return false;
    }
    *overflow = count > VIRTIO_NET_MAC_MAX - f->in_use;
    if (*overflow) {
        c->at += (size_t)count * ETHERNET_MAC;
        return true;
    }
    take(c, &f->macs[f->in_use], (size_t)count * ETHERNET_MAC);
    f->in_use += count;
    return true;
}

static bool addresses(VirtIONet *n, uint8_t cmd, Command *c)
{
    if (cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET) {
        return c->end - c->at == ETHERNET_MAC && take(c, n->mac, ETHERNET_MAC);
    }
    if (cmd != VIRTIO_NET_CTRL_MAC_TABLE_SET) {
        return false;
    }
    VirtIONetFilter f = n->filter;

    f.in_use = 0;
    if (!take_table(&f, c, &f.uni_overflow) || !take_table(&f, c, &f.multi_overflow) ||
        c->at != c->end) {
        return false;
    }
    n->filter = f;
    return true;
}

static bool vlan(VirtIONet *n, uint8_t cmd, Command *c)
{
    uint16_t le;
    unsigned id;

    if (cmd > VIRTIO_NET_CTRL_VLAN_DEL || !take(c, &le, sizeof(le))) {
        return false;
    }
    id = GUINT16_FROM_LE(le);
    if (id > VLAN_BITS) {
        return false;
    }
    if (cmd == VIRTIO_NET_CTRL_VLAN_ADD) {
        n->filter.vlans[id / 32] |= 1u << (id % 32);
    } else {
        n->filter.vlans[id / 32] &= ~(1u << (id % 32));
    }
    return true;
}

static bool announce_ack(VirtIONet *n, uint8_t cmd)
{
    if (cmd != VIRTIO_NET_CTRL_ANNOUNCE_ACK || !(n->status & VIRTIO_NET_S_ANNOUNCE)) {
        return false;
    }
    n->status &= ~VIRTIO_NET_S_ANNOUNCE;
    return true;
}

static bool pairs(VirtIONet *n, uint8_t cmd, Command *c)
{
    uint16_t le, count;

    if (cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || !virtio_net_has(n, VIRTIO_NET_F_MQ) ||
        !take(c, &le, sizeof(le))) {
        return false;
    }
    count = GUINT16_FROM_LE(le);
    if (count < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || count > n->max_pairs) {
        return false;
    }
    n->curr_pairs = count;
    virtio_net_apply(n);
    for (unsigned i = 0; i < count; i++) {
        virtio_queue_kick(virtio_queue(&n->vdev, 2 * i + 1));
    }
    return true;
}

static bool offloads(VirtIONet *n, uint8_t cmd, Command *c)
{
    uint64_t le, wanted;

    if (cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || !take(c, &le, sizeof(le))) {
        return false;
    }
    wanted = GUINT64_FROM_LE(le);
    if (wanted & ~(GUEST_OFFLOADS & n->vdev.guest_features)) {
        return false;
    }
    n->offloads = wanted;
    virtio_net_apply(n);
    return true;
}

static bool run(VirtIONet *n, Command *c)
{
    struct virtio_net_ctrl_hdr h;

    if (!take(c, &h, sizeof(h))) {
        return false;
    }
    trace_event(virtio_net_control, "%s class %u command %u", n->name, h.class, h.cmd);
    switch (h.class) {
    case VIRTIO_NET_CTRL_RX:
        return receive_mode(n, h.cmd, c);
    case VIRTIO_NET_CTRL_MAC:
        return addresses(n, h.cmd, c);
    case VIRTIO_NET_CTRL_VLAN:
        return vlan(n, h.cmd, c);
    case VIRTIO_NET_CTRL_ANNOUNCE:
        return announce_ack(n, h.cmd);
    case VIRTIO_NET_CTRL_MQ:
        return pairs(n, h.cmd, c);
    case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
        return offloads(n, h.cmd, c);
    default:
        return false;
    }
}

void virtio_net_control(VirtIONet *n, VirtQueue *vq)
{
    VirtQueueElement *e;

    while (virtio_is_live(&n->vdev) && (e = virtqueue_pop(vq, sizeof(*e)))) {
        Command c = { .iov = e->out_sg, .n = e->out_num, .end = e->out_len };
        uint8_t ack = run(n, &c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;

        if (!e->in_len) {
            virtio_error(&n->vdev, "control queue: a command without room for the answer");
        } else {
            virtio_iov_write(e->in_sg, e->in_num, 0, &ack, 1);
        }
        virtqueue_push(vq, e, 1);
        virtio_notify(&n->vdev, vq);
        g_free(e);
    }
}
