/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ports of virtio-console and their chardevs.
 *
 * The chardev's callbacks come on the main loop, which must not wait for the I/O thread: input goes
 * through a small buffer with a lock of its own, and the eventfd wakes the I/O thread, which puts
 * it into the guest's buffers. Input is accepted only while the guest runs, connected and with
 * buffers given, so that a byte in the buffer is on its way already.
 */
#include "virtio-console-internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "chardev.h"
#include "lock.h"

unsigned virtio_port_queue(uint32_t id)
{
    return id ? 2 * (id + 1) : 0; /* 2 and 3 are for control */
}

/* ---- main loop ---- */

static void wake(VirtIOPort *p)
{
    uint64_t one = 1;

    if (write(p->s->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
        g_warning("virtio-console: eventfd: %s", g_strerror(errno));
    }
}

static size_t chr_can_read(void *opaque)
{
    VirtIOPort *p = opaque;

    if (!__atomic_load_n(&p->has_room, __ATOMIC_RELAXED) ||
        !runstate_is_running(p->s->vdev.machine->run_state)) {
        return 0;
    }
    LOCK_GUARD(&p->input_lock);
    return SERIAL_INPUT_MAX - p->input_len;
}

static void chr_read(void *opaque, const uint8_t *buf, size_t len)
{
    VirtIOPort *p = opaque;

    pthread_mutex_lock(&p->input_lock);
    len = MIN(len, SERIAL_INPUT_MAX - p->input_len);
    memcpy(p->input + p->input_len, buf, len);
    p->input_len += len;
    pthread_mutex_unlock(&p->input_lock);
    wake(p);
}

static void chr_event(void *opaque, ChardevEvent ev)
{
    VirtIOPort *p = opaque;

    pthread_mutex_lock(&p->input_lock);
    p->host_open = ev == CHARDEV_OPENED;
    pthread_mutex_unlock(&p->input_lock);
    wake(p);
}

static const ChardevHandlers handlers = {
    .can_read = chr_can_read,
    .read = chr_read,
    .event = chr_event,
};

void virtio_port_attach(VirtIOPort *p, struct Chardev *chr)
{
    p->chr = chr;
    p->host_open = chardev_is_open(chr);
    chardev_set_handlers(chr, &handlers, p);
}

void virtio_port_accept(VirtIOPort *p)
{
    if (p->chr) {
        chardev_accept_input(p->chr);
    }
}

void virtio_port_free(VirtIOPort *p)
{
    if (p->chr) {
        chardev_set_handlers(p->chr, NULL, NULL);
    }
    pthread_mutex_destroy(&p->input_lock);
    g_free(p->name);
    g_free(p);
}

/* ---- I/O thread, device's lock held ---- */

void virtio_port_output(VirtIOPort *p, VirtQueue *vq)
{
    VirtIODevice *vdev = &p->s->vdev;
    VirtQueueElement *e;

    while (virtio_is_live(vdev) && (e = virtqueue_pop(vq, sizeof(*e)))) {
        for (unsigned i = 0; i < e->out_num; i++) {
            size_t len = e->out_sg[i].iov_len;

            /* What does not fit into the chardev's queue is lost, as on a serial line. */
            p->dropped += p->chr ? len - chardev_write(p->chr, e->out_sg[i].iov_base, len) : len;
        }
        virtqueue_push(vq, e, 0);
        virtio_notify(vdev, vq);
        g_free(e);
    }
}

void virtio_port_input(VirtIOPort *p)
{
    VirtIODevice *vdev = &p->s->vdev;
    VirtQueue *vq = virtio_queue(vdev, virtio_port_queue(p->id));
    bool took = false;
    VirtQueueElement *e;

    pthread_mutex_lock(&p->input_lock);
    while (p->input_len && virtio_is_live(vdev)) {
        /* The pop may wait for a page; whoever brings input must not. */
        pthread_mutex_unlock(&p->input_lock);
        e = virtqueue_pop(vq, sizeof(*e));
        pthread_mutex_lock(&p->input_lock);
        if (!e) {
            break;
        }
        uint8_t copy[SERIAL_INPUT_MAX];
        size_t n = MIN(p->input_len, e->in_len);

        memcpy(copy, p->input, n);
        memmove(p->input, p->input + n, p->input_len - n);
        p->input_len -= n;
        pthread_mutex_unlock(&p->input_lock);
        virtio_iov_write(e->in_sg, e->in_num, 0, copy, n);
        virtqueue_push(vq, e, (uint32_t)n);
        virtio_notify(vdev, vq);
        g_free(e);
        took = true;
        pthread_mutex_lock(&p->input_lock);
    }
    pthread_mutex_unlock(&p->input_lock);

    bool room = virtio_is_live(vdev) && p->guest_connected && !virtio_queue_empty(vq);
    bool had = __atomic_exchange_n(&p->has_room, room, __ATOMIC_RELAXED);

    if (room && (took || !had)) {
        virtio_port_accept(p);
    }
}

void virtio_port_sync(VirtIOPort *p)
{
    pthread_mutex_lock(&p->input_lock);

    bool open = p->host_open || p->is_console; /* a console is always there */

    pthread_mutex_unlock(&p->input_lock);
    if (open != p->host_connected) {
        p->host_connected = open;
        virtio_serial_control(p->s, p->id, VIRTIO_CONSOLE_PORT_OPEN, open, NULL);
    }
}
