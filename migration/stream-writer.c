/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The writing end of a stream: small fields are staged, guest memory is referenced, both leave in
 * one writev. Belongs to one thread at a time (in most cases the migration thread); no locks.
 *
 * Small fields go to the current chunk. The bytes since the last reference form the open segment,
 * [seg, pos): neighbouring fields are one iovec, made when a reference or the flush closes it. A
 * chunk is never moved while an iovec points to it; a full one is flushed, or, on hold, joined by
 * another. So the page stream (an 8-byte header, a reference) costs two stores and two iovecs.
 * After an error, and only then, `end` and `iov_limit` are at zero, which sends every put to its
 * slow path: the fast paths need no look at the error.
 */
#include "stream.h"

#include <limits.h>
#include <string.h>

#include "error.h"

#define CHUNK_SIZE ((size_t)64 * 1024)

#ifndef IOV_MAX
#define IOV_MAX 1024
#endif

/* 64 pages with their headers, 256 KiB: still in the second-level cache from the scan for zeros
 * when the kernel copies them. Lists of IOV_MAX were a quarter slower over loopback. The flush may
 * add one iovec more for the open segment. */
#define IOV_LIMIT 129

struct StreamWriter {
    uint8_t *pos;         /* next free byte of the current chunk */
    uint8_t *end;         /* end of the current chunk */
    uint8_t *seg;         /* start of the open segment */
    struct iovec *iov;
    unsigned n_iov;
    unsigned iov_limit;   /* flush (or, on hold, grow) rather than pass it; below iov_cap */
    unsigned iov_cap;
    uint64_t refs;        /* bytes put by reference */
    uint64_t staged;      /* bytes put into chunks before `counted` */
    uint8_t *counted;
    GwChannel *ch;        /* NULL: memory */
    GByteArray *mem;
    uint8_t *chunk;       /* the first chunk: kept */
    GPtrArray *more;      /* further chunks of a hold: freed by the flush */
    unsigned hold;
    GError *error;
};

StreamWriter *stream_writer_new(GwChannel *ch)
{
    StreamWriter *w = g_new0(StreamWriter, 1);

    w->ch = ch ? gw_channel_ref(ch) : NULL;
    w->mem = ch ? NULL : g_byte_array_new();
    w->chunk = g_malloc(CHUNK_SIZE);
    w->pos = w->seg = w->counted = w->chunk;
    w->end = w->chunk + CHUNK_SIZE;
    w->iov_cap = IOV_LIMIT + 1;
    w->iov_limit = IOV_LIMIT;
    w->iov = g_new(struct iovec, w->iov_cap);
    w->more = g_ptr_array_new_with_free_func(g_free);
    return w;
}

void stream_writer_free(StreamWriter *w)
{
    if (!w) {
        return;
    }
    if (w->ch) {
        gw_channel_unref(w->ch);
    }
    if (w->mem) {
        g_byte_array_unref(w->mem);
    }
    g_ptr_array_unref(w->more);
    g_free(w->chunk);
    g_free(w->iov);
    g_clear_error(&w->error);
    g_free(w);
}

/* Starts over in the first chunk; what was queued is gone. */
static void writer_rewind(StreamWriter *w)
{
    w->staged += w->pos - w->counted;
    g_ptr_array_set_size(w->more, 0);
    w->pos = w->seg = w->counted = w->chunk;
    w->end = w->chunk + CHUNK_SIZE;
    w->n_iov = 0;
    w->iov_limit = IOV_LIMIT;
}

/* Takes `err` over. */
static void writer_fail(StreamWriter *w, GError *err)
{
    if (w->error) {
        g_error_free(err);
        return;
    }
    w->error = err;
    writer_rewind(w);
    w->end = w->pos;
    w->iov_limit = 0;
}

static void close_segment(StreamWriter *w)
{
    if (w->pos != w->seg) {
        w->iov[w->n_iov++] = (struct iovec){w->seg, w->pos - w->seg};
        w->seg = w->pos;
    }
}

static void writer_flush(StreamWriter *w)
{
    if (w->error) {
        return;
    }
    close_segment(w);
    for (unsigned i = 0; i < w->n_iov; i += IOV_MAX) {
        unsigned n = MIN(w->n_iov - i, IOV_MAX);
        GError *err = NULL;

        if (!w->ch) {
            for (unsigned k = i; k < i + n; k++) {
                g_byte_array_append(w->mem, w->iov[k].iov_base, w->iov[k].iov_len);
            }
        } else if (!gw_channel_writev_all(w->ch, w->iov + i, n, &err)) {
            writer_fail(w, err);
            return;
        }
    }
    writer_rewind(w);
}

/* Makes room for at least two iovecs. False after an error. */
static bool more_iov(StreamWriter *w)
{
    if (w->error) {
        return false;
    }
    if (w->hold) {
        w->iov_cap *= 2;
        w->iov = g_renew(struct iovec, w->iov, w->iov_cap);
        w->iov_limit = w->iov_cap - 1;
        return true;
    }
    writer_flush(w);
    return !w->error;
}

/* Makes room in the current chunk. False after an error. */
static bool more_room(StreamWriter *w)
{
    uint8_t *chunk;

    if (w->error) {
        return false;
    }
    if (!w->hold) {
        writer_flush(w);
        return !w->error;
    }
    if (w->n_iov + 2 > w->iov_limit && !more_iov(w)) {
        return false;
    }
    close_segment(w);
    w->staged += w->pos - w->counted;
    chunk = g_malloc(CHUNK_SIZE);
    g_ptr_array_add(w->more, chunk);
    w->pos = w->seg = w->counted = chunk;
    w->end = chunk + CHUNK_SIZE;
    return true;
}

static inline bool have_room(StreamWriter *w, size_t n)
{
    return G_LIKELY((size_t)(w->end - w->pos) >= n) || more_room(w);
}

void stream_put_u8(StreamWriter *w, uint8_t v)
{
    if (have_room(w, 1)) {
        *w->pos++ = v;
    }
}

void stream_put_be16(StreamWriter *w, uint16_t v)
{
    if (have_room(w, 2)) {
        v = GUINT16_TO_BE(v);
        memcpy(w->pos, &v, 2);
        w->pos += 2;
    }
}

void stream_put_be32(StreamWriter *w, uint32_t v)
{
    if (have_room(w, 4)) {
        v = GUINT32_TO_BE(v);
        memcpy(w->pos, &v, 4);
        w->pos += 4;
    }
}

void stream_put_be64(StreamWriter *w, uint64_t v)
{
    if (have_room(w, 8)) {
        v = GUINT64_TO_BE(v);
        memcpy(w->pos, &v, 8);
        w->pos += 8;
    }
}

void stream_put_bytes(StreamWriter *w, const void *buf, size_t len)
{
    const uint8_t *p = buf;

    while (len) {
        size_t n;

        if (!have_room(w, 1)) {
            return;
        }
        n = MIN(len, (size_t)(w->end - w->pos));
        memcpy(w->pos, p, n);
        w->pos += n;
        p += n;
        len -= n;
    }
}

void stream_put_str8(StreamWriter *w, const char *s)
{
    size_t len = strlen(s);

    if (len > UINT8_MAX) {
        g_autoptr(GError) err = NULL;

        gw_fail(&err, GW_ERROR_GENERIC, "the name '%.32s...' has %zu bytes; 255 fit on the wire", s,
                len);
        stream_writer_set_error(w, err);
        return;
    }
    stream_put_u8(w, len);
    stream_put_bytes(w, s, len);
}

void stream_put_ref(StreamWriter *w, const void *mem, size_t len)
{
    if (G_UNLIKELY(!w->ch)) {
        /* A memory stream may outlive what is referenced, so it copies now. */
        stream_put_bytes(w, mem, len);
        return;
    }
    if (G_UNLIKELY(w->n_iov + 2 > w->iov_limit) && !more_iov(w)) {
        return;
    }
    w->refs += len;
    if (w->pos == w->seg && w->n_iov) {
        struct iovec *last = &w->iov[w->n_iov - 1];

        if ((uint8_t *)last->iov_base + last->iov_len == mem) {
            last->iov_len += len;
            return;
        }
    }
    close_segment(w);
    w->iov[w->n_iov++] = (struct iovec){(void *)mem, len};
}

void stream_put_zeros(StreamWriter *w, size_t len)
{
    static const uint8_t zeros[16 * 1024];

    while (len) {
        const size_t n = MIN(len, sizeof(zeros));

        stream_put_ref(w, zeros, n);
        len -= n;
    }
}

bool stream_flush(StreamWriter *w, GError **errp)
{
    writer_flush(w);
    if (w->error) {
        g_propagate_error(errp, g_error_copy(w->error));
        return false;
    }
    return true;
}

void stream_hold(StreamWriter *w)
{
    w->hold++;
}

void stream_release(StreamWriter *w)
{
    w->hold--;
}

const GError *stream_writer_error(const StreamWriter *w)
{
    return w->error;
}

void stream_writer_set_error(StreamWriter *w, const GError *err)
{
    writer_fail(w, g_error_copy(err));
}

uint64_t stream_written(const StreamWriter *w)
{
    return w->refs + w->staged + (w->pos - w->counted);
}

GwChannel *stream_writer_channel(StreamWriter *w)
{
    return w->ch;
}

GByteArray *stream_writer_steal(StreamWriter *w)
{
    GByteArray *mem;

    writer_flush(w);
    mem = w->mem;
    w->mem = w->ch ? NULL : g_byte_array_new();
    return mem;
}
