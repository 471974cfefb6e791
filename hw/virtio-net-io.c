/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net: frames between the rings and the backend. I/O thread, device's lock.
 *
 * Nothing is held between calls: a frame that the backend does not take goes back into the ring,
 * one that the ring has no room for stays with the backend. So a stopped guest has nothing in
 * flight, and its section needs no frames.
 */
#include <string.h>

#include "virtio-net.h"

/* Frames in one go; then the other queues have their turn. */
#define TX_BURST 256
/* The longest frame is in fewer pieces than a ring has entries. */
#define RX_PIECES VIRTQUEUE_MAX_SIZE

/* ---- from the guest ---- */

/* The pieces without the first `skip` bytes; returns their number. */
static unsigned skip_bytes(struct iovec *iov, unsigned n, size_t skip, struct iovec **first)
{
    while (n && skip >= iov->iov_len) {
        skip -= iov->iov_len;
        iov++;
        n--;
    }
    if (n) {
        iov->iov_base = (uint8_t *)iov->iov_base + skip;
        iov->iov_len -= skip;
    }
    *first = iov;
    return n;
}

/* False: the backend is busy. */
static bool send_element(VirtIONet *n, unsigned pair, VirtQueueElement *e)
{
    struct iovec *iov = e->out_sg;
    unsigned pieces = e->out_num;

    if (e->out_len <= n->header || e->in_num) {
        virtio_error(&n->vdev, "transmit queue %u: a frame of %u + %u bytes", pair,
                     (unsigned)e->out_len, (unsigned)e->in_len);
        return true;
    }
    if (e->out_len > NET_FRAME_MAX) {
        return true; /* longer than any frame: dropped */
    }
    if (!net_has_header(n->backend)) {
        pieces = skip_bytes(iov, pieces, n->header, &iov);
    }
    return net_send(n->backend, pair, iov, pieces);
}

/* Up to a burst of frames. True: the ring is empty or cannot be used now. */
static bool transmit_some(VirtIONet *n, unsigned pair, VirtQueue *vq)
{
    bool done = false, pushed = false;

    for (int i = 0; i < TX_BURST && !done; i++) {
        VirtQueueElement *e = virtqueue_pop(vq, sizeof(*e));

        if (!e) {
            done = true;
        } else if (!send_element(n, pair, e)) {
            n->tx_blocked[pair] = done = true;
            virtqueue_unpop(vq, e);
        } else {
            virtqueue_push(vq, e, 0);
            pushed = true;
        }
        g_free(e);
    }
    if (pushed) {
        virtio_notify(&n->vdev, vq);
    }
    return done;
}

void virtio_net_transmit(VirtIONet *n, unsigned pair)
{
    VirtQueue *vq = virtio_queue(&n->vdev, 2 * pair + 1);

    if (!virtio_is_live(&n->vdev) || pair >= n->curr_pairs || n->tx_blocked[pair]) {
        return;
    }
    virtio_queue_set_notification(vq, false);
    if (!transmit_some(n, pair, vq)) {
        virtio_queue_kick(vq); /* there is more */
        return;
    }
    if (!n->tx_blocked[pair]) {
        virtio_queue_set_notification(vq, true);
        if (!virtio_queue_empty(vq)) {
            virtio_queue_kick(vq); /* came before the guest knew that it has to kick */
        }
    }
}

/* ---- to the guest ---- */

void virtio_net_receive_buffers(VirtIONet *n, unsigned pair)
{
    if (pair < n->curr_pairs) {
        net_receive_ready(n->backend, pair);
    }
}

/* What precedes a frame of a backend that has no header of its own. */
static void put_header(VirtIONet *n, uint8_t *head, const uint8_t **frame, size_t *len)
{
    memset(head, 0, NET_HEADER_MAX);
    if (net_has_header(n->backend)) {
        memcpy(head, *frame, n->header);
        *frame += n->header;
        *len -= n->header;
    }
}

/* No room: the guest is to kick when it has made some. Returns whether it has meanwhile. */
static bool wait_for_buffers(VirtIONet *n, unsigned pair, VirtQueue *vq)
{
    n->rx_quiet[pair] = false;
    virtio_queue_set_notification(vq, true);
    return !virtio_queue_empty(vq);
}

typedef struct Pieces {
    VirtQueueElement *e[RX_PIECES];
    uint32_t len[RX_PIECES];
    unsigned n;
} Pieces;

static void give_back(VirtQueue *vq, Pieces *p)
{
    while (p->n) {
        virtqueue_unpop(vq, p->e[--p->n]);
        g_free(p->e[p->n]);
    }
}

/* Whether a ring full of buffers like this one has room: waiting for more would be for ever. */
static bool can_merge(const VirtIONet *n, const VirtQueue *vq, size_t total, size_t buffer)
{
    return virtio_net_has(n, VIRTIO_NET_F_MRG_RXBUF) && total <= buffer * virtio_queue_num(vq);
}

typedef enum Taken { TAKEN, TOO_FEW, LOST } Taken;

/* Takes buffers for `total` bytes; none but for TAKEN. */
static Taken take_buffers(VirtIONet *n, VirtQueue *vq, size_t total, Pieces *p)
{
    Taken result = TAKEN;

    for (size_t room = 0; room < total && result == TAKEN;) {
        VirtQueueElement *e = p->n < RX_PIECES ? virtqueue_pop(vq, sizeof(*e)) : NULL;

        if (!e) {
            result = n->vdev.broken ? LOST : TOO_FEW;
            break;
        }
        p->len[p->n] = MIN(total - room, e->in_len);
        p->e[p->n++] = e;
        room += e->in_len;
        if (e->out_num || e->in_len < n->header) {
            virtio_error(&n->vdev, "receive queue: a buffer of %u bytes (%u to read)",
                         (unsigned)e->in_len, (unsigned)e->out_len);
            result = LOST;
        } else if (room < total && !can_merge(n, vq, total, e->in_len)) {
            result = LOST;
        }
    }
    if (result != TAKEN) {
        give_back(vq, p);
    }
    return result;
}

/* Header and frame, one after the other, into the buffers. */
static void fill_buffers(Pieces *p, const uint8_t *head, size_t head_len, const uint8_t *frame)
{
    size_t done = 0;

    for (unsigned i = 0; i < p->n; i++) {
        size_t at = 0, len = p->len[i];

        if (i == 0) {
            at = MIN(len, head_len);
            virtio_iov_write(p->e[i]->in_sg, p->e[i]->in_num, 0, head, at);
        }
        virtio_iov_write(p->e[i]->in_sg, p->e[i]->in_num, at, frame + done, len - at);
        done += len - at;
    }
}

static void push_buffers(VirtIONet *n, VirtQueue *vq, Pieces *p)
{
    virtqueue_push_all(vq, p->e, p->len, p->n);
    for (unsigned i = 0; i < p->n; i++) {
        g_free(p->e[i]);
    }
    virtio_notify(&n->vdev, vq);
}

static void mark_count(const VirtIONet *n, uint8_t *head, unsigned count)
{
    uint16_t le = GUINT16_TO_LE(count);

    if (n->header == NET_HEADER_MAX) {
        memcpy(head + offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers), &le, sizeof(le));
    }
}

bool virtio_net_receive(VirtIONet *n, unsigned pair, const uint8_t *frame, size_t len)
{
    VirtQueue *vq = virtio_queue(&n->vdev, 2 * pair);
    uint8_t head[NET_HEADER_MAX];
    Pieces p = { .n = 0 };
    Taken taken;

    if (!n->vdev.vm_running) {
        return false; /* it is stopped or has left: keep what comes */
    }
    if (!virtio_is_live(&n->vdev) || pair >= n->curr_pairs || !virtio_queue_ready(vq) ||
        (net_has_header(n->backend) && len < n->header)) {
        return true; /* nobody listens */
    }
    put_header(n, head, &frame, &len);
    if (!virtio_net_filter(&n->filter, n->mac, frame, len)) {
        return true;
    }
    taken = take_buffers(n, vq, n->header + len, &p);
    if (taken == TOO_FEW && wait_for_buffers(n, pair, vq)) {
        taken = take_buffers(n, vq, n->header + len, &p);
    }
    if (taken != TAKEN) {
        return taken == LOST; /* too few: a kick follows when there are more */
    }
    if (!n->rx_quiet[pair]) {
        n->rx_quiet[pair] = true;
        virtio_queue_set_notification(vq, false);
    }
    mark_count(n, head, p.n);
    fill_buffers(&p, head, n->header, frame);
    push_buffers(n, vq, &p);
    return true;
}
