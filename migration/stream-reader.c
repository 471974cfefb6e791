/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reading end of a stream: a buffer of 64 KiB in front of a channel, or a piece of memory.
 * Belongs to one thread at a time (in most cases the incoming thread); no locks.
 *
 * [pos, end) is what is buffered. Typed gets take it from there and only otherwise see
 * reader_fill(). Long reads fill the caller's memory and the buffer with the same readv. A reader
 * on memory is one whose buffer is full from the start and that has no channel to refill it from.
 */
#include "stream.h"

#include <string.h>

#include "error.h"

#define BUFFER_SIZE ((size_t)64 * 1024)

struct StreamReader {
    const uint8_t *pos;
    const uint8_t *end;
    uint64_t fetched; /* bytes that came in, buffered or past the buffer */
    GwChannel *ch;    /* NULL: memory */
    uint8_t *buf;
    uint8_t *unread;  /* bytes given back; pos and end may lie in here instead of buf */
    char *name;
    GError *error;
    StreamWaitHook before_wait, after_wait;
    void *wait_opaque;
};

G_STATIC_ASSERT(STREAM_PEEK_MAX <= BUFFER_SIZE);

StreamReader *stream_reader_new(GwChannel *ch)
{
    StreamReader *r = g_new0(StreamReader, 1);

    r->ch = gw_channel_ref(ch);
    r->buf = g_malloc(BUFFER_SIZE);
    r->pos = r->end = r->buf;
    return r;
}

StreamReader *stream_reader_new_mem(const void *buf, size_t len, const char *name)
{
    StreamReader *r = g_new0(StreamReader, 1);

    r->pos = buf;
    r->end = r->pos + len;
    r->fetched = len;
    r->name = g_strdup(name);
    return r;
}

void stream_reader_free(StreamReader *r)
{
    if (!r) {
        return;
    }
    if (r->ch) {
        gw_channel_unref(r->ch);
    }
    g_free(r->buf);
    g_free(r->unread);
    g_free(r->name);
    g_clear_error(&r->error);
    g_free(r);
}

void stream_reader_set_wait_hooks(StreamReader *r, StreamWaitHook before, StreamWaitHook after,
                                  void *opaque)
{
    r->before_wait = before;
    r->after_wait = after;
    r->wait_opaque = opaque;
}

static const char *reader_name(StreamReader *r)
{
    return r->ch ? gw_channel_name(r->ch) : r->name;
}

static size_t left(const StreamReader *r)
{
    return r->end - r->pos;
}

static bool copy_error(StreamReader *r, GError **errp)
{
    g_propagate_error(errp, g_error_copy(r->error));
    return false;
}

/* An end of the stream within `n` bytes; not sticky by itself. */
static bool fail_eof(StreamReader *r, uint64_t n, GError **errp)
{
    return gw_fail(errp, GW_ERROR_EOF,
                   "%s: stream ended at byte %" G_GUINT64_FORMAT
                   " in the middle of a piece of %" G_GUINT64_FORMAT " bytes",
                   reader_name(r), r->fetched, n);
}

/* One readv. At least one byte, 0 at the end, -1 after making the error sticky. */
static ssize_t reader_readv(StreamReader *r, const struct iovec *iov, int n)
{
    ssize_t got;

    if (!r->ch) {
        return 0;
    }
    if (r->before_wait) {
        r->before_wait(r->wait_opaque);
    }
    got = gw_channel_readv(r->ch, iov, n, &r->error);
    if (r->after_wait) {
        r->after_wait(r->wait_opaque);
    }
    if (got > 0) {
        r->fetched += got;
    } else if (got < 0) {
        r->pos = r->end; /* no later get is served from what is left */
    }
    return got;
}

/* Gets at least n <= BUFFER_SIZE bytes into the buffer. At the end of the stream: false with
 * *errp, not sticky, and what was left stays. */
static bool reader_fill(StreamReader *r, size_t n, GError **errp)
{
    if (r->error) {
        return copy_error(r, errp);
    }
    if (r->ch && r->pos != r->buf) {
        size_t rest = left(r);

        memmove(r->buf, r->pos, rest);
        r->pos = r->buf;
        r->end = r->buf + rest;
    }
    while (left(r) < n) {
        struct iovec iov = {(void *)r->end, r->ch ? r->buf + BUFFER_SIZE - r->end : 0};
        ssize_t got = reader_readv(r, &iov, 1);

        if (got < 0) {
            return copy_error(r, errp);
        }
        if (got == 0) {
            return fail_eof(r, n, errp);
        }
        r->end += got;
    }
    return true;
}

/* The same for a get: the end of the stream is sticky as well. */
static bool reader_need(StreamReader *r, size_t n, GError **errp)
{
    GError *err = NULL;

    if (reader_fill(r, n, &err)) {
        return true;
    }
    if (!r->error) {
        r->error = g_error_copy(err);
    }
    r->pos = r->end;
    g_propagate_error(errp, err);
    return false;
}

static inline bool have(StreamReader *r, size_t n, GError **errp)
{
    return G_LIKELY(left(r) >= n) || reader_need(r, n, errp);
}

bool stream_get_u8(StreamReader *r, uint8_t *v, GError **errp)
{
    if (!have(r, 1, errp)) {
        return false;
    }
    *v = *r->pos++;
    return true;
}

bool stream_get_be16(StreamReader *r, uint16_t *v, GError **errp)
{
    if (!have(r, 2, errp)) {
        return false;
    }
    memcpy(v, r->pos, 2);
    *v = GUINT16_FROM_BE(*v);
    r->pos += 2;
    return true;
}

bool stream_get_be32(StreamReader *r, uint32_t *v, GError **errp)
{
    if (!have(r, 4, errp)) {
        return false;
    }
    memcpy(v, r->pos, 4);
    *v = GUINT32_FROM_BE(*v);
    r->pos += 4;
    return true;
}

bool stream_get_be64(StreamReader *r, uint64_t *v, GError **errp)
{
    if (!have(r, 8, errp)) {
        return false;
    }
    memcpy(v, r->pos, 8);
    *v = GUINT64_FROM_BE(*v);
    r->pos += 8;
    return true;
}

/* The part of a long read that is not buffered: into `p`, and what comes with it to the buffer. */
static bool read_through(StreamReader *r, uint8_t *p, size_t len, GError **errp)
{
    size_t want = len;

    r->pos = r->end = r->buf;
    while (len) {
        struct iovec iov[2] = {{p, len}, {r->buf, r->ch ? BUFFER_SIZE : 0}};
        ssize_t got = reader_readv(r, iov, 2);

        if (got < 0) {
            return copy_error(r, errp);
        }
        if (got == 0) {
            fail_eof(r, want, &r->error);
            return copy_error(r, errp);
        }
        if ((size_t)got > len) {
            r->end = r->buf + (got - len);
            got = len;
        }
        p += got;
        len -= got;
    }
    return true;
}

bool stream_get_bytes(StreamReader *r, void *buf, size_t len, GError **errp)
{
    size_t n = MIN(len, left(r));

    if (r->error) {
        return copy_error(r, errp);
    }
    if (n) {
        memcpy(buf, r->pos, n);
        r->pos += n;
    }
    return n == len || read_through(r, (uint8_t *)buf + n, len - n, errp);
}

bool stream_skip(StreamReader *r, uint64_t len, GError **errp)
{
    while (len) {
        size_t n;

        if (!have(r, 1, errp)) {
            return false;
        }
        n = MIN(len, left(r));
        r->pos += n;
        len -= n;
    }
    return true;
}

bool stream_get_str8(StreamReader *r, char buf[256], GError **errp)
{
    uint8_t len;

    buf[0] = '\0';
    if (!stream_get_u8(r, &len, errp) || !stream_get_bytes(r, buf, len, errp)) {
        buf[0] = '\0';
        return false;
    }
    buf[len] = '\0';
    if (memchr(buf, '\0', len)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "%s: a name holds a NUL byte ('%s' before it)",
                       reader_name(r), buf);
    }
    return true;
}

const uint8_t *stream_peek(StreamReader *r, size_t n, GError **errp)
{
    if (r->error) {
        copy_error(r, errp);
        return NULL;
    }
    if (n > STREAM_PEEK_MAX) {
        gw_fail(errp, GW_ERROR_GENERIC, "%s: a look-ahead of %zu bytes is not possible",
                reader_name(r), n);
        return NULL;
    }
    return left(r) >= n || reader_fill(r, n, errp) ? r->pos : NULL;
}

size_t stream_buffered(StreamReader *r, const uint8_t **bytes)
{
    *bytes = r->pos;
    return left(r);
}

void stream_consume(StreamReader *r, size_t n)
{
    r->pos += MIN(n, left(r));
}

ssize_t stream_readv_direct(StreamReader *r, const struct iovec *iov, int n, GError **errp)
{
    ssize_t got;

    if (r->error) {
        copy_error(r, errp);
        return -1;
    }
    if (left(r)) {
        gw_fail(errp, GW_ERROR_GENERIC, "%s: %zu buffered bytes must be read first",
                reader_name(r), left(r));
        return -1;
    }
    got = reader_readv(r, iov, n);
    if (got < 0) {
        copy_error(r, errp);
    }
    return got;
}

void stream_unread(StreamReader *r, uint8_t *bytes, size_t len)
{
    g_free(r->unread);
    r->unread = bytes;
    r->pos = bytes;
    r->end = bytes + len;
}

uint64_t stream_consumed(const StreamReader *r)
{
    return r->fetched - left(r);
}

GwChannel *stream_reader_channel(StreamReader *r)
{
    return r->ch;
}
