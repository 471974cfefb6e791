/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-serial-device and what is plugged into it: virtconsole, virtserialport. Main thread,
 * machine lock held. */
#ifndef HW_VIRTIO_CONSOLE_H
#define HW_VIRTIO_CONSOLE_H

#include "virtio-mmio.h"

extern const char *const virtio_serial_props[];
extern const char *const virtio_port_props[];
/* Makes the device behind the transport t, which owns it. */
bool virtio_serial_new(VirtIOMMIO *t, Machine *m, const DeviceConfig *conf, GError **errp);
/* Plugs a port into the last virtio-serial-device that was made and has room. */
bool virtio_port_new(VirtIODevice *serial, const DeviceConfig *conf, GError **errp);
/* Whether this is a virtio-serial-device. */
bool virtio_is_serial(const VirtIODevice *vdev);

#endif
