/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Section virtio-console version 3, the device's own part: the size of the console, which ports
 * there are, and for each who has it open. A source may have taken a part of a buffer out of a
 * guest's queue (a chardev that did not take all of it); this machine never keeps one back, and
 * cannot take it over. Machine lock. Layout: docs/devel/migration/virtio.
 */
#include "virtio-console-internal.h"

#include "error.h"

#define PORT_FIELDS 2 /* flags */

static void put_ports(VMStateWriter *w, const void *member, const VMStateField *field)
{
    const VirtIOSerial *s = member;
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->max_ports; i++) {
        n += s->ports[i] != NULL;
    }
    vmstate_put_be32(w, n);
    for (uint32_t i = 0; i < s->max_ports; i++) {
        const VirtIOPort *p = s->ports[i];

        if (p) {
            vmstate_put_be32(w, p->id);
            vmstate_put_u8(w, p->guest_connected);
            vmstate_put_u8(w, p->host_connected);
            vmstate_put_be32(w, 0); /* no buffer in hand */
        }
    }
}

static bool get_port(VMStateReader *r, VirtIOSerial *s, uint32_t *seen, GError **errp)
{
    uint32_t id, popped;
    uint8_t flags[PORT_FIELDS];

    if (!vmstate_get_be32(r, &id, errp) || !vmstate_get_bytes(r, flags, PORT_FIELDS, errp) ||
        !vmstate_get_be32(r, &popped, errp)) {
        return false;
    }
    if (id >= s->max_ports || !s->ports[id] || (*seen & 1u << id)) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "port id %u: not there, or twice; give the "
                       "destination the same ports (nr=)", id);
    }
    if (flags[0] > 1 || flags[1] > 1) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "port %u: guest_connected %u and host_connected %u "
                       "are not 0 or 1", id, flags[0], flags[1]);
    }
    if (popped) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "port %u: the source holds a buffer of the "
                       "guest's that its chardev did not take; let its reader catch up first", id);
    }
    *seen |= 1u << id;
    s->ports[id]->guest_connected = flags[0];
    /* host_connected: what the guest was told; our own chardev's news follow when it runs. */
    s->ports[id]->host_connected = flags[1];
    return true;
}

static bool get_ports(VMStateReader *r, void *member, const VMStateField *field, GError **errp)
{
    VirtIOSerial *s = member;
    uint32_t n, seen = 0;

    if (!vmstate_get_be32(r, &n, errp)) {
        return false;
    }
    if (n > s->max_ports) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "nr_active_ports: %u of %u", n, s->max_ports);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!get_port(r, s, &seen, errp)) {
            return false;
        }
    }
    return true;
}

static bool serial_pre_save(void *opaque, GError **errp)
{
    VirtIOSerial *s = opaque;

    s->wire_max_ports = s->max_ports;
    s->ports_map = 1; /* QEMU keeps the place of a console, whether there is one or not */
    for (uint32_t i = 0; i < s->max_ports; i++) {
        s->ports_map |= s->ports[i] ? 1u << i : 0;
    }
    return true;
}

/* Before the ports are read: the same ones must be here. */
static bool check_ports(void *opaque, int version_id)
{
    VirtIOSerial *s = opaque;
    uint32_t theirs = s->ports_map;

    serial_pre_save(s, NULL);
    return theirs == s->ports_map;
}

static bool check_max(void *opaque, int version_id)
{
    VirtIOSerial *s = opaque;

    return s->wire_max_ports == s->max_ports;
}

static const VMStateField serial_fields[] = {
    VMSTATE_VIRTIO_DEVICE(vdev, VirtIOSerial),
    VMSTATE_UINT16(cols, VirtIOSerial),
    VMSTATE_UINT16(rows, VirtIOSerial),
    { .name = "max_nr_ports", .kind = VMS_U32, .size = 4,
      .offset = vmstate_type_check(VirtIOSerial, wire_max_ports, uint32_t) },
    VMSTATE_VALIDATE("max_nr_ports is that of this device (max_ports=)", check_max),
    VMSTATE_UINT32(ports_map, VirtIOSerial),
    VMSTATE_VALIDATE("ports_map names the ports of this device (virtconsole, virtserialport)",
                     check_ports),
    { .name = "ports", .kind = VMS_CUSTOM, .size = 4, .type = "virtio-serial ports",
      .put = put_ports, .get = get_ports },
    VMSTATE_VIRTIO_TAIL(vdev, VirtIOSerial),
    VMSTATE_END,
};

const VMStateDescription vmstate_virtio_serial = {
    .name = "virtio-console",
    .version_id = 3,
    .minimum_version_id = 3,
    .pre_save = serial_pre_save,
    .fields = serial_fields,
};
