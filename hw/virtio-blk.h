/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-blk-device: a disk. Main thread, machine lock held. */
#ifndef HW_VIRTIO_BLK_H
#define HW_VIRTIO_BLK_H

#include "virtio-mmio.h"

extern const char *const virtio_blk_props[];
/* Makes the device behind the transport t, which owns it. */
bool virtio_blk_new(VirtIOMMIO *t, Machine *m, const DeviceConfig *conf, GError **errp);

#endif
