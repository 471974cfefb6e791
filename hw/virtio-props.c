/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading properties of -device. Main thread. */
#include "virtio-props.h"

#include <inttypes.h>

#include "cmdline-keyval.h"
#include "error.h"

bool virtio_prop_bool(const DeviceConfig *c, const char *name, bool *value, GError **errp)
{
    const char *text = g_hash_table_lookup(c->props, name);

    return !text || keyval_parse_bool(text, value) ||
           gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' expects 'on' or 'off', not '%s'", name,
                   text);
}

bool virtio_prop_u32(const DeviceConfig *c, const char *name, uint32_t min, uint32_t max,
                     uint32_t *value, GError **errp)
{
    const char *text = g_hash_table_lookup(c->props, name);
    uint64_t v;

    if (!text) {
        return true;
    }
    if (!keyval_parse_u64(text, &v) || v < min || v > max) {
        return gw_fail(errp, GW_ERROR_GENERIC, "Parameter '%s' expects a number from %" PRIu32
                       " to %" PRIu32 ", not '%s'", name, min, max, text);
    }
    *value = (uint32_t)v;
    return true;
}
