/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the channel tests share: threads that block on a channel, and pattern bytes. */
#ifndef TESTS_IO_HELPERS_H
#define TESTS_IO_HELPERS_H

#include <pthread.h>

#include "migration/channel.h"
#include "migration/error.h"

/* A byte that tells its position apart from its neighbours 256 and 65536 further on. */
static inline uint8_t pattern_byte(size_t i)
{
    return (uint8_t)(i ^ (i >> 8) ^ (i >> 16));
}

static inline uint8_t *pattern_new(size_t len)
{
    uint8_t *buf = g_malloc(len);

    for (size_t i = 0; i < len; i++) {
        buf[i] = pattern_byte(i);
    }
    return buf;
}

static inline void pattern_check(const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        g_assert_cmpuint(buf[i], ==, pattern_byte(i));
    }
}

/* One transfer in a thread of its own. */
typedef struct IoThread {
    pthread_t thread;
    GwChannel *ch;
    size_t len;
    uint8_t *buf;
    bool started; /* atomic */
    bool ok;
    GError *err;
} IoThread;

static inline void *io_thread_write(void *opaque)
{
    IoThread *t = opaque;

    __atomic_store_n(&t->started, true, __ATOMIC_RELEASE);
    t->ok = gw_channel_write_all(t->ch, t->buf, t->len, &t->err);
    return NULL;
}

static inline void *io_thread_read(void *opaque)
{
    IoThread *t = opaque;

    __atomic_store_n(&t->started, true, __ATOMIC_RELEASE);
    t->ok = gw_channel_read_all(t->ch, t->buf, t->len, &t->err);
    return NULL;
}

static inline void io_thread_start(IoThread *t, GwChannel *ch, size_t len, bool writing)
{
    *t = (IoThread){ .ch = ch, .len = len };
    t->buf = writing ? pattern_new(len) : g_malloc0(len);
    g_assert_cmpint(
        pthread_create(&t->thread, NULL, writing ? io_thread_write : io_thread_read, t), ==, 0);
    while (!__atomic_load_n(&t->started, __ATOMIC_ACQUIRE)) {
        g_usleep(100);
    }
}

static inline void io_thread_join(IoThread *t)
{
    g_assert_cmpint(pthread_join(t->thread, NULL), ==, 0);
}

static inline void io_thread_clear(IoThread *t)
{
    g_clear_error(&t->err);
    g_clear_pointer(&t->buf, g_free);
}

/* `to` gets exactly what `from` sends, whatever the chunks. */
static inline void check_transfer(GwChannel *from, GwChannel *to, size_t len)
{
    IoThread w;
    g_autofree uint8_t *got = g_malloc(len);
    g_autoptr(GError) err = NULL;

    io_thread_start(&w, from, len, true);
    gw_channel_read_all(to, got, len, &err);
    g_assert_no_error(err);
    io_thread_join(&w);
    g_assert_no_error(w.err);
    g_assert_true(w.ok);
    pattern_check(got, len);
    io_thread_clear(&w);
}

/* A reader of `quiet` and a writer into `full` (whose peer does not read) both come back from
 * gw_channel_shutdown(), and so do later calls. Either may be NULL. */
static inline void check_shutdown_wakes(GwChannel *quiet, GwChannel *full)
{
    IoThread r, w;
    uint8_t byte = 0;

    if (quiet) {
        io_thread_start(&r, quiet, 1, false);
    }
    if (full) {
        io_thread_start(&w, full, 64 << 20, true);
    }
    g_usleep(5000); /* let them block; not needed for the result */
    if (quiet) {
        gw_channel_shutdown(quiet);
        io_thread_join(&r);
        g_assert_false(r.ok);
        g_assert_false(gw_channel_read_all(quiet, &byte, 1, NULL));
        io_thread_clear(&r);
    }
    if (full) {
        gw_channel_shutdown(full);
        io_thread_join(&w);
        g_assert_false(w.ok);
        g_assert_error(w.err, GW_ERROR, GW_ERROR_IO);
        g_assert_false(gw_channel_write_all(full, &byte, 1, NULL));
        io_thread_clear(&w);
    }
}

#endif
