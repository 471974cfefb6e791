/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control messages of virtio-console (virtio 1.2, 5.3.6.2): which ports there are, what they are
 * called, who has opened them. I/O thread, device's lock held. Messages to the guest wait in a
 * bounded queue until it gives buffers.
 */
#include "virtio-console-internal.h"

#include <string.h>

static bool is_multiport(const VirtIOSerial *s)
{
    return virtio_has_feature(&s->vdev, VIRTIO_CONSOLE_F_MULTIPORT);
}

void virtio_serial_control_flush(VirtIOSerial *s)
{
    VirtQueue *vq = virtio_queue(&s->vdev, 2);
    GBytes *b;
    VirtQueueElement *e;

    while ((b = g_queue_peek_head(&s->control)) && virtio_is_live(&s->vdev) &&
           (e = virtqueue_pop(vq, sizeof(*e)))) {
        gsize len;
        const void *data = g_bytes_get_data(b, &len);

        virtqueue_push(vq, e, (uint32_t)virtio_iov_write(e->in_sg, e->in_num, 0, data, len));
        virtio_notify(&s->vdev, vq);
        g_bytes_unref(g_queue_pop_head(&s->control));
        g_free(e);
    }
}

void virtio_serial_control(VirtIOSerial *s, uint32_t id, uint16_t event, uint16_t value,
                           const char *name)
{
    struct virtio_console_control c = {
        .id = GUINT32_TO_LE(id), .event = GUINT16_TO_LE(event), .value = GUINT16_TO_LE(value),
    };
    g_autoptr(GByteArray) msg = g_byte_array_new();

    if (!is_multiport(s) || s->control.length >= SERIAL_CONTROL_MAX) {
        return;
    }
    g_byte_array_append(msg, (const uint8_t *)&c, sizeof(c));
    if (name) {
        g_byte_array_append(msg, (const uint8_t *)name, (guint)strlen(name) + 1);
    }
    g_queue_push_tail(&s->control, g_byte_array_free_to_bytes(g_steal_pointer(&msg)));
    virtio_serial_control_flush(s);
}

static void announce_ports(VirtIOSerial *s)
{
    for (uint32_t i = 0; i < s->max_ports; i++) {
        if (s->ports[i]) {
            virtio_serial_control(s, i, VIRTIO_CONSOLE_PORT_ADD, 1, NULL);
        }
    }
}

static void port_ready(VirtIOPort *p)
{
    if (p->is_console) {
        virtio_serial_control(p->s, p->id, VIRTIO_CONSOLE_CONSOLE_PORT, 1, NULL);
    }
    if (p->name) {
        virtio_serial_control(p->s, p->id, VIRTIO_CONSOLE_PORT_NAME, 1, p->name);
    }
    if (p->host_connected) {
        virtio_serial_control(p->s, p->id, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
    }
}

static void handle(VirtIOSerial *s, const struct virtio_console_control *c)
{
    uint32_t id = GUINT32_FROM_LE(c->id);
    uint16_t event = GUINT16_FROM_LE(c->event), value = GUINT16_FROM_LE(c->value);
    VirtIOPort *p = id < s->max_ports ? s->ports[id] : NULL;

    if (event == VIRTIO_CONSOLE_DEVICE_READY) {
        if (value) {
            announce_ports(s);
        }
    } else if (p && event == VIRTIO_CONSOLE_PORT_READY) {
        if (value) {
            port_ready(p);
        }
    } else if (p && event == VIRTIO_CONSOLE_PORT_OPEN) {
        p->guest_connected = value != 0;
        virtio_port_input(p);
    }
}

void virtio_serial_control_out(VirtIOSerial *s, VirtQueue *vq)
{
    struct virtio_console_control c;
    VirtQueueElement *e;

    while (virtio_is_live(&s->vdev) && (e = virtqueue_pop(vq, sizeof(*e)))) {
        if (virtio_iov_read(e->out_sg, e->out_num, 0, &c, sizeof(c)) == sizeof(c)) {
            handle(s, &c);
        }
        virtqueue_push(vq, e, 0);
        virtio_notify(&s->vdev, vq);
        g_free(e);
    }
}
