/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The output of a chardev: written at once if the descriptor takes it, else queued up to a bound
 * and written by the main loop; beyond the bound the rest is dropped and counted, so that a reader
 * who sleeps never holds up the guest.
 *
 * chardev_write() runs on any thread; `lock` guards the queue. Descriptors are non-blocking, or
 * the backend's write op makes sure that the call returns.
 */
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <glib-unix.h>

#include "chardev-priv.h"

/* How long leaving may be held up by a reader who does not read. */
#define FLUSH_MS 500

void chardev_queue_reset(Chardev *c)
{
    g_byte_array_set_size(c->queue, 0);
    c->queue_done = 0;
    if (c->out_source) {
        g_source_destroy(c->out_source);
        g_source_unref(c->out_source);
        c->out_source = NULL;
    }
}

/* Bytes that went out, 0 if none can now, -1 if the descriptor is broken. Lock held. */
static ssize_t write_some(Chardev *c, const uint8_t *buf, size_t len)
{
    ssize_t n;

    do {
        n = c->ops->write ? c->ops->write(c, c->out_fd, buf, len) : write(c->out_fd, buf, len);
    } while (n < 0 && errno == EINTR);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
}

/* Writes what is queued; true if something is left. Lock held. */
static bool drain(Chardev *c)
{
    while (c->queue_done < c->queue->len) {
        ssize_t n = write_some(c, c->queue->data + c->queue_done, c->queue->len - c->queue_done);

        if (n <= 0) {
            if (n < 0) {
                c->queue_done = c->queue->len; /* the input side notices that the peer is gone */
            }
            break;
        }
        c->queue_done += (size_t)n;
    }
    if (c->queue_done == c->queue->len) {
        g_byte_array_set_size(c->queue, 0);
        c->queue_done = 0;
    } else if (c->queue_done > 1024 * 1024) {
        g_byte_array_remove_range(c->queue, 0, (guint)c->queue_done);
        c->queue_done = 0;
    }
    return c->queue->len != 0;
}

static gboolean output_ready(gint fd, GIOCondition cond, gpointer opaque)
{
    Chardev *c = opaque;
    gboolean more;

    pthread_mutex_lock(&c->lock);
    more = c->out_fd >= 0 && drain(c);
    if (!more && c->out_source) {
        g_source_unref(c->out_source);
        c->out_source = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    return more;
}

/* Lock held. */
static void watch_output(Chardev *c)
{
    if (!c->out_source) {
        c->out_source = g_unix_fd_source_new(c->out_fd, G_IO_OUT | G_IO_ERR | G_IO_HUP);
        g_source_set_callback(c->out_source, G_SOURCE_FUNC(output_ready), c, NULL);
        g_source_attach(c->out_source, c->context);
    }
}

/* Lock held. Returns the bytes that are out or queued. */
static size_t write_or_queue(Chardev *c, const uint8_t *buf, size_t len)
{
    size_t max = c->ops->queue_max ? c->ops->queue_max : CHARDEV_QUEUE_MAX;
    size_t done = 0, room;

    while (!c->queue->len && done < len) {
        ssize_t n = write_some(c, buf + done, len - done);

        if (n < 0) {
            return len;
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    room = max - MIN(max, c->queue->len - c->queue_done);
    room = MIN(room, len - done);
    if (room) {
        g_byte_array_append(c->queue, buf + done, (guint)room);
        watch_output(c);
    }
    return done + room;
}

static void write_log(Chardev *c, const uint8_t *buf, size_t len)
{
    while (len) {
        ssize_t n = write(c->log_fd, buf, len);

        if (n <= 0) {
            return; /* a full disk must not stop the guest */
        }
        buf += n;
        len -= (size_t)n;
    }
}

size_t chardev_write(Chardev *c, const void *buf, size_t len)
{
    size_t done = len;

    pthread_mutex_lock(&c->lock);
    if (c->log_fd >= 0) {
        write_log(c, buf, len);
    }
    if (c->out_fd >= 0) {
        done = write_or_queue(c, buf, len);
        c->dropped += len - done;
    }
    pthread_mutex_unlock(&c->lock);
    return done;
}

void chardev_flush(Chardev *c)
{
    for (int waited = 0; waited < FLUSH_MS; waited += 10) {
        struct pollfd pfd = { .events = POLLOUT };
        bool more;

        pthread_mutex_lock(&c->lock);
        more = c->out_fd >= 0 && drain(c);
        pfd.fd = c->out_fd;
        pthread_mutex_unlock(&c->lock);
        if (!more) {
            return;
        }
        poll(&pfd, 1, 10);
    }
}
