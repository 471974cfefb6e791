/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network backends (-netdev): where the frames of a network card go and come from.
 *
 * A backend has no thread: its card polls net_poll_fd() on its own thread and calls net_poll()
 * then. Everything here is guarded by the card's lock once there is a card (net_attach); until then
 * it is the main thread's. A backend never blocks. A frame that one side cannot take yet stays with
 * the other, which is asked again; a frame without a place to go (no connection, link down) is
 * dropped, as on any network.
 */
#ifndef SYSTEM_NET_H
#define SYSTEM_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <glib.h>

#include "config.h"

struct Machine;

typedef struct NetBackend NetBackend;

/* The longest frame: 64 KiB of a segmentation offload, link header, virtio_net_hdr. */
#define NET_FRAME_MAX (65536 + 64)
#define NET_MAX_QUEUES 16 /* pairs of one backend */
/* virtio_net_hdr, without and with the number of buffers. */
#define NET_HEADER_MIN 10
#define NET_HEADER_MAX 12

/* What a backend can be asked to leave undone in frames to the guest. */
enum {
    NET_OFFLOAD_CSUM = 1 << 0,
    NET_OFFLOAD_TSO4 = 1 << 1,
    NET_OFFLOAD_TSO6 = 1 << 2,
    NET_OFFLOAD_ECN = 1 << 3,
    NET_OFFLOAD_UFO = 1 << 4,
};

/* What a card gives to its backend; called on its thread, with its lock held, or within net_send()
 * and its like. */
typedef struct NetDeviceOps {
    /* A frame has come, with the header that net_set_header() asked for. False: no room or the
     * guest is stopped; it is offered again after net_receive_ready(). */
    bool (*receive)(void *dev, unsigned queue, const uint8_t *frame, size_t len);
    /* net_send() was false for this queue and is worth another try. */
    void (*send_ready)(void *dev, unsigned queue);
    /* Tell the network where the guest is. */
    void (*announce)(void *dev);
    /* net_link_up() has changed. */
    void (*link_changed)(void *dev);
} NetDeviceOps;

/* Opens all of config->netdevs; main thread. */
bool net_init(struct Machine *m, GError **errp);
void net_free(struct Machine *m);
NetBackend *net_find(struct Machine *m, const char *id);
/* Connects a card; a backend has one at most. `name` is the card's, for monitors. Main thread,
 * while the machine is made or taken apart. */
bool net_attach(NetBackend *nb, const char *name, const NetDeviceOps *ops, void *dev,
                GError **errp);
void net_detach(NetBackend *nb);
/* How many cards there are. */
unsigned net_attached(struct Machine *m);

/* Readable while net_poll() has something to do. */
int net_poll_fd(const NetBackend *nb);
/* Moves frames, makes and ends connections. */
void net_poll(NetBackend *nb);

const char *net_id(const NetBackend *nb);
/* Number of queue pairs. */
unsigned net_queues(const NetBackend *nb);
/* Only the first n queues are used from now on. */
void net_set_active_queues(NetBackend *nb, unsigned n);
/* Whether frames carry a virtio_net_hdr, and which NET_OFFLOAD_* it then can mean. */
bool net_has_header(const NetBackend *nb);
unsigned net_can_offload(const NetBackend *nb);
/* Bytes of header before each frame in both directions, if net_has_header(). */
void net_set_header(NetBackend *nb, unsigned len);
void net_set_offload(NetBackend *nb, unsigned mask);
/* True: the frame is gone or dropped. False: busy, NetDeviceOps.send_ready follows. */
bool net_send(NetBackend *nb, unsigned queue, const struct iovec *iov, unsigned n);
/* The card has room again. */
void net_receive_ready(NetBackend *nb, unsigned queue);

/* ---- for monitors: main thread; none waits for a card, which may wait for a page of a postcopy */

/* The wire is plugged in (set_link). Any thread. */
bool net_link_up(const NetBackend *nb);
/* `name`: the backend's id or the card's name. False with *errp if there is none. The card hears of
 * it on its own thread. */
bool net_set_link(struct Machine *m, const char *name, bool up, GError **errp);

typedef struct NetInfo {
    const char *id, *type, *device; /* device: NULL without a card */
    const char *text;               /* where it leads */
    unsigned queues;
    bool link_up;
    uint64_t rx_frames, tx_frames, dropped; /* to the guest, from the guest, neither */
} NetInfo;

void net_foreach(struct Machine *m, void (*fn)(const NetInfo *info, void *opaque), void *opaque);

#endif
