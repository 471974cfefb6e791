/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The in-memory channel pair. Two bounded rings, one per direction, and one lock and condition for
 * both: `lock` guards everything in MemPair. Any number of threads may wait; every change of a ring
 * wakes them all. Behaves as a socket pair: after a shutdown what was written can still be read.
 */
#include "channel-mem.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "error.h"

typedef struct MemRing {
    uint8_t *data;
    size_t head, used; /* first byte, bytes waiting */
    bool closed;       /* no more writes: shutdown, finish, or an end is gone */
} MemRing;

typedef struct MemPair {
    pthread_mutex_t lock;
    pthread_cond_t cond; /* CLOCK_MONOTONIC */
    size_t capacity;
    MemRing ring[2];     /* end i writes ring[i] and reads ring[!i] */
    unsigned ends;       /* not destroyed yet */
} MemPair;

typedef struct MemEnd {
    MemPair *pair;
    unsigned index;
} MemEnd;

static MemRing *rx_ring(MemEnd *e)
{
    return &e->pair->ring[!e->index];
}

static MemRing *tx_ring(MemEnd *e)
{
    return &e->pair->ring[e->index];
}

/* Copies up to len bytes out of the ring, from `skip` bytes behind its head. */
static size_t ring_copy(const MemPair *p, const MemRing *r, size_t skip, uint8_t *to, size_t len)
{
    const size_t at = (r->head + skip) % p->capacity;
    const size_t n = MIN(len, r->used - skip);
    const size_t first = MIN(n, p->capacity - at);

    memcpy(to, r->data + at, first);
    memcpy(to + first, r->data, n - first);
    return n;
}

static size_t ring_put(const MemPair *p, MemRing *r, const uint8_t *from, size_t len)
{
    const size_t at = (r->head + r->used) % p->capacity;
    const size_t n = MIN(len, p->capacity - r->used);
    const size_t first = MIN(n, p->capacity - at);

    memcpy(r->data + at, from, first);
    memcpy(r->data, from + first, n - first);
    r->used += n;
    return n;
}

static ssize_t mem_read(MemEnd *e, const struct iovec *iov, int n, bool peek)
{
    MemPair *p = e->pair;
    MemRing *r = rx_ring(e);
    size_t done = 0;

    pthread_mutex_lock(&p->lock);
    while (r->used == 0 && !r->closed) {
        pthread_cond_wait(&p->cond, &p->lock);
    }
    for (int i = 0; i < n && done < r->used; i++) {
        done += ring_copy(p, r, done, iov[i].iov_base, iov[i].iov_len);
    }
    if (!peek && done) {
        r->head = (r->head + done) % p->capacity;
        r->used -= done;
        pthread_cond_broadcast(&p->cond);
    }
    pthread_mutex_unlock(&p->lock);
    return (ssize_t)done;
}

static ssize_t mem_readv(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    return mem_read(opaque, iov, n, false);
}

static ssize_t mem_peek(void *opaque, void *buf, size_t len, GError **errp)
{
    const struct iovec iov = { buf, len };

    return mem_read(opaque, &iov, 1, true);
}

static ssize_t mem_writev(void *opaque, const struct iovec *iov, int n, GError **errp)
{
    MemEnd *e = opaque;
    MemPair *p = e->pair;
    MemRing *r = tx_ring(e);
    size_t done = 0;
    bool closed;

    pthread_mutex_lock(&p->lock);
    while (r->used == p->capacity && !r->closed) {
        pthread_cond_wait(&p->cond, &p->lock);
    }
    closed = r->closed;
    for (int i = 0; i < n && !closed && r->used < p->capacity; i++) {
        done += ring_put(p, r, iov[i].iov_base, iov[i].iov_len);
    }
    pthread_cond_broadcast(&p->cond);
    pthread_mutex_unlock(&p->lock);
    if (closed) {
        gw_fail(errp, GW_ERROR_IO, "Unable to write to memory channel: it was shut down");
        return -1;
    }
    return (ssize_t)done;
}

static void close_rings(MemPair *p, MemRing *first, MemRing *second)
{
    pthread_mutex_lock(&p->lock);
    first->closed = true;
    second->closed = true;
    pthread_cond_broadcast(&p->cond);
    pthread_mutex_unlock(&p->lock);
}

static void mem_shutdown(void *opaque)
{
    MemEnd *e = opaque;

    close_rings(e->pair, rx_ring(e), tx_ring(e));
}

static bool mem_finish(void *opaque, GError **errp)
{
    MemEnd *e = opaque;

    close_rings(e->pair, tx_ring(e), tx_ring(e));
    return true;
}

static int mem_wait_readable(void *opaque, int timeout_ms, GError **errp)
{
    MemEnd *e = opaque;
    MemPair *p = e->pair;
    const MemRing *r = rx_ring(e);
    struct timespec until;
    bool ready;
    int err = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&p->lock);
    while (r->used == 0 && !r->closed && !err) {
        if (timeout_ms < 0) {
            pthread_cond_wait(&p->cond, &p->lock);
        } else {
            err = pthread_cond_timedwait(&p->cond, &p->lock, &until);
        }
    }
    ready = r->used > 0 || r->closed;
    pthread_mutex_unlock(&p->lock);
    return ready;
}

static void mem_destroy(void *opaque)
{
    MemEnd *e = opaque;
    MemPair *p = e->pair;
    bool last;

    mem_shutdown(e);
    pthread_mutex_lock(&p->lock);
    last = --p->ends == 0;
    pthread_mutex_unlock(&p->lock);
    if (last) {
        pthread_cond_destroy(&p->cond);
        pthread_mutex_destroy(&p->lock);
        g_free(p->ring[0].data);
        g_free(p->ring[1].data);
        g_free(p);
    }
    g_free(e);
}

static const GwChannelOps mem_ops = {
    .size = sizeof(GwChannelOps),
    .readv = mem_readv,
    .writev = mem_writev,
    .peek = mem_peek,
    .shutdown = mem_shutdown,
    .wait_readable = mem_wait_readable,
    .finish = mem_finish,
    .destroy = mem_destroy,
};

static GwChannel *end_new(MemPair *p, unsigned index)
{
    MemEnd *e = g_new0(MemEnd, 1);

    e->pair = p;
    e->index = index;
    return gw_channel_new(&mem_ops, e, GW_CHANNEL_DUPLEX | GW_CHANNEL_PEEK, "main");
}

bool gw_channel_mem_pair(size_t capacity, GwChannel **a, GwChannel **b)
{
    MemPair *p = g_new0(MemPair, 1);
    pthread_condattr_t attr;

    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->cond, &attr);
    pthread_condattr_destroy(&attr);
    p->capacity = MAX(capacity, 1);
    p->ring[0].data = g_malloc(p->capacity);
    p->ring[1].data = g_malloc(p->capacity);
    p->ends = 2;
    *a = end_new(p, 0);
    *b = end_new(p, 1);
    return true;
}
