/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transports of a microvm and the table of virtio device types. Devices take transports from the
 * last to the first, as on QEMU's board, so that addresses, and with them section names, agree.
 * Main thread, machine lock held.
 */
#include "virtio-bus.h"

#include <inttypes.h>
#include <string.h>

#include "cmdline-keyval.h"
#include "error.h"
#include "virtio-balloon.h"
#include "virtio-blk.h"
#include "virtio-console.h"
#include "virtio-mmio.h"
#include "virtio-net.h"
#include "virtio-rng.h"

#define TRANSPORT_BASE UINT64_C(0xfeb00000)
#define TRANSPORTS_MAX 128 /* virtio-mmio-transports= */

typedef struct VirtIOType {
    const char *driver;
    bool (*make)(VirtIOMMIO *t, Machine *m, const DeviceConfig *conf, GError **errp);
    const char *const *props; /* what -device may set */
} VirtIOType;

static const char *const no_props[] = { NULL };

static const VirtIOType types[] = {
    { "virtio-balloon-device", virtio_balloon_new, virtio_balloon_props },
    { "virtio-blk-device", virtio_blk_new, virtio_blk_props },
    { "virtio-serial-device", virtio_serial_new, virtio_serial_props },
    { "virtio-net-device", virtio_net_new, virtio_net_props },
    { "virtio-rng-device", virtio_rng_new, no_props },
};

static const VirtIOType *find_type(const char *driver)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (strcmp(types[i].driver, driver) == 0) {
            return &types[i];
        }
    }
    return NULL;
}

/* -global NAME=on|off; *value is left alone if it is not given. */
static bool global_bool(const MachineConfig *c, const char *name, bool *value, GError **errp)
{
    for (guint i = 0; i < c->globals->len; i++) {
        const char *g = c->globals->pdata[i];
        size_t len = strlen(name);

        if (g_str_has_prefix(g, name) && g[len] == '=' && !keyval_parse_bool(g + len + 1, value)) {
            return gw_fail(errp, GW_ERROR_GENERIC, "-global %s: give on or off", g);
        }
    }
    return true;
}

static bool read_props(const MachineConfig *c, VirtIOMMIOProps *props, GError **errp)
{
    *props = (VirtIOMMIOProps){ .legacy = true, .ioeventfd = true };
    return global_bool(c, "virtio-mmio.force-legacy", &props->legacy, errp) &&
           global_bool(c, "virtio-mmio.ioeventfd", &props->ioeventfd, errp);
}

static bool check_props(const VirtIOType *type, const DeviceConfig *conf, GError **errp)
{
    GHashTableIter it;
    gpointer key;

    g_hash_table_iter_init(&it, conf->props);
    while (g_hash_table_iter_next(&it, &key, NULL)) {
        if (!g_strv_contains(type->props, key)) {
            g_autofree char *all = g_strjoinv(", ", (char **)type->props);

            return gw_fail(errp, GW_ERROR_GENERIC, "Property '%s.%s' not found (there are: %s)",
                           conf->driver, (char *)key, *all ? all : "none");
        }
    }
    return true;
}

/* virtconsole and virtserialport go into the last virtio-serial-device before them, or the one that
 * bus= names (ID.0). */
static bool add_port(VirtIOMMIO **slots, unsigned first, unsigned end, const DeviceConfig *conf,
                     GError **errp)
{
    static const VirtIOType port = { NULL, NULL, virtio_port_props };
    const char *bus = g_hash_table_lookup(conf->props, "bus");

    if (!check_props(&port, conf, errp)) {
        return false;
    }
    for (unsigned i = first; i < end; i++) {
        VirtIODevice *vdev = virtio_mmio_device(slots[i]);
        g_autofree char *name = g_strdup_printf("%s.0", vdev->id ? vdev->id : "");

        if (virtio_is_serial(vdev) && (!bus || !strcmp(bus, name))) {
            return virtio_port_new(vdev, conf, errp);
        }
    }
    return gw_fail(errp, GW_ERROR_GENERIC, "No 'virtio-serial-bus' bus found for device '%s': give "
                   "-device virtio-serial-device before it", conf->driver);
}

/* Of the transport in slot i of n; beyond the board's own lines they are shared. */
static VirtIOPlace place_of(unsigned i, unsigned n, VirtIOLines lines)
{
    return (VirtIOPlace){
        .slot = i,
        .gpa = TRANSPORT_BASE + (uint64_t)i * VIRTIO_MMIO_SIZE,
        .gsi = lines.first + i % lines.count,
        .shared = i >= lines.count || i + lines.count < n,
    };
}

static bool add_devices(Machine *m, VirtIOMMIO **slots, unsigned n, VirtIOLines lines,
                        GArray *places, GError **errp)
{
    const unsigned end = n;

    for (guint i = 0; i < m->config->devices->len; i++) {
        const DeviceConfig *conf = m->config->devices->pdata[i];
        const VirtIOType *type = find_type(conf->driver);

        if (!strcmp(conf->driver, "virtconsole") || !strcmp(conf->driver, "virtserialport")) {
            if (!add_port(slots, n, end, conf, errp)) {
                return false;
            }
            continue;
        }
        if (!type) {
            return gw_fail(errp, GW_ERROR_UNSUPPORTED, "-device %s: not supported by this machine",
                           conf->driver);
        }
        if (!n) {
            return gw_fail(errp, GW_ERROR_GENERIC, "-device %s: No 'virtio-bus' bus found for "
                           "device '%s': all transports are taken; -machine "
                           "virtio-mmio-transports=N makes more", conf->driver, conf->driver);
        }
        if (!check_props(type, conf, errp) || !type->make(slots[n - 1], m, conf, errp)) {
            g_prefix_error(errp, "-device %s: ", conf->driver);
            return false;
        }
        n--;

        VirtIOPlace place = place_of(n, end, lines);

        g_array_append_val(places, place);
    }
    return true;
}

/* How many: the board's own number unless -machine virtio-mmio-transports= says otherwise. */
static bool count(const MachineConfig *c, unsigned def, unsigned *n, GError **errp)
{
    const char *v = machine_config_prop(c, "virtio-mmio-transports");
    guint64 value = def;

    if (v && !g_ascii_string_to_unsigned(v, 10, 1, TRANSPORTS_MAX, &value, NULL)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "-machine virtio-mmio-transports=%s: give a number "
                       "from 1 to %d", v, TRANSPORTS_MAX);
    }
    *n = (unsigned)value;
    return true;
}

bool virtio_bus_init(Machine *m, VirtIOLines lines, GArray *places, GError **errp)
{
    g_autofree VirtIOMMIO **slots = NULL;
    g_autofree VirtIOLine **wires = NULL;
    VirtIOMMIOProps props;
    unsigned n = 0;

    if (!count(m->config, lines.count, &n, errp) || !read_props(m->config, &props, errp)) {
        return false;
    }
    slots = g_new0(VirtIOMMIO *, n);
    wires = g_new0(VirtIOLine *, n);
    for (unsigned i = 0; i < n; i++) {
        VirtIOPlace place = place_of(i, n, lines);

        /* Beyond the board's own lines they are shared. */
        wires[i] = i < lines.count ? virtio_line_new(m, place.gsi) : wires[i - lines.count];
        slots[i] = virtio_mmio_new(m, place.gpa, wires[i], &props, errp);
        if (!slots[i]) {
            return false;
        }
    }
    return add_devices(m, slots, n, lines, places, errp);
}
