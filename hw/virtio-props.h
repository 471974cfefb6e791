/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Properties of -device, as devices read them. Main thread. */
#ifndef HW_VIRTIO_PROPS_H
#define HW_VIRTIO_PROPS_H

#include "config.h"

/* Each leaves *value alone if the property is not set; false with *errp if it is malformed. */
bool virtio_prop_bool(const DeviceConfig *c, const char *name, bool *value, GError **errp);
bool virtio_prop_u32(const DeviceConfig *c, const char *name, uint32_t min, uint32_t max,
                     uint32_t *value, GError **errp);

#endif
