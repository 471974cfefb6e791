/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-rng-device. Main thread, machine lock held. */
#ifndef HW_VIRTIO_RNG_H
#define HW_VIRTIO_RNG_H

#include "virtio-mmio.h"

/* Makes the device behind the transport t, which owns it. */
bool virtio_rng_new(VirtIOMMIO *t, Machine *m, const DeviceConfig *conf, GError **errp);

#endif
