/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP qom-get and qom-set, and what qom-list shows of a device: of the balloon the statistics of
 * the guest's memory and how often they are asked for, which is what tools read this way (virsh
 * dommemstat). Main loop's thread; never waits for the guest.
 */
#include "qmp-handlers.h"

#include <string.h>

#include "error.h"
#include "qom-device.h"

#define PERIPHERAL "machine/peripheral/"

/* Tags of virtio 1.2 and later ones of Linux, in their order; not all guests know all. */
static const char *const stat_names[MACHINE_BALLOON_STATS] = {
    "stat-swap-in", "stat-swap-out", "stat-major-faults", "stat-minor-faults",
    "stat-free-memory", "stat-total-memory", "stat-available-memory", "stat-disk-caches",
    "stat-htlb-pgalloc", "stat-htlb-pgfail", "stat-oom-kills", "stat-alloc-stalls",
    "stat-async-scans", "stat-direct-scans", "stat-async-reclaims", "stat-direct-reclaims",
};

const DeviceConfig *qom_device_at(const Machine *m, const char *path)
{
    const char *id = path + strspn(path, "/");

    if (!g_str_has_prefix(id, PERIPHERAL)) {
        return NULL;
    }
    id += strlen(PERIPHERAL);
    for (guint i = 0; i < m->config->devices->len; i++) {
        const DeviceConfig *d = m->config->devices->pdata[i];

        if (g_strcmp0(d->id, id) == 0) {
            return d;
        }
    }
    return NULL;
}

/* NULL with *errp: no such device, or it is none with values. */
static const MachineBalloon *balloon_at(const Machine *m, const char *path, const char *property,
                                        GError **errp)
{
    const DeviceConfig *d = qom_device_at(m, path);

    if (!d) {
        gw_fail(errp, GW_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", path);
        return NULL;
    }
    if (!m->balloon || g_strcmp0(m->balloon->id, d->id) != 0) {
        gw_fail(errp, GW_ERROR_GENERIC, "Property '%s.%s' not found", d->driver, property);
        return NULL;
    }
    return m->balloon;
}

static json_object *guest_stats(const MachineBalloon *b)
{
    uint64_t values[MACHINE_BALLOON_STATS];
    json_object *o = jo_new(), *stats = jo_new();

    jo_uint(o, "last-update", (uint64_t)b->stats(b->opaque, values));
    for (size_t i = 0; i < MACHINE_BALLOON_STATS; i++) {
        jo_uint(stats, stat_names[i], values[i]);
    }
    json_object_object_add(o, "stats", stats);
    return o;
}

bool qmp_qom_get(QmpCall *call, GError **errp)
{
    const char *property = qmp_arg_str(call, "property");
    const MachineBalloon *b = balloon_at(call->machine, qmp_arg_str(call, "path"), property, errp);

    if (!b) {
        return false;
    }
    if (strcmp(property, "guest-stats") == 0) {
        call->ret = guest_stats(b);
    } else if (strcmp(property, "guest-stats-polling-interval") == 0) {
        call->ret = json_object_new_uint64(b->stats_interval(b->opaque));
    } else {
        return gw_fail(errp, GW_ERROR_GENERIC, "Property 'virtio-balloon-device.%s' not found",
                       property);
    }
    return true;
}

bool qmp_qom_set(QmpCall *call, GError **errp)
{
    const char *property = qmp_arg_str(call, "property");
    const MachineBalloon *b = balloon_at(call->machine, qmp_arg_str(call, "path"), property, errp);
    json_object *value = jo_get(call->args, "value");
    int64_t seconds;

    if (!b) {
        return false;
    }
    if (strcmp(property, "guest-stats-polling-interval") != 0) {
        return gw_fail(errp, GW_ERROR_GENERIC,
                       strcmp(property, "guest-stats") == 0
                           ? "Property 'virtio-balloon-device.%s' is not writable"
                           : "Property 'virtio-balloon-device.%s' not found", property);
    }
    if (!json_object_is_type(value, json_type_int)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Invalid parameter type for '%s', expected: integer",
                       property);
    }
    seconds = json_object_get_int64(value);
    if (seconds < 0 || seconds > UINT32_MAX) {
        return gw_fail(errp, GW_ERROR_GENERIC, seconds < 0
                       ? "timer value must be greater than zero" : "timer value is too big");
    }
    b->set_stats_interval(b->opaque, (uint32_t)seconds);
    return true;
}
