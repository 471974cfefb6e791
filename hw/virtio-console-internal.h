/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of virtio-console share. The device's lock guards it, but where it says more. */
#ifndef HW_VIRTIO_CONSOLE_INTERNAL_H
#define HW_VIRTIO_CONSOLE_INTERNAL_H

#include <linux/virtio_console.h>

#include "virtio.h"

struct Chardev;

#define SERIAL_MAX_PORTS 31
#define SERIAL_INPUT_MAX 4096 /* bytes that wait for the guest's buffers, per port */
#define SERIAL_CONTROL_MAX 256 /* control messages that wait for buffers */

typedef struct VirtIOPort {
    struct VirtIOSerial *s;
    uint32_t id;
    bool is_console;
    char *name;
    struct Chardev *chr;      /* NULL: none */
    bool guest_connected;
    bool host_connected;
    /* From the main loop to the I/O thread; `input_lock` is a leaf. */
    pthread_mutex_t input_lock;
    uint8_t input[SERIAL_INPUT_MAX];
    size_t input_len;
    bool host_open;           /* what the chardev last said; input_lock */
    bool has_room;            /* atomic: the guest has given buffers */
    uint64_t dropped;         /* bytes of the guest's that nobody took */
} VirtIOPort;

typedef struct VirtIOSerial {
    VirtIODevice vdev;
    uint32_t max_ports;
    VirtIOPort *ports[SERIAL_MAX_PORTS]; /* by id */
    GQueue control;           /* of struct virtio_console_control *, with a name behind it */
    int wake_fd;              /* eventfd: the main loop has news for the I/O thread */
    /* Wire form, while saving and loading. */
    uint16_t cols, rows;
    uint32_t wire_max_ports;
    uint32_t ports_map;
} VirtIOSerial;

/* Queues of port `id`: into the guest; the next one is out of it. */
unsigned virtio_port_queue(uint32_t id);
/* virtio-console-port.c */
/* Guest's output to the chardev. */
void virtio_port_output(VirtIOPort *p, VirtQueue *vq);
/* Waiting input to the guest's buffers. */
void virtio_port_input(VirtIOPort *p);
/* The chardev opened or closed since the last look. */
void virtio_port_sync(VirtIOPort *p);
void virtio_port_attach(VirtIOPort *p, struct Chardev *chr);
/* The guest runs again: the chardev may bring input. */
void virtio_port_accept(VirtIOPort *p);
void virtio_port_free(VirtIOPort *p);

/* virtio-console-control.c */
void virtio_serial_control(VirtIOSerial *s, uint32_t id, uint16_t event, uint16_t value,
                           const char *name);
void virtio_serial_control_out(VirtIOSerial *s, VirtQueue *vq);
void virtio_serial_control_flush(VirtIOSerial *s);

extern const VMStateDescription vmstate_virtio_serial;

#endif
