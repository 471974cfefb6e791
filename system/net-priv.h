/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the network: what the core (net.c), packet descriptors (net-packet.c) and the backends
 * share. The card's lock, see net.h. All descriptors of a backend are in one epoll set, which the
 * card's thread watches.
 */
#ifndef SYSTEM_NET_PRIV_H
#define SYSTEM_NET_PRIV_H

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net.h"

/* One watched descriptor; lives as long as its backend. */
typedef struct NetPoll {
    void (*fn)(void *opaque, uint32_t events);
    void *opaque;
    int fd;          /* -1: none */
    uint32_t events; /* EPOLL*; 0: not watched */
} NetPoll;

typedef struct NetQueue {
    NetBackend *nb;
    unsigned index;
    NetPoll poll;     /* its fd; -1: not connected */
    bool full;        /* the card has no room; nothing is read */
    bool blocked;     /* the descriptor takes no more; EPOLLOUT is watched */
    bool busy;        /* net_send() said no; send_ready is owed */
    uint8_t *frame;   /* NET_FRAME_MAX bytes, a frame that the card has not taken yet */
    size_t frame_len; /* 0: none */
} NetQueue;

typedef struct NetBackendOps {
    const char *type;
    bool (*open)(NetBackend *nb, GError **errp);
    /* False: nothing of it went out; net_block_output() was called. */
    bool (*send)(NetQueue *q, const struct iovec *iov, unsigned n);
    /* The descriptor can be read, or the card has room for what is kept. */
    void (*readable)(NetQueue *q);
    /* Optional: the descriptor can be written again. */
    void (*writable)(NetQueue *q);
    /* Optional. */
    void (*set_header)(NetBackend *nb, unsigned len);
    void (*set_offload)(NetBackend *nb, unsigned mask);
    void (*set_active)(NetBackend *nb, unsigned n);
    void (*close)(NetBackend *nb);
} NetBackendOps;

struct NetBackend {
    struct Machine *machine;
    const NetBackendOps *ops;
    const NetdevConfig *conf;
    void *priv;        /* the backend's own */
    int epoll_fd;
    unsigned nr_queues, active;
    NetQueue *queues;
    bool has_header;
    unsigned header;   /* bytes */
    unsigned can_offload;
    bool link_down;    /* atomic */
    NetPoll wake;      /* an eventfd: others have set `requests` */
    uint32_t requests; /* atomic; NET_REQUEST_* for the card's thread */
    pthread_mutex_t text_lock; /* leaf */
    char *text;        /* where it leads, for monitors; text_lock */
    const NetDeviceOps *dev_ops;
    void *dev;
    char *dev_name;
    uint64_t rx_frames, tx_frames, dropped; /* atomic, relaxed */
};

enum { NET_REQUEST_ANNOUNCE = 1, NET_REQUEST_LINK = 2 };

extern const NetBackendOps net_tap_ops, net_dgram_ops, net_stream_ops;

/* ---- net.c ---- */
/* Makes the queues, unconnected. */
void net_add_queues(NetBackend *nb, unsigned n);
/* The descriptor of a queue is there: watch it. */
void net_queue_connect(NetQueue *q, int fd);
/* Stops watching and closes it. */
void net_queue_disconnect(NetQueue *q);
/* Nothing is sent until the descriptor can be written. */
void net_block_output(NetQueue *q);
/* Offers a frame to the card. False: it has to be kept, reading stops until there is room. */
bool net_deliver(NetQueue *q, const uint8_t *frame, size_t len);
/* Lets the card's thread do something. Any thread. */
void net_request(NetBackend *nb, uint32_t what);
/* What monitors are to show; takes the text over. */
void net_take_text(NetBackend *nb, char *text);
/* Watches p->fd for `events`; 0 stops. */
void net_poll_set(NetBackend *nb, NetPoll *p, uint32_t events);

/* ---- net-packet.c: descriptors that give and take one frame at a time ---- */
void net_packet_readable(NetQueue *q);

/* ---- net-address.c ---- */
/* A socket address in the kernel's form. */
typedef struct NetSockaddr {
    struct sockaddr_storage sa;
    socklen_t len; /* 0: none */
} NetSockaddr;

/* Looks the address up (main thread, at the start). `family`: AF_UNSPEC or what it must be. */
bool net_resolve(NetSockaddr *out, const NetAddress *a, int type, int family, GError **errp);
/* An inherited descriptor, non-blocking, if it is a socket of that type; else -1 with *errp. */
int net_inherit_socket(NetBackend *nb, const char *name, int type, GError **errp);
/* As the user wrote it; caller frees. */
char *net_address_text(const NetAddress *a);

#endif
