/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-balloon-device. Main thread, machine lock held. */
#ifndef HW_VIRTIO_BALLOON_H
#define HW_VIRTIO_BALLOON_H

#include "virtio-mmio.h"

extern const char *const virtio_balloon_props[];
/* Makes the device behind the transport t, which owns it; one for a machine. */
bool virtio_balloon_new(VirtIOMMIO *t, Machine *m, const DeviceConfig *conf, GError **errp);

#endif
