/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core of network backends: opening, finding, the connection to a card, polling of descriptors,
 * and who has to wait for whom. The card's thread and lock, see net.h; the list and the making are
 * the main thread's.
 */
#include "net.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "error.h"
#include "lock.h"
#include "machine.h"
#include "net-announce.h"
#include "net-priv.h"

#define EVENTS_AT_ONCE 16

static const NetBackendOps *const all_ops[] = { &net_tap_ops, &net_dgram_ops, &net_stream_ops };

/* ---- polling ---- */

static void count(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

void net_poll_set(NetBackend *nb, NetPoll *p, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = p };
    int op = !events ? EPOLL_CTL_DEL : p->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (p->fd >= 0 && events != p->events) {
        /* Fails for lack of kernel memory only; the descriptor is then not watched. */
        p->events = epoll_ctl(nb->epoll_fd, op, p->fd, &ev) == 0 ? events : 0;
    }
}

int net_poll_fd(const NetBackend *nb)
{
    return nb->epoll_fd;
}

void net_poll(NetBackend *nb)
{
    struct epoll_event ev[EVENTS_AT_ONCE];
    int n = epoll_wait(nb->epoll_fd, ev, EVENTS_AT_ONCE, 0);

    for (int i = 0; i < n; i++) {
        NetPoll *p = ev[i].data.ptr;

        /* One before it may have closed this one. */
        if (p->fd >= 0 && p->events) {
            p->fn(p->opaque, ev[i].events);
        }
    }
}

static void serve_requests(void *opaque, uint32_t events)
{
    NetBackend *nb = opaque;
    uint64_t n;

    if (read(nb->wake.fd, &n, sizeof(n)) < 0) {
        return;
    }
    uint32_t what = __atomic_exchange_n(&nb->requests, 0, __ATOMIC_ACQ_REL);

    if (nb->dev_ops && (what & NET_REQUEST_LINK)) {
        nb->dev_ops->link_changed(nb->dev);
    }
    if (nb->dev_ops && (what & NET_REQUEST_ANNOUNCE)) {
        nb->dev_ops->announce(nb->dev);
    }
}

void net_request(NetBackend *nb, uint32_t what)
{
    __atomic_fetch_or(&nb->requests, what, __ATOMIC_ACQ_REL);
    eventfd_write(nb->wake.fd, 1);
}

void net_take_text(NetBackend *nb, char *text)
{
    LOCK_GUARD(&nb->text_lock);

    g_free(nb->text);
    nb->text = text;
}

/* A queue whose card has room and is used reads; the rest waits in the descriptor. */
static void update_poll(NetQueue *q)
{
    bool in = !q->full && q->index < q->nb->active;

    net_poll_set(q->nb, &q->poll, (in ? EPOLLIN : 0) | (q->blocked ? EPOLLOUT : 0));
}

static void tell_send_ready(NetQueue *q)
{
    NetBackend *nb = q->nb;

    if (q->busy && !q->blocked) {
        q->busy = false;
        if (nb->dev_ops) {
            nb->dev_ops->send_ready(nb->dev, q->index);
        }
    }
}

static void queue_event(void *opaque, uint32_t events)
{
    NetQueue *q = opaque;
    const NetBackendOps *ops = q->nb->ops;

    if (q->blocked && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
        q->blocked = false;
        if (ops->writable) {
            ops->writable(q);
        }
        update_poll(q);
        tell_send_ready(q);
    }
    if (q->poll.fd >= 0 && (q->poll.events & EPOLLIN)) {
        ops->readable(q);
    }
}

void net_block_output(NetQueue *q)
{
    q->blocked = true;
    update_poll(q);
}

void net_queue_connect(NetQueue *q, int fd)
{
    q->poll.fd = fd;
    q->frame_len = 0;
    q->full = q->blocked = false;
    update_poll(q);
}

void net_queue_disconnect(NetQueue *q)
{
    net_poll_set(q->nb, &q->poll, 0);
    if (q->poll.fd >= 0) {
        close(q->poll.fd);
        q->poll.fd = -1;
    }
    q->poll.events = 0;
    q->frame_len = 0;
    q->blocked = false;
    tell_send_ready(q); /* what waits is dropped now, so that the guest goes on */
}

/* ---- frames ---- */

bool net_deliver(NetQueue *q, const uint8_t *frame, size_t len)
{
    NetBackend *nb = q->nb;

    if (!nb->dev_ops || !net_link_up(nb)) {
        count(&nb->dropped);
        return true;
    }
    if (!nb->dev_ops->receive(nb->dev, q->index, frame, len)) {
        q->full = true;
        update_poll(q);
        return false;
    }
    count(&nb->rx_frames);
    return true;
}

void net_receive_ready(NetBackend *nb, unsigned queue)
{
    NetQueue *q = &nb->queues[queue];

    if (queue < nb->nr_queues && q->full) {
        q->full = false;
        update_poll(q);
        if (q->frame_len && q->poll.fd >= 0) {
            nb->ops->readable(q); /* what is kept does not make the descriptor readable */
        }
    }
}

bool net_send(NetBackend *nb, unsigned queue, const struct iovec *iov, unsigned n)
{
    NetQueue *q = &nb->queues[queue];

    if (queue >= nb->nr_queues || q->poll.fd < 0 || !net_link_up(nb)) {
        count(&nb->dropped);
        return true;
    }
    if (q->blocked || !nb->ops->send(q, iov, n)) {
        q->busy = true;
        return false;
    }
    count(&nb->tx_frames);
    return true;
}

/* ---- properties ---- */

const char *net_id(const NetBackend *nb)
{
    return nb->conf->id;
}

unsigned net_queues(const NetBackend *nb)
{
    return nb->nr_queues;
}

void net_set_active_queues(NetBackend *nb, unsigned n)
{
    nb->active = MIN(n, nb->nr_queues);
    if (nb->ops->set_active) {
        nb->ops->set_active(nb, nb->active);
    }
    for (unsigned i = 0; i < nb->nr_queues; i++) {
        update_poll(&nb->queues[i]);
    }
}

bool net_has_header(const NetBackend *nb)
{
    return nb->has_header;
}

unsigned net_can_offload(const NetBackend *nb)
{
    return nb->can_offload;
}

void net_set_header(NetBackend *nb, unsigned len)
{
    if (nb->has_header && nb->header != len) {
        nb->header = len;
        nb->ops->set_header(nb, len);
    }
}

void net_set_offload(NetBackend *nb, unsigned mask)
{
    if (nb->ops->set_offload) {
        nb->ops->set_offload(nb, mask & nb->can_offload);
    }
}

bool net_link_up(const NetBackend *nb)
{
    return !__atomic_load_n(&nb->link_down, __ATOMIC_ACQUIRE);
}

/* ---- the list ---- */

NetBackend *net_find(Machine *m, const char *id)
{
    for (guint i = 0; i < m->netdevs->len; i++) {
        NetBackend *nb = g_ptr_array_index(m->netdevs, i);

        if (strcmp(nb->conf->id, id) == 0) {
            return nb;
        }
    }
    return NULL;
}

bool net_set_link(Machine *m, const char *name, bool up, GError **errp)
{
    NetBackend *nb = net_find(m, name);

    for (guint i = 0; !nb && i < m->netdevs->len; i++) {
        NetBackend *other = g_ptr_array_index(m->netdevs, i);

        nb = g_strcmp0(other->dev_name, name) == 0 ? other : NULL;
    }
    if (!nb) {
        return gw_fail(errp, GW_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", name);
    }
    __atomic_store_n(&nb->link_down, !up, __ATOMIC_RELEASE);
    net_request(nb, NET_REQUEST_LINK);
    return true;
}

void net_foreach(Machine *m, void (*fn)(const NetInfo *info, void *opaque), void *opaque)
{
    for (guint i = 0; i < m->netdevs->len; i++) {
        NetBackend *nb = g_ptr_array_index(m->netdevs, i);
        LOCK_GUARD(&nb->text_lock);
        NetInfo info = {
            .id = nb->conf->id, .type = nb->conf->type, .device = nb->dev_name,
            .text = nb->text ? nb->text : "", .queues = nb->nr_queues,
            .link_up = net_link_up(nb),
            .rx_frames = __atomic_load_n(&nb->rx_frames, __ATOMIC_RELAXED),
            .tx_frames = __atomic_load_n(&nb->tx_frames, __ATOMIC_RELAXED),
            .dropped = __atomic_load_n(&nb->dropped, __ATOMIC_RELAXED),
        };

        fn(&info, opaque);
    }
}

bool net_attach(NetBackend *nb, const char *name, const NetDeviceOps *ops, void *dev,
                GError **errp)
{
    if (nb->dev_ops) {
        return gw_fail(errp, GW_ERROR_GENERIC, "netdev '%s' has a network card already: %s",
                       nb->conf->id, nb->dev_name);
    }
    nb->dev_ops = ops;
    nb->dev = dev;
    nb->dev_name = g_strdup(name);
    return true;
}

void net_detach(NetBackend *nb)
{
    nb->dev_ops = NULL;
    nb->dev = NULL;
    g_clear_pointer(&nb->dev_name, g_free);
}

unsigned net_attached(Machine *m)
{
    unsigned n = 0;

    for (guint i = 0; i < m->netdevs->len; i++) {
        n += ((NetBackend *)m->netdevs->pdata[i])->dev_ops != NULL;
    }
    return n;
}

/* ---- making ---- */

void net_add_queues(NetBackend *nb, unsigned n)
{
    nb->nr_queues = n;
    nb->active = 1;
    nb->queues = g_new0(NetQueue, n);
    for (unsigned i = 0; i < n; i++) {
        nb->queues[i] = (NetQueue){ .nb = nb, .index = i,
                                    .frame = g_malloc(NET_FRAME_MAX),
                                    .poll = { queue_event, &nb->queues[i], -1, 0 } };
    }
}

static void backend_free(gpointer p)
{
    NetBackend *nb = p;

    if (nb->ops->close) {
        nb->ops->close(nb);
    }
    for (unsigned i = 0; i < nb->nr_queues; i++) {
        net_queue_disconnect(&nb->queues[i]);
        g_free(nb->queues[i].frame);
    }
    if (nb->wake.fd >= 0) {
        close(nb->wake.fd);
    }
    if (nb->epoll_fd >= 0) {
        close(nb->epoll_fd);
    }
    pthread_mutex_destroy(&nb->text_lock);
    g_free(nb->text);
    g_free(nb->queues);
    g_free(nb->dev_name);
    g_free(nb);
}

static bool open_one(Machine *m, const NetdevConfig *conf, GError **errp)
{
    NetBackend *nb;

    for (size_t i = 0; i < G_N_ELEMENTS(all_ops); i++) {
        if (strcmp(all_ops[i]->type, conf->kind) != 0) {
            continue;
        }
        nb = g_new0(NetBackend, 1);
        nb->machine = m;
        nb->ops = all_ops[i];
        nb->conf = conf;
        nb->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        nb->wake = (NetPoll){ serve_requests, nb, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 0 };
        pthread_mutex_init(&nb->text_lock, NULL);
        net_poll_set(nb, &nb->wake, EPOLLIN);
        g_ptr_array_add(m->netdevs, nb);
        if (!nb->ops->open(nb, errp)) {
            g_prefix_error(errp, "-netdev %s,id=%s: ", conf->type, conf->id);
            return false;
        }
        return true;
    }
    return gw_fail(errp, GW_ERROR_UNSUPPORTED, "-netdev %s: unknown type", conf->type);
}

bool net_init(Machine *m, GError **errp)
{
    m->netdevs = g_ptr_array_new_with_free_func(backend_free);
    net_announce_init(m);
    for (guint i = 0; i < m->config->netdevs->len; i++) {
        if (!open_one(m, g_ptr_array_index(m->config->netdevs, i), errp)) {
            return false;
        }
    }
    return true;
}

void net_free(Machine *m)
{
    net_announce_free(m);
    g_clear_pointer(&m->netdevs, g_ptr_array_unref);
}
