/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-console (-device virtio-serial-device): consoles and named ports over one device. Queues 0
 * and 1 are port 0's, 2 and 3 carry control messages, each further port has a pair.
 * Device's lock; chardev callbacks on the main loop stay outside of it (virtio-console-port.c).
 */
#include "virtio-console.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "chardev.h"
#include "error.h"
#include "virtio-console-internal.h"
#include "virtio-props.h"

#define PORT_QUEUE_SIZE 128
#define CONTROL_QUEUE_SIZE 32
#define SERIAL_CONFIG_BYTES 12 /* cols, rows, max_nr_ports, emerg_wr */

const char *const virtio_serial_props[] = { "max_ports", "emergency-write", "iothread", NULL };
const char *const virtio_port_props[] = { "chardev", "name", "nr", "bus", NULL };

static void serial_get_config(VirtIODevice *vdev, uint8_t *config)
{
    VirtIOSerial *s = (VirtIOSerial *)vdev;
    struct virtio_console_config c = { .max_nr_ports = GUINT32_TO_LE(s->max_ports) };

    memcpy(config, &c, SERIAL_CONFIG_BYTES);
}

/* emerg_wr: a character from a guest that has no queues yet. */
static void serial_set_config(VirtIODevice *vdev, const uint8_t *config)
{
    VirtIOSerial *s = (VirtIOSerial *)vdev;
    uint8_t byte = config[offsetof(struct virtio_console_config, emerg_wr)];

    for (uint32_t i = 0; i < s->max_ports; i++) {
        if (s->ports[i] && s->ports[i]->is_console && s->ports[i]->chr && byte) {
            chardev_write(s->ports[i]->chr, &byte, 1);
            return;
        }
    }
}

static void serial_handle_output(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtIOSerial *s = (VirtIOSerial *)vdev;
    unsigned i = virtio_queue_index(vq);
    uint32_t id = i < 2 ? 0 : i / 2 - 1;

    if (i == 2) {
        virtio_serial_control_flush(s);
    } else if (i == 3) {
        virtio_serial_control_out(s, vq);
    } else if (!s->ports[id]) {
        return;
    } else if (i % 2) {
        virtio_port_output(s->ports[id], vq);
    } else {
        virtio_port_input(s->ports[id]);
    }
}

/* The main loop has input, or a chardev opened or closed. */
static void on_wake(VirtIODevice *vdev, void *opaque)
{
    VirtIOSerial *s = opaque;
    uint64_t n;

    if (read(s->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN) {
        g_warning("virtio-console: eventfd: %s", g_strerror(errno));
    }
    for (uint32_t i = 0; virtio_is_live(vdev) && i < s->max_ports; i++) {
        if (s->ports[i]) {
            virtio_port_sync(s->ports[i]);
            virtio_port_input(s->ports[i]);
        }
    }
}

static void serial_resumed(VirtIODevice *vdev)
{
    VirtIOSerial *s = (VirtIOSerial *)vdev;
    uint64_t one = 1;

    if (write(s->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
        g_warning("virtio-console: eventfd: %s", g_strerror(errno));
    }
}

static void serial_reset(VirtIODevice *vdev)
{
    VirtIOSerial *s = (VirtIOSerial *)vdev;

    g_queue_clear_full(&s->control, (GDestroyNotify)g_bytes_unref);
    for (uint32_t i = 0; i < s->max_ports; i++) {
        if (s->ports[i]) {
            s->ports[i]->guest_connected = false;
            __atomic_store_n(&s->ports[i]->has_room, false, __ATOMIC_RELAXED);
        }
    }
}

/* A guest without ports has its one console open from the start. */
static void serial_set_status(VirtIODevice *vdev)
{
    VirtIOSerial *s = (VirtIOSerial *)vdev;

    if ((vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) && s->ports[0] &&
        !virtio_has_feature(vdev, VIRTIO_CONSOLE_F_MULTIPORT)) {
        s->ports[0]->guest_connected = true;
    }
}

static const VirtIODeviceClass serial_class = {
    .name = "virtio-console",
    .device_id = VIRTIO_ID_CONSOLE,
    .vmsd = &vmstate_virtio_serial,
    .get_config = serial_get_config,
    .set_config = serial_set_config,
    .set_status = serial_set_status,
    .reset = serial_reset,
    .handle_output = serial_handle_output,
    .resumed = serial_resumed,
};

bool virtio_is_serial(const VirtIODevice *vdev)
{
    return vdev->class == &serial_class;
}

static void serial_free(gpointer p)
{
    VirtIOSerial *s = p;

    for (uint32_t i = 0; i < SERIAL_MAX_PORTS; i++) {
        g_clear_pointer(&s->ports[i], virtio_port_free);
    }
    g_queue_clear_full(&s->control, (GDestroyNotify)g_bytes_unref);
    if (s->wake_fd >= 0) {
        close(s->wake_fd);
    }
    g_free(s);
}

bool virtio_serial_new(VirtIOMMIO *t, Machine *m, const DeviceConfig *conf, GError **errp)
{
    VirtIOSerial *s = g_new0(VirtIOSerial, 1);
    bool emergency = true, ok;

    s->max_ports = SERIAL_MAX_PORTS;
    g_queue_init(&s->control);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    virtio_init(&s->vdev, m, &serial_class, SERIAL_CONFIG_BYTES);
    s->vdev.id = g_strdup(conf->id);
    ok = virtio_prop_u32(conf, "max_ports", 1, SERIAL_MAX_PORTS, &s->max_ports, errp) &&
         virtio_prop_bool(conf, "emergency-write", &emergency, errp);
    for (uint32_t i = 0; ok && i < 2 * (s->max_ports + 1); i++) {
        ok = virtio_add_queue(&s->vdev, i / 2 == 1 ? CONTROL_QUEUE_SIZE : PORT_QUEUE_SIZE, errp);
    }
    s->vdev.host_features = 1ull << VIRTIO_F_ANY_LAYOUT |
                            (uint64_t)(s->max_ports > 1) << VIRTIO_CONSOLE_F_MULTIPORT |
                            (uint64_t)emergency << VIRTIO_CONSOLE_F_EMERG_WRITE;
    ok = ok && virtio_add_fd(&s->vdev, s->wake_fd, false, on_wake, s, errp) &&
         virtio_mmio_plug(t, &s->vdev, serial_free, errp);
    if (!ok) {
        virtio_cleanup(&s->vdev);
        serial_free(s);
    }
    return ok;
}

/* Consoles take 0 first, other ports never do: guests expect a console there. */
static bool pick_id(const VirtIOSerial *s, const DeviceConfig *conf, bool console, uint32_t *id,
                    GError **errp)
{
    uint32_t nr = UINT32_MAX;

    if (!virtio_prop_u32(conf, "nr", 0, s->max_ports - 1, &nr, errp)) {
        return false;
    }
    if (nr == 0 && !console) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Port number 0 on virtio-serial devices reserved "
                       "for virtconsole devices for backward compatibility.");
    }
    if (nr == UINT32_MAX) {
        for (nr = console ? 0 : 1; nr < s->max_ports && s->ports[nr]; nr++) {
        }
    }
    if (nr >= s->max_ports || s->ports[nr]) {
        return gw_fail(errp, GW_ERROR_GENERIC, "virtio-serial-bus: A port already exists at id %u, "
                       "or there is room for %u only (max_ports=)", nr, s->max_ports);
    }
    *id = nr;
    return true;
}

bool virtio_port_new(VirtIODevice *serial, const DeviceConfig *conf, GError **errp)
{
    VirtIOSerial *s = (VirtIOSerial *)serial;
    const char *chardev = g_hash_table_lookup(conf->props, "chardev");
    struct Chardev *chr = chardev ? machine_find_chardev(serial->machine, chardev) : NULL;
    bool console = strcmp(conf->driver, "virtconsole") == 0;
    uint32_t id = 0;

    if (!pick_id(s, conf, console, &id, errp)) {
        return false;
    }
    if (chardev && !chr) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Property '%s.chardev' can't find value '%s'",
                       conf->driver, chardev);
    }

    VirtIOPort *p = g_new0(VirtIOPort, 1);

    p->s = s;
    p->id = id;
    p->is_console = p->host_connected = console;
    p->name = g_strdup(g_hash_table_lookup(conf->props, "name"));
    pthread_mutex_init(&p->input_lock, NULL);
    s->ports[id] = p;
    if (chr) {
        virtio_port_attach(p, chr);
    }
    return true;
}
