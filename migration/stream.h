/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buffered streams on a channel: the writer gathers small fields and references to guest pages into
 * one writev; the reader gives typed, bounded reads with look-ahead, and lets the RAM loader read
 * straight into guest memory.
 *
 * Each belongs to one thread at a time. Errors are sticky: after the first one every put is a
 * no-op and every get fails with a copy of it. Integers on the wire are big-endian.
 */
#ifndef MIGRATION_STREAM_H
#define MIGRATION_STREAM_H

#include "migration/channel.h"

/* ---- writer ---- */

typedef struct StreamWriter StreamWriter;

/* On a channel (takes a reference), or, with NULL, into memory (see stream_writer_steal). */
StreamWriter *stream_writer_new(GwChannel *ch);
void stream_writer_free(StreamWriter *w);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StreamWriter, stream_writer_free)

void stream_put_u8(StreamWriter *w, uint8_t v);
void stream_put_be16(StreamWriter *w, uint16_t v);
void stream_put_be32(StreamWriter *w, uint32_t v);
void stream_put_be64(StreamWriter *w, uint64_t v);
void stream_put_bytes(StreamWriter *w, const void *buf, size_t len);
/* One length byte and the string; at most 255 bytes (longer is a sticky error). */
void stream_put_str8(StreamWriter *w, const char *s);
/* Queues a reference: the bytes are read when the writer flushes, so that a guest page is never
 * copied here. The memory must stay mapped until then. */
void stream_put_ref(StreamWriter *w, const void *mem, size_t len);
void stream_put_zeros(StreamWriter *w, size_t len); /* by reference, too */
/* Sends what is queued. False with a copy of the sticky error. */
bool stream_flush(StreamWriter *w, GError **errp);
/*
 * Between hold and release nothing is sent: what is put piles up in memory. For whoever encodes
 * under the machine lock and must not wait for the peer there. Nests. Flush after the release,
 * without the lock.
 */
void stream_hold(StreamWriter *w);
void stream_release(StreamWriter *w);
/* The sticky error or NULL. */
const GError *stream_writer_error(const StreamWriter *w);
/* Makes an error sticky, from whoever notices it first; takes a copy. */
void stream_writer_set_error(StreamWriter *w, const GError *err);
/* Bytes put since the start, whether flushed or not. */
uint64_t stream_written(const StreamWriter *w);
GwChannel *stream_writer_channel(StreamWriter *w);
/* Memory writers: the bytes so far; ownership passes to the caller. */
GByteArray *stream_writer_steal(StreamWriter *w);

/* ---- reader ---- */

typedef struct StreamReader StreamReader;

/* A look-ahead of this many bytes is always possible. */
#define STREAM_PEEK_MAX 4096

StreamReader *stream_reader_new(GwChannel *ch);
/* Reads from memory that stays valid. `name` is used in errors ("package"). */
StreamReader *stream_reader_new_mem(const void *buf, size_t len, const char *name);
void stream_reader_free(StreamReader *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StreamReader, stream_reader_free)

typedef void (*StreamWaitHook)(void *opaque);
/* Called around every read of the channel, which may wait for the peer: the device load drops the
 * machine lock there. NULL takes them away. */
void stream_reader_set_wait_hooks(StreamReader *r, StreamWaitHook before, StreamWaitHook after,
                                  void *opaque);

bool stream_get_u8(StreamReader *r, uint8_t *v, GError **errp);
bool stream_get_be16(StreamReader *r, uint16_t *v, GError **errp);
bool stream_get_be32(StreamReader *r, uint32_t *v, GError **errp);
bool stream_get_be64(StreamReader *r, uint64_t *v, GError **errp);
bool stream_get_bytes(StreamReader *r, void *buf, size_t len, GError **errp);
bool stream_skip(StreamReader *r, uint64_t len, GError **errp);
/* A string of one length byte into buf, which gets a NUL; an embedded NUL is an error. */
bool stream_get_str8(StreamReader *r, char buf[256], GError **errp);
/* Looks at the next n (<= STREAM_PEEK_MAX) bytes without consuming them. NULL if the stream ends
 * before; then *errp is set and the reader is still usable for what is left. */
const uint8_t *stream_peek(StreamReader *r, size_t n, GError **errp);
/* How many bytes are buffered now, and where; valid until the next call on the reader. */
size_t stream_buffered(StreamReader *r, const uint8_t **bytes);
/* Consumes n <= stream_buffered() bytes. */
void stream_consume(StreamReader *r, size_t n);
/* Reads from the channel past the buffer, which must be empty: straight to the places in iov. At
 * least one byte, or 0 at the end, or -1 with *errp. */
ssize_t stream_readv_direct(StreamReader *r, const struct iovec *iov, int n, GError **errp);
/* Puts bytes that a direct read brought back in front of the reader, whose buffer must be empty.
 * Takes `bytes` (g_malloc) over. */
void stream_unread(StreamReader *r, uint8_t *bytes, size_t len);
/* Bytes consumed since the start. */
uint64_t stream_consumed(const StreamReader *r);
GwChannel *stream_reader_channel(StreamReader *r);

#endif
